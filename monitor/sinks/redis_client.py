"""What publisher and subscriber share: a careful Redis client, key names, safe URLs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from monitor.errors import InputError

PREFIX = "sleep-monitor"
SOCKET_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key the monitor writes, and ``marks``, which it reads. See EVENTS.md.

    ``last`` and ``heartbeat`` exist twice: per session, and without one for whoever published
    most recently, which is all that an app with one sleeper needs.
    """

    prefix: str = PREFIX

    @property
    def events(self) -> str:
        return f"{self.prefix}:events"

    @property
    def marks(self) -> str:
        return f"{self.prefix}:marks"

    def last(self, session_id: str | None = None) -> str:
        return self._of("last", session_id)

    def heartbeat(self, session_id: str | None = None) -> str:
        return self._of("heartbeat", session_id)

    def published(self, session_id: str) -> str:
        return self._of("published", session_id)

    def _of(self, name: str, session_id: str | None) -> str:
        return f"{self.prefix}:{name}" + ("" if session_id is None else f":{session_id}")


def connect(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.Redis:
    """A client for ``url`` (redis://, rediss:// or unix://). Connects on its first command.

    It never repeats a command by itself: only the caller knows whether twice is harmless. Raises
    InputError if the URL is wrong; the text never holds a password.
    """
    wrong = InputError(
        f"Redis URL {safe_url(url)} is not valid: write redis://[[user]:password@]host[:port][/db],"
        f" rediss://... for TLS, or unix:///path/to/socket"
    )
    try:
        client = redis.Redis.from_url(
            url,
            decode_responses=True,
            # What another program wrote may be no text: better a wrong letter than no answer.
            encoding_errors="replace",
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            # RESP2 answers look the same in every version of redis-py.
            protocol=2,
        )
        # Options in the URL's query are looked at only here: build one connection, unused.
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, redis.RedisError):
        # Their texts may quote the password.
        raise wrong from None
    return client


def safe_url(url: str) -> str:
    """``url`` to show to people: without password, and without options, which may hold one."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***"
    # A password may hold any character, unquoted by mistake: it ends at the last @.
    login, at, address = rest.rpartition("@")
    address = re.split(r"[?#]", address)[0]
    if scheme != "unix" and not re.fullmatch(
        r"[\w.\-]*(:\d*)?(/\w*)?|\[[\w:.%]+](:\d*)?(/\w*)?", address
    ):
        address = "***"
    user, colon, _ = login.partition(":")
    # redis://word@host: redis-py reads the word as a user name.
    return f"{scheme}://{user}{':***' if colon else ''}{at}{address}"


def safe_text(error: Exception, url: str) -> str:
    """One line about ``error``, in which no password of ``url`` can be."""
    text = " ".join(str(error).split()) or type(error).__name__
    login = url.partition("://")[2].rpartition("@")[0]
    password = login.partition(":")[2]
    return text.replace(password, "***") if password else text
