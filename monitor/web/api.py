"""The page and the API as an ASGI application: `web_app`. WEB.md describes them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from monitor.errors import InputError, MonitorError
from monitor.report.colours import DARK
from monitor.web.api_page import api_page
from monitor.web.dark import dark_page
from monitor.web.guard import MARKS, Guard
from monitor.web.hub import Hub
from monitor.web.marks import MarkDesk
from monitor.web.nights import StoredNights
from monitor.web.stream import EventStreams

LARGEST_BODY = 8192
"""Bytes of a request: a note has at most 1,000 letters."""

BODY_S = 10.0
"""Time limit for a request to arrive."""

_STATIC = {
    "page.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "manifest.webmanifest": "application/manifest+json",
    "openapi.json": "application/json",
}

_BESIDE_THE_PAGE = ("page.css", "page.js", "icon.svg", "manifest.webmanifest")

REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""A report has its style and its pictures in itself, and no script."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebParts:
    """The parts of the page and the API."""

    hub: Hub
    marks: MarkDesk
    nights: StoredNights
    streams: EventStreams


def web_app(parts: WebParts, token: str | None, hosts: Sequence[str]) -> ASGIApp:
    """Return the application; ``token`` and ``hosts`` are those of `Guard`."""
    routes = [
        Route("/", _static("page.html", {"Content-Security-Policy": _page_policy()})),
        *(Route(f"/{name}", _static(name)) for name in _BESIDE_THE_PAGE),
        Route("/api", _api_page),
        Route("/api/openapi.json", _static("openapi.json")),
        Route("/api/v1/now", _now),
        Route("/api/v1/sessions/{session}", _session),
        Route("/api/v1/events", parts.streams),
        Route("/api/v1/nights", _nights),
        Route("/nights/{night}", _report),
        Route(MARKS, _mark, methods=["POST"]),
    ]
    handlers: Mapping[Any, Any] = {
        HTTPException: _http_error,
        InputError: _input_error,
        MonitorError: _monitor_error,
        Exception: _own_error,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    app.state.parts = parts
    return Guard(app, token, hosts)


def static_bytes(name: str) -> bytes:
    """Return a file of the page as it is sent. The report's dark colours are those of the page."""
    content = (files("monitor") / "web" / "static" / name).read_bytes()
    if name == "page.css":
        colours = ";".join(f"--{key}:{value}" for key, value in DARK.items())
        content = f":root{{{colours}}}\n".encode() + content
    return content


def _static(name: str, headers: Mapping[str, str] | None = None) -> Any:
    content = static_bytes(name)
    tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    given = {"ETag": tag, "Cache-Control": "no-cache", **(headers or {})}

    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=given)
        return Response(content, headers=given, media_type=_STATIC[name])

    return answer


@cache
def _page_policy() -> str:
    """Return the Content-Security-Policy of the page: only its own files, and its first style."""
    page = static_bytes("page.html").decode()
    styles = [
        f"'sha256-{b64encode(hashlib.sha256(each.encode()).digest()).decode()}'"
        for each in re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    ]
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' {' '.join(styles)}; "
        "img-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def _parts(request: Request) -> WebParts:
    found: WebParts = request.app.state.parts
    return found


async def _now(request: Request) -> Response:
    return JSONResponse(_parts(request).hub.now())


async def _session(request: Request) -> Response:
    night = _parts(request).hub.night(request.path_params["session"])
    if night is None:
        raise HTTPException(404, "this session is not known here")
    return JSONResponse(night)


async def _nights(request: Request) -> Response:
    return JSONResponse({"nights": await asyncio.to_thread(_parts(request).nights.as_json)})


async def _report(request: Request) -> Response:
    page = await asyncio.to_thread(_parts(request).nights.report, str(request.path_params["night"]))
    return HTMLResponse(page, headers={"Content-Security-Policy": REPORT_POLICY})


async def _mark(request: Request) -> Response:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "send the mark as application/json")
    body = await _body(request)
    key = request.headers.get("idempotency-key", "")
    answer = await _parts(request).marks.leave(body, key)
    return JSONResponse(answer, 201 if answer["recorded"] else 409)


async def _body(request: Request) -> bytes:
    """Return the body of a request. Raises HTTPException if it is too large or too slow."""
    body = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for piece in request.stream():
                body += piece
                if len(body) > LARGEST_BODY:
                    raise HTTPException(413, f"a mark has at most {LARGEST_BODY} bytes")
    except TimeoutError:
        raise HTTPException(408, f"the mark did not arrive within {BODY_S:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the mark did not arrive whole") from None
    return body


async def _api_page(request: Request) -> Response:
    spec = json.loads(static_bytes("openapi.json"))
    return HTMLResponse(
        dark_page(api_page(spec)), headers={"Content-Security-Policy": REPORT_POLICY}
    )


async def _http_error(request: Request, exc: HTTPException) -> Response:
    text = exc.detail if exc.status_code != 404 or exc.detail != "Not Found" else "no such page"
    return JSONResponse({"error": text}, exc.status_code, exc.headers)


async def _input_error(request: Request, exc: InputError) -> Response:
    status = 404 if request.method == "GET" else 422
    return JSONResponse({"error": str(exc)}, status)


async def _monitor_error(request: Request, exc: MonitorError) -> Response:
    return JSONResponse({"error": str(exc)}, 503)


async def _own_error(request: Request, exc: Exception) -> Response:
    _log.error("The page failed at %s", request.url.path, exc_info=exc)
    return JSONResponse({"error": "the page failed; the monitor's log says how"}, 500)
