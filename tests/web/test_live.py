"""The page of a live night, with the real programs: headband, monitor, page, event server."""

from __future__ import annotations

import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from monitor.sinks.redis_server import RedisServer
from tests.live.processes import (
    HeadbandProgram,
    MonitorProgram,
    Program,
    environment,
    query,
    wait_for,
)
from tests.web.peers import Page
from tests.web.ports import free_port

MARKS = "SELECT kind, text FROM mark ORDER BY time_utc"


class LiveNight:
    """A headband and a monitor with its page, in processes of their own."""

    def __init__(
        self, folder: Path, redis_url: str, *options: str, host: str = "127.0.0.1"
    ) -> None:
        self.env = environment(folder)
        self.store = folder / "night.sqlite"
        self.page = Page(free_port())
        self.headband = HeadbandProgram(folder, self.env, "--night", "3600", "--settle", "0.5")
        options = ("--web", f"{host}:{self.page.port}", *options)
        self.monitor = MonitorProgram(folder, self.env, self.store, redis_url, *options)

    def __enter__(self) -> LiveNight:
        return self

    def __exit__(self, *exception: object) -> None:
        self.monitor.close()
        self.headband.close()

    def is_served(self, headers: dict[str, str] | None = None) -> bool:
        with suppress(OSError):
            answer = self.page.ask("/api/v1/now", headers=headers)
            return answer.status == 200 and any(
                each["phase"] == "running" for each in answer.json["sleepers"]
            )
        return False

    def until_served(self, headers: dict[str, str] | None = None) -> None:
        wait_for(lambda: self.is_served(headers), "the night on the page", 60, self.monitor)

    def page_process(self) -> psutil.Process | None:
        """Return the process of the page, if it runs."""
        for child in psutil.Process(self.monitor.process.pid).children():
            with suppress(psutil.Error):
                if "--beside" in child.cmdline():
                    return child
        return None


@pytest.fixture
def night(server: RedisServer, tmp_path: Path) -> Iterator[LiveNight]:
    with LiveNight(tmp_path, server.url) as night:
        yield night


def test_marks_from_the_page_are_in_the_nights_file_once(night: LiveNight) -> None:
    night.until_served()
    now = night.page.until(
        lambda now: now["sleepers"][0]["electrodes"], "the electrodes, before any epoch has ended"
    )
    names = [each["name"] for each in now["sleepers"][0]["electrodes"]]
    assert names == ["TP9", "AF7", "AF8", "TP10"]
    for _ in range(3):  # the answer was lost, and the phone tries again
        answer = night.page.mark({"Idempotency-Key": "k"}, kind="lights_off")
        assert (answer.status, answer.json["recorded"]) == (201, [""])
    made = answer.json["time"]
    for _ in range(2):  # another page, or one that was started again, does not know the key
        assert night.page.mark(kind="lights_off", time=made).status == 201
    assert night.page.mark(kind="note", text="noisy street").status == 201
    assert query(night.store, MARKS) == [("lights_off", None), ("note", "noisy street")]
    assert night.monitor.end() == 0, night.monitor.errors()
    assert "Traceback" not in night.monitor.errors()
    with pytest.raises(OSError):
        night.page.now()


def test_a_page_that_is_killed_comes_back_and_the_night_goes_on(night: LiveNight) -> None:
    night.until_served()
    first = night.page_process()
    assert first is not None
    first.kill()
    wait_for(lambda: night.page_process() not in (None, first), "another page", 30, night.monitor)
    night.until_served()
    assert "The page ended with status" in night.monitor.errors()
    assert night.monitor.running


def test_the_page_ends_with_a_monitor_that_is_killed(night: LiveNight) -> None:
    night.until_served()
    process = night.page_process()
    assert process is not None
    night.monitor.kill()
    process.wait(20)


def test_beyond_this_machine_the_link_with_its_token_opens_the_page(
    server: RedisServer, tmp_path: Path
) -> None:
    with LiveNight(tmp_path, server.url, host="0.0.0.0") as night:
        wait_for(lambda: "The page: " in night.monitor.out.read_text(), "the link", 60)
        (file,) = tmp_path.rglob("web-token")
        assert file.stat().st_mode & 0o777 == 0o600
        token = file.read_text()
        night.until_served({"Authorization": f"Bearer {token}"})
        assert night.page.ask("/api/v1/now").status == 401
        # The output of a service is kept in a journal: it says how to get the link.
        printed = night.monitor.out.read_text() + night.monitor.errors()
        assert (
            token not in printed
            and f"sleep-monitor web 0.0.0.0:{night.page.port} --link" in printed
        )


def test_a_page_whose_port_is_taken_does_not_stop_the_night(
    server: RedisServer, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env, store = environment(tmp_path), tmp_path / "night.sqlite"
        options = ("--web", f"127.0.0.1:{port}")
        with (
            HeadbandProgram(tmp_path, env, "--night", "3600", "--settle", "0.5"),
            MonitorProgram(tmp_path, env, store, server.url, *options) as monitor,
        ):
            words = f"The page: the page cannot be served at 127.0.0.1:{port}"
            wait_for(lambda: words in monitor.errors(), "the reason", 60, monitor)
            wait_for(lambda: bool(query(store, "SELECT id FROM session")), "the night", 60, monitor)


def test_a_link_that_is_lost_is_told_once(server: RedisServer, tmp_path: Path) -> None:
    """The headband dies at 3 am: one command, and a line on the page."""
    told, script = tmp_path / "told", tmp_path / "tell"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(told)!r}, 'a').write(sys.argv[1] + '\\n')\n"
    )
    script.chmod(0o700)
    config = tmp_path / "night.toml"
    config.write_text(f'[alert]\nafter = 5\ncommand = ["{script}", "{{text}}"]\n')
    with LiveNight(tmp_path, server.url, "--config", str(config)) as night:
        night.until_served()
        assert night.page.mark(kind="lights_off").status == 201
        night.headband.kill()
        wait_for(told.exists, "the alert", 60, night.monitor)
        wait_for(
            lambda: (night.page.now()["sleepers"][0]["trouble"] or {}).get("since_utc"),
            "the line on the page",
            20,
            night.monitor,
        )
        time.sleep(3.0)
    (line,) = told.read_text().splitlines()
    assert line.startswith("No signal from the headband: check it (for ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("live", "lsl", "--web", "evil.example"), "'evil.example' is no address of the page"),
        (("live", "lsl", "--web", "127.0.0.1:99999"), "port 99999 of the page must be"),
        (("live", "lsl", "--no-redis", "--web"), "leave out --no-redis, or --web"),
        (("web", "1.2.3"), "'1.2.3' is no address of the page"),
        (("web", "--redis", "http://x"), "redis"),
        (("web", "192.0.2.1"), "the page cannot be served at 192.0.2.1:8030"),
    ],
)
def test_mistakes_are_named_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    with Program("page", "monitor.cli", arguments, tmp_path, environment(tmp_path)) as program:
        assert program.process.wait(30) == 2
        (line,) = program.errors().splitlines()
    assert line.startswith("sleep-monitor: ") and words in line


def test_the_page_beside_a_running_night_and_its_link(server: RedisServer, tmp_path: Path) -> None:
    env, port = environment(tmp_path), free_port()
    command = ("web", str(port), "--redis", server.url)
    with Program("page", "monitor.cli", command, tmp_path, env) as program:
        wait_for(lambda: "The page: " in program.out.read_text(), "the link", 30, program)
        assert program.out.read_text() == f"The page: http://127.0.0.1:{port}/\n"
        assert Page(port).now()["sleepers"] == []
        assert program.end() == 0
        assert program.errors() == ""
    with Program("link", "monitor.cli", ("web", "0.0.0.0", "--link"), tmp_path, env) as link:
        assert link.process.wait(30) == 0
        first = link.out.read_text()
    with Program("again", "monitor.cli", ("web", "0.0.0.0", "--link"), tmp_path, env) as again:
        assert again.process.wait(30) == 0
        assert again.out.read_text() == first  # a bookmark stays good
    assert re.fullmatch(r"The page: http://\S+:8030/\?token=[\w-]{43}\n", first)
