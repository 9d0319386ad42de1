"""A local web server that serves a folder, with ranges, and fails as a test requests."""

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
    """The server's replies. Each request uses up the first entry of a list.

    - ``close_after``: the server sends this many bytes of the body and closes the connection.
    - ``status``: the server sends this error status and no file.
    - ``ranges``: if False, the server ignores the Range header, as simple servers do.
    - ``requests``: (path, Range header) of every request so far.
    """

    close_after: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    ranges: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serve(root: Path) -> Iterator[tuple[str, Behaviour]]:
    """Serve ``root``; yield its address and the `Behaviour` that makes requests fail."""
    behaviour = Behaviour()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested = self.headers.get("Range")
            behaviour.requests.append((self.path, requested))
            if behaviour.status:
                self.send_error(behaviour.status.pop(0))
                return
            path = root / self.path.lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            start = re.fullmatch(r"bytes=(\d+)-", requested or "") if behaviour.ranges else None
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
            """Print nothing: the tests read ``Behaviour.requests``."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", behaviour
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
