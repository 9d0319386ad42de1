"""A web server on this machine that serves a folder, ranges too, and fails when told to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Behaviour:
    """How the server answers; each list is used up from the front, one entry a request.

    - ``close_after``: this many bytes of the body are sent, then the connection is closed.
    - ``status``: this status is sent and no file.
    - ``ranges``: False ignores the Range header, as simple servers do.
    - ``asked``: (path, Range header) of every request so far.
    """

    close_after: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serve(root: Path) -> Iterator[tuple[str, Behaviour]]:
    """The address under which ``root`` can be fetched, and how to make that fail."""
    behaviour = Behaviour()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            behaviour.asked.append((self.path, asked))
            if behaviour.status:
                self.send_error(behaviour.status.pop(0))
                return
            path = root / self.path.lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            start = re.fullmatch(r"bytes=(\d+)-", asked or "") if behaviour.ranges else None
            first = int(start[1]) if start else 0
            if first and first >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                total = len(content)
                self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            stop = first + behaviour.close_after.pop(0) if behaviour.close_after else None
            self.wfile.write(content[first:stop])

        def log_message(self, format: str, *args: object) -> None:
            """The tests look at ``asked``."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", behaviour
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
