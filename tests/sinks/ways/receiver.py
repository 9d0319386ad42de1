"""A web server that records what is posted to it, and can be away, slow, or refuse."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from monitor.closing import Closing


class Post:
    """A request: its headers, with lower-case names, and its body."""

    def __init__(self, headers: dict[str, str], body: str) -> None:
        self.headers = headers
        self.body = body

    @property
    def sequence(self) -> int:
        return int(json.loads(self.body)["sequence"])


class Receiver(Closing):
    """Listens on 127.0.0.1:``port``; ``answers`` holds the next statuses, then it is 204.

    ``drip``: it sends a byte of its answer each tenth of a second, for ever. A post that it does
    not take with 2xx counts in ``refused`` only.
    """

    def __init__(self, port: int = 0, *, location: str = "", drip: bool = False) -> None:
        self.posts: list[Post] = []
        self.on_post: Callable[[str], None] = lambda body: None
        self.refused: list[Post] = []
        self.answers: list[int] = []
        self.location = location
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                post = Post({key.lower(): value for key, value in self.headers.items()}, body)
                status = receiver.answers.pop(0) if receiver.answers else 204
                receiver.on_post(body)
                (receiver.posts if status < 300 else receiver.refused).append(post)
                if drip:
                    self._drip()
                    return
                self.send_response(status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _drip(self) -> None:
                try:
                    for letter in b"HTTP/1.1 200 OK" + b"x" * 600:
                        self.wfile.write(bytes([letter]))
                        time.sleep(0.1)
                except OSError:
                    pass

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=not-to-be-seen"

    def sequences(self) -> list[int]:
        return [post.sequence for post in self.posts]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
