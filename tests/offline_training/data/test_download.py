"""Downloads from a real server: resume, repeat, report, and check every file."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.clock import ManualClock
from offline_training.data.download import GIVE_UP_AFTER, fetch_all
from offline_training.data.prepared import load_prepared
from offline_training.data.sleep_edf import read_checksums
from tests.offline_training.data.nights import sleep_edf_night, write_checksums
from tests.offline_training.data.web import Behaviour, serve
from tests.offline_training.program import Program

PSG = "sleep-cassette/SC4001E0-PSG.edf"
HYPNOGRAM = "sleep-cassette/SC4001EC-Hypnogram.edf"


class Mirror:
    """A data set on a web server, and the command that fetches and prepares it."""

    def __init__(self, folder: Path, url: str, web: Behaviour, program: Program) -> None:
        self.published, self.root, self.out = folder / "web", folder / "root", folder / "out"
        self.url, self.web, self._program = url, web, program
        self.table = folder / "checksums.csv"

    def publish(self, *nights: str) -> None:
        for seed, psg in enumerate(nights):
            sleep_edf_night(self.published, psg, seed=seed)
        write_checksums(self.published, self.table)

    def content(self, path: str) -> bytes:
        return (self.published / path).read_bytes()

    def put(self, path: str, content: bytes) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)

    def fetched(self, path: str) -> bool:
        """True if the file has the published content and no partial file is left."""
        local = self.root / path
        parts = list(self.root.rglob("*.part"))
        return not parts and local.read_bytes() == self.content(path)

    def fetch(self, url: str | None = None) -> tuple[int, str, str]:
        return self._program(
            "prepare",
            "sleep-edf",
            *("--root", str(self.root), "--out", str(self.out), "--jobs", "1", "--download"),
            *("--base-url", url or self.url, "--checksums", str(self.table)),
        )


@pytest.fixture
def mirror(
    tmp_path: Path, sleep_train: Program, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mirror]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "web").mkdir()
    with serve(tmp_path / "web") as (url, web):
        yield Mirror(tmp_path, url, web, sleep_train)


def test_each_file_is_fetched_once(mirror: Mirror) -> None:
    mirror.publish("SC4001E0", "SC4002E0")
    code, stdout, stderr = mirror.fetch()
    assert code == 0
    assert "2 recordings of 1 subject in" in stdout
    assert "0 min left" in stderr
    assert [night.name for night in load_prepared(mirror.out)] == ["SC4001", "SC4002"]
    assert mirror.fetched(PSG)
    assert len(mirror.web.requests) == 4
    assert "(0 prepared now, 2 already there)" in mirror.fetch()[1]
    assert len(mirror.web.requests) == 4


def test_a_partial_file_is_completed(mirror: Mirror) -> None:
    mirror.publish("SC4001E0")
    mirror.put(PSG, mirror.content(PSG)[:1000])
    mirror.put(HYPNOGRAM + ".part", mirror.content(HYPNOGRAM)[:500])
    assert mirror.fetch()[0] == 0
    assert mirror.web.requests == [(f"/{PSG}", "bytes=1000-"), (f"/{HYPNOGRAM}", "bytes=500-")]
    assert mirror.fetched(PSG)
    assert mirror.fetched(HYPNOGRAM)


def test_a_server_without_ranges_sends_the_whole_file_again(mirror: Mirror) -> None:
    mirror.publish("SC4001E0")
    mirror.web.ranges = False
    size = len(mirror.content(PSG)) - 10
    mirror.put(PSG, mirror.content(PSG)[:size])
    assert mirror.fetch()[0] == 0
    assert mirror.web.requests == [(f"/{PSG}", f"bytes={size}-"), (f"/{HYPNOGRAM}", None)]
    assert mirror.fetched(PSG)


def test_a_closed_connection_is_resumed_at_the_last_byte(mirror: Mirror) -> None:
    mirror.publish("SC4001E0")
    mirror.web.close_after = [3000, 5000]
    assert mirror.fetch()[0] == 0
    assert [range_ for path, range_ in mirror.web.requests if path == f"/{PSG}"] == [
        None,
        "bytes=3000-",
        "bytes=8000-",
    ]
    assert mirror.fetched(PSG)


def test_a_request_to_a_busy_server_is_repeated(mirror: Mirror) -> None:
    mirror.publish("SC4001E0")
    mirror.web.status = [503]
    assert mirror.fetch()[0] == 0
    assert mirror.fetched(PSG)


@pytest.mark.parametrize("longer", [b"", b"more"])
def test_a_corrupted_file_is_fetched_again(mirror: Mirror, longer: bytes) -> None:
    mirror.publish("SC4001E0")
    content = mirror.content(PSG)
    mirror.put(PSG, content[:-1] + bytes([content[-1] ^ 1]) + longer)
    assert mirror.fetch()[0] == 0
    assert mirror.web.requests[0] == (f"/{PSG}", None)
    assert mirror.fetched(PSG)


def test_a_corrupted_partial_file_is_detected(mirror: Mirror) -> None:
    mirror.publish("SC4001E0")
    mirror.put(PSG + ".part", bytes(1000))
    assert mirror.fetch()[0] == 0
    assert [range_ for path, range_ in mirror.web.requests if path == f"/{PSG}"] == [
        "bytes=1000-",
        None,
    ]
    assert mirror.fetched(PSG)


@pytest.mark.parametrize("change", ["bit", "short", "long"])
def test_a_wrong_file_on_the_server_is_reported(mirror: Mirror, change: str) -> None:
    mirror.publish("SC4001E0", "SC4002E0")
    content = mirror.content(PSG)
    wrong = {"bit": content[:-1] + b"?", "short": content[:-5], "long": content + b"more"}[change]
    (mirror.published / PSG).write_bytes(wrong)
    code, stdout, stderr = mirror.fetch()
    assert code == 0
    assert f"{PSG} is not the published file, fetched twice" in stderr
    assert "SC4001E0-PSG.edf is missing" in stdout
    assert [night.name for night in load_prepared(mirror.out)] == ["SC4002"]
    assert not list(mirror.root.rglob("*.part"))


def test_a_missing_file_is_reported_at_once(mirror: Mirror) -> None:
    mirror.publish("SC4001E0", "SC4002E0")
    (mirror.published / PSG).unlink()
    code, stdout, stderr = mirror.fetch()
    assert code == 0
    assert f"not fetched: {mirror.url}/{PSG} cannot be fetched: 404 Not Found" in stderr
    assert len(mirror.web.requests) == 4
    assert "1 recording of 1 subject in" in stdout


def test_a_server_without_the_files_is_given_up(mirror: Mirror) -> None:
    mirror.publish("SC4001E0", "SC4002E0")
    code, stdout, stderr = mirror.fetch(mirror.url + "/elsewhere")
    assert code == 1
    assert len(mirror.web.requests) == stderr.count("not fetched:") == 3
    assert "4 of 4 files are missing" in stderr
    assert "run the same command again" in stderr
    assert "error: no recording was prepared" in stderr
    assert "Traceback" not in stdout + stderr


def test_requests_to_an_unreachable_server_are_repeated_then_given_up(
    mirror: Mirror,
) -> None:
    mirror.publish("SC4001E0", "SC4002E0")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    clock = ManualClock()
    wanted = [(file, mirror.root / file.path) for file in read_checksums(mirror.table)]
    errors = fetch_all(f"http://127.0.0.1:{port}", wanted, lambda *_: None, clock)
    assert len(errors) == GIVE_UP_AFTER < len(wanted)
    assert all("Connection refused, 5 times" in str(error) for error in errors)
    assert 0.5 * 7.5 <= clock.monotonic_s() / GIVE_UP_AFTER <= 7.5


def test_too_little_disk_space_is_reported_before_any_request(mirror: Mirror) -> None:
    mirror.publish("SC4001E0")
    lines = mirror.table.read_text().splitlines()
    lines[1] = lines[1].rpartition(",")[0] + f",{10**18}"
    mirror.table.write_text("\n".join(lines))
    code, _, stderr = mirror.fetch()
    assert code == 2
    assert "1000000000.0 GB are to be fetched" in stderr
    assert not mirror.web.requests
