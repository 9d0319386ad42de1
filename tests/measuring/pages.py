"""Measures what open pages cost a live night, and how the page takes malformed requests.

    python -m tests.measuring.pages --pages 50 --sleepers 16 --minutes 2.5
    python -m tests.measuring.pages --malformed 10000

The first measures the delay of stages (`sleep-deploy benchmark live`) without and with pages that
follow the same night.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from monitor.sinks.redis_server import RedisServer
from tests.live.processes import Program, environment
from tests.web.peers import PublishedNight, served
from tests.web.ports import free_port
from tests.web.requests import malformed

REQUEST = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="pages", description=__doc__)
    add = parser.add_argument
    add("--pages", type=int, default=50)
    add("--sleepers", type=int, default=16)
    add("--minutes", type=float, default=2.5)
    add("--malformed", type=int, help="send so many malformed requests instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.malformed:
            send_malformed(options.malformed, folder)
            return
        for n_pages in (0, options.pages):
            print(f"{n_pages} pages")
            measure(options.sleepers, options.minutes, n_pages, folder / str(n_pages))


def measure(sleepers: int, minutes: float, n_pages: int, folder: Path) -> None:
    """Run the benchmark while ``n_pages`` streams are open; print its figures and the page's."""
    env = environment(folder)
    command = ["benchmark", "live", "--sleepers", str(sleepers), "--minutes", str(minutes)]
    with Program("benchmark", "deploy.cli", command, folder, env) as benchmark:
        if n_pages:
            port, url = free_port(), _redis_url(benchmark)
            arguments = ("web", str(port), "--redis", url)
            with Program("page", "monitor.cli", arguments, folder, env) as page:
                time.sleep(3.0)
                received = _follow(port, n_pages, benchmark)
                used = psutil.Process(page.process.pid)
                print(f"{received / 1e6:.1f} MB to all pages, {used.memory_info().rss >> 20} MB")
        benchmark.process.wait()
        print(benchmark.out.read_text(encoding="utf-8"))


def _redis_url(benchmark: Program) -> str:
    """Return the URL of the benchmark's event server, from the command line of its monitor."""
    while True:
        for child in psutil.Process(benchmark.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                line = child.cmdline()
                if "--redis" in line:
                    return line[line.index("--redis") + 1]
        time.sleep(0.2)


def _follow(port: int, n_pages: int, benchmark: Program) -> int:
    """Keep ``n_pages`` streams open until the benchmark ends; return the bytes that came."""
    ends = threading.Event()
    counts: list[int] = []

    async def one() -> None:
        while not ends.is_set():
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(REQUEST)
                while not ends.is_set() and (piece := await reader.read(65536)):
                    counts.append(len(piece))
                writer.close()
            await asyncio.sleep(0.5)

    async def everyone() -> None:
        followers = [asyncio.ensure_future(one()) for _ in range(n_pages)]
        while benchmark.running:
            await asyncio.sleep(0.5)
        ends.set()
        for each in followers:
            each.cancel()

    asyncio.run(everyone())
    return sum(counts)


def send_malformed(n: int, folder: Path) -> None:
    """Send ``n`` malformed requests; print how many got each status."""
    statuses: Counter[str] = Counter()
    with (
        RedisServer(port=0) as server,
        PublishedNight(server.url) as night,
        served(server.url, folder) as page,
    ):
        night.stages("22")
        for request in malformed(n, seed=7):
            answer = page.send(request, wait_s=3.0, half_close=True)
            statuses[answer[9:12].decode("ascii", "replace") or "closed"] += 1
        alive = page.ask("/api/v1/now").status
    print(f"{dict(statuses)}; then the page answers {alive}")


if __name__ == "__main__":
    main()
