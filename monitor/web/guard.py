"""Lets only those requests through that may be answered: `Guard`, before every page.

The page shows a night's health data, and a browser is full of other people's pages. So:

- Host: the name in the request must be one of this machine. A foreign page whose name was bound to
  this machine's address (DNS rebinding) sends its own name.
- Origin: a request that a foreign page makes is refused.
- Method: GET reads, and POST adds a mark. Nothing else exists.
- Token: beyond this machine, every request but those for the empty page needs it, in the header
  Authorization or in the cookie that the link sets. The cookie is never sent across sites.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "sleep-monitor"
COOKIE_S = 365 * 24 * 3600
"""A bookmark on the phone opens the page for so long, and longer if it is used."""

MARKS = "/api/v1/marks"
OPEN_PATHS = {"/", "/page.css", "/page.js", "/icon.svg", "/manifest.webmanifest"}
"""The page without a night in it. A browser that comes from another site sends no cookie yet."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""Headers of every answer that does not set them itself."""


class RefusedError(Exception):
    """A request that is not answered: the HTTP status, and why, in one sentence."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


class Guard:
    """An ASGI application that checks each request, and adds `SECURITY_HEADERS` to each answer.

    - ``token`` None: requests come from this machine alone, and need none.
    - ``hosts``: names of this machine beside its own, its addresses and localhost.
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: Sequence[str]) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        name = socket.gethostname().lower()
        self._hosts = {"localhost", name, f"{name.partition('.')[0]}.local", *hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # uvicorn's lifespan is off, and so are web sockets
        headers = Headers(scope=scope)
        cookie = ""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for key, value in SECURITY_HEADERS.items():
                    sent.setdefault(key, value)
                if cookie:
                    sent.append("Set-Cookie", cookie)
            await send(message)

        try:
            self._check_host(scope, headers)
            self._check_method(scope)
            self._check_origin(headers)
            cookie = self._check_token(scope, headers)
        except RefusedError as exc:
            answer = JSONResponse({"error": exc.reason}, exc.status, exc.headers)
            await answer(scope, receive, send_safely)
            return
        await self._app(scope, receive, send_safely)

    def _check_host(self, scope: Scope, headers: Headers) -> None:
        hosts = headers.getlist("host")
        host = _host_of(f"//{hosts[0]}") if len(hosts) == 1 else ""
        if not host or not self._is_own(host, scope):
            raise RefusedError(
                421,
                "this machine is not known by that name: open the page by its address, or add the "
                "name to hosts in the table [web]",
            )

    def _is_own(self, host: str, scope: Scope) -> bool:
        if host in self._hosts:
            return True
        with suppress(ValueError):
            # The address at which the connection arrived is this machine's.
            here = ipaddress.ip_address(str((scope.get("server") or ("",))[0]))
            # A socket for IPv6 and IPv4 shows an IPv4 address inside one of IPv6.
            here = getattr(here, "ipv4_mapped", None) or here
            return ipaddress.ip_address(host) == here
        return False

    def _check_method(self, scope: Scope) -> None:
        allowed = "POST" if scope["path"] == MARKS else "GET"
        if scope["method"] != allowed:
            raise RefusedError(405, f"only {allowed} is answered here", {"Allow": allowed})

    def _check_origin(self, headers: Headers) -> None:
        for origin in headers.getlist("origin"):
            own = (f"http://{headers['host']}".lower(), f"https://{headers['host']}".lower())
            if origin.lower() not in own:
                raise RefusedError(403, "a page of another site may not ask")
        # Browsers send no Origin with some requests, but say from where they come. A link that a
        # person follows is fine: its page cannot read the answer.
        site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
        if site in ("cross-site", "same-site") and mode != "navigate":
            raise RefusedError(403, "a page of another site may not ask")

    def _check_token(self, scope: Scope, headers: Headers) -> str:
        """Return the cookie to set, if the link brought the token; "" if none is set.

        Raises `RefusedError` if the request needs a token and has none, or a wrong one.
        """
        if self._token is None:
            return ""
        given = _given_token(headers)
        if scope["path"] in OPEN_PATHS:
            linked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
            right = [each for each in (*linked, given) if self._is_right(each)]
            if right and scope["path"] == "/":
                return f"{COOKIE}={right[0]}; Path=/; Max-Age={COOKIE_S}; HttpOnly; SameSite=Strict"
            return ""
        if not self._is_right(given):
            raise RefusedError(
                401,
                "the token is missing or wrong: open the link that `sleep-monitor web --link` "
                "prints, or send the header Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )
        return ""

    def _is_right(self, token: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(token.encode("utf-8", "replace"), self._token)


def _host_of(url: str) -> str:
    """Return the host in ``url``, in lower case; "" if it has none."""
    try:
        parts = urlsplit(url)
        if parts.username is not None or parts.path or parts.query or parts.fragment:
            return ""
        return (parts.hostname or "") if parts.port != 0 else ""
    except ValueError:
        return ""


def _given_token(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    with suppress(CookieError):
        cookies = SimpleCookie(headers.get("cookie", "")[:4000])
        if COOKIE in cookies:
            return cookies[COOKIE].value
    return ""
