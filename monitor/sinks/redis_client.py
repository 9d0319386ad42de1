"""A careful Redis client, the names of the keys, and URLs that are safe to show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.retry import Retry

from monitor.errors import InputError, one_line
from monitor.text import clean

PREFIX = "sleep-monitor"
OWN_USER = "sleep-monitor-itself"
"""The user of the monitor at its embedded server. Its login is of no use to people."""

SOCKET_TIMEOUT_S = 2.0
"""Time limit for a connection and for an answer of the server."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key that the monitor writes, and ``marks``, which it reads and shortens. See EVENTS.md.

    ``last`` and ``heartbeat`` exist once for each session, and once without a session id for the
    session that published most recently. An app with one sleeper needs only the latter.
    """

    prefix: str = PREFIX

    @property
    def events(self) -> str:
        return f"{self.prefix}:events"

    @property
    def marks(self) -> str:
        return f"{self.prefix}:marks"

    @property
    def mark_answers(self) -> str:
        return f"{self.prefix}:mark-answers"

    @property
    def sleepers(self) -> str:
        return f"{self.prefix}:sleepers"

    def last(self, session_id: str | None = None) -> str:
        return self._of("last", session_id)

    def heartbeat(self, session_id: str | None = None) -> str:
        return self._of("heartbeat", session_id)

    def published(self, session_id: str) -> str:
        return self._of("published", session_id)

    def _of(self, name: str, session_id: str | None) -> str:
        return f"{self.prefix}:{name}" + ("" if session_id is None else f":{session_id}")


def connect(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.Redis:
    """Return a client for ``url`` (redis://, rediss:// or unix://). It connects when first used.

    The client never repeats a command by itself: only the caller knows whether running it twice
    is harmless. Raises `InputError` if the URL is wrong; the text never holds a password.
    """
    wrong = InputError(
        f"Redis URL {safe_url(url)} is not valid: write redis://[[user]:password@]host[:port][/db],"
        f" rediss://... for TLS, or unix:///path/to/socket"
    )
    try:
        client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_options(timeout_s))
        # redis-py checks the options in the URL's query only when it builds a connection. Build
        # one that is never used, so that a wrong URL is refused here.
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, redis.RedisError):
        # The text of these exceptions may quote the password: raise without it.
        raise wrong from None
    return client


def connect_async(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.asyncio.Redis:
    """Return the twin of `connect` for an event loop."""
    connect(url).close()  # raises `InputError`
    retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
    return redis.asyncio.Redis.from_url(url, retry=retry, **_options(timeout_s))


def _options(timeout_s: float) -> dict[str, Any]:
    return {
        "decode_responses": True,
        # Another program may have written bytes that are not text. A replaced letter is better
        # than an exception.
        "encoding_errors": "replace",
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        # RESP2 answers look the same in every version of redis-py.
        "protocol": 2,
    }


def safe_url(url: str) -> str:
    """Return ``url`` without its password and its options (which may hold one), for people."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***"
    # A password that was not quoted may hold any character, so the last @ ends it.
    login, at, address = rest.rpartition("@")
    address = re.split(r"[?#]", address)[0]
    if scheme != "unix" and not re.fullmatch(
        r"[\w.\-]*(:\d*)?(/\w*)?|\[[\w:.%]+](:\d*)?(/\w*)?", address
    ):
        address = "***"
    user, colon, _ = login.partition(":")
    if user == OWN_USER:
        return f"{scheme}://{address}"
    # Without a colon the word is a user's name, but many people mean a password by it.
    shown = f"{clean(user)}:***" if colon else "***" if at else ""
    return f"{clean(scheme)}://{shown}{at}{address}"


def safe_text(error: Exception, url: str) -> str:
    """Describe ``error`` in one line that never holds the password of ``url``."""
    text = one_line(error)
    for secret in _secrets(url):
        text = text.replace(secret, "***")
    # A server may answer with any letters.
    return clean(text)


def _secrets(url: str) -> set[str]:
    """Return the passwords in ``url``, as they are written there and as the server gets them."""
    rest = url.partition("://")[2]
    login = rest.rpartition("@")[0]
    found = {login.partition(":")[2]} if ":" in login else {login}
    found |= set(re.findall(r"[?&](?:password|ssl_password)=([^&#]*)", rest))
    return {secret for written in found for secret in (written, unquote(written)) if secret}
