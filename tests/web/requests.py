"""Requests that are wrong, for the tests and the measurements of the page."""

from __future__ import annotations

import random
from collections.abc import Iterator


def malformed(n: int, seed: int = 0) -> Iterator[bytes]:
    """Yield ``n`` requests that are wrong in one or several ways."""
    dice = random.Random(seed)
    good = b"POST /api/v1/marks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    bodies = [b"{", b"[]", b"\xff\xfe", b'{"kind": 1}', b'{"kind":"note"}', b"[" * 2000, b"null"]
    heads = [
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"X: " + b"a" * 20000 + b"\r\n",
        b"\x00: a\r\n",
        b" folded\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    ]
    for _ in range(n):
        match dice.randrange(5):
            case 0:
                yield dice.randbytes(dice.randrange(1, 400))
            case 1:
                broken = bytearray(good + b"\r\n")
                for _ in range(dice.randrange(1, 6)):
                    broken[dice.randrange(len(broken))] = dice.randrange(256)
                yield bytes(broken)
            case 2:
                yield good + dice.choice(heads) + b"\r\n" + dice.choice(bodies)
            case 3:
                body = dice.choice(bodies)
                yield good + b"Content-Length: %d\r\n\r\n" % len(body) + body
            case _:
                path = bytes(dice.randrange(33, 256) for _ in range(dice.randrange(1, 60)))
                yield b"GET /" + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
