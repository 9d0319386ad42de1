"""The doctor's findings on this machine, and on folders that look like other machines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.config import read_settings
from monitor.doctor import devices, machine, services
from monitor.doctor.finding import Finding, Verdict, findings, ok, problem
from monitor.errors import MonitorError
from monitor.sinks.redis_server import RedisServer
from tests.lsl_peer import configuration

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's folders")


@pytest.fixture(autouse=True)
def new_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test as a user without a configuration and without nights."""
    for folder in ("config", "data"):
        monkeypatch.setenv(f"XDG_{folder.upper()}_HOME", str(tmp_path / folder))
    for variable in ("CONFIG", "REDIS", "GAIN"):
        monkeypatch.delenv(f"SLEEP_MONITOR_{variable}", raising=False)


def verdicts(found: list[Finding]) -> list[Verdict]:
    return [each.verdict for each in found]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_check_that_raises_becomes_a_problem() -> None:
    def refused() -> Iterator[Finding]:
        yield ok("so far")
        raise MonitorError("no: do that")

    def broken() -> Iterator[Finding]:
        yield ok("so far")
        raise ZeroDivisionError("division\nby zero")

    assert findings(refused) == [ok("so far"), problem("failed", "no: do that")]
    assert findings(broken)[1].found == "failed: ZeroDivisionError: division by zero"


def test_a_check_that_hangs_becomes_a_problem() -> None:
    end = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield ok("so far")
        end.wait()

    found = findings(hangs, limit_s=0.05)
    end.set()
    assert verdicts(found) == [Verdict.OK, Verdict.PROBLEM]
    assert found[1].found == "no answer in 0.05 s"


def test_the_network_stages_an_epoch() -> None:
    backend, speed = findings(lambda: services.network(read_settings(gain="unknown")))
    assert (backend.verdict, speed.verdict) == (Verdict.OK, Verdict.OK)
    assert "Staging with " in backend.found
    assert "stages an epoch in" in speed.found


def test_weights_for_another_gain_are_a_problem(tmp_path: Path) -> None:
    from models.card import default_weights
    from models.contract import Gain

    settings = read_settings(gain="unknown", weights=default_weights(Gain.KNOWN))
    assert findings(lambda: services.network(settings))[0].verdict is Verdict.PROBLEM
    settings = read_settings(weights=tmp_path / "none.safetensors")
    (found,) = findings(lambda: services.network(settings))
    assert (found.verdict, found.found) == (Verdict.PROBLEM, "failed")
    assert "cannot use the weights" in found.advice


def test_event_servers(tmp_path: Path) -> None:
    def check(url: str | None) -> Finding:
        (found,) = findings(lambda: services.event_server(read_settings(redis=url)))
        return found

    assert check("none").verdict is Verdict.OK
    assert check(None) == ok("the one inside the monitor starts")
    with RedisServer(port=0, password="secret") as server:
        assert check(server.url).verdict is Verdict.OK
        wrong = check(server.url.replace("secret", "guess"))
        assert wrong.verdict is Verdict.PROBLEM
    gone = check(server.url)
    assert gone.verdict is Verdict.PROBLEM
    assert "refused" in gone.found
    assert "secret" not in gone.found + wrong.found


@pytest.mark.parametrize(
    ("version", "verdict"), [("6.0.16", Verdict.PROBLEM), ("6.2.0", Verdict.OK)]
)
def test_old_servers_are_a_problem(version: str, verdict: Verdict) -> None:
    assert services.version_finding(version, "redis://host").verdict is verdict


def test_disk(tmp_path: Path) -> None:
    def check(store: Path | None) -> Finding:
        source = {"source": "lsl"} | ({} if store is None else {"store": store})
        (found,) = findings(lambda: machine.disk(read_settings(sleeper=[source])))
        return found

    assert check(None).verdict is Verdict.OK
    assert not (tmp_path / "data").exists(), "the check makes no folder"
    missing = check(tmp_path / "nights" / "a.sqlite")
    assert missing.verdict is Verdict.PROBLEM
    assert missing.found == f"there is no folder {tmp_path / 'nights'}"
    if sys.platform.startswith("linux"):
        assert check(Path("/proc/a.sqlite")).found.startswith("cannot write in /proc")


def test_the_room_needed_grows_with_the_sleepers(tmp_path: Path) -> None:
    settings = read_settings(sleeper=["lsl:name=a", "lsl:name=b"])
    (found,) = findings(lambda: machine.disk(settings))
    assert "0.7 GB are enough" in found.found


def test_boards_of_sleepers_must_exist() -> None:
    sources = ["brainflow:board=synthetic", "brainflow:board=mouse_s", "brainflow:board=cyton"]
    _, wrong, no_port = findings(lambda: devices.brainflow(read_settings(sleeper=sources)))
    assert (wrong.verdict, wrong.found) == (Verdict.PROBLEM, "sleeper[2]")
    assert "did you mean muse_s" in wrong.advice
    assert "needs --port" in no_port.advice


@linux
def test_bluetooth(tmp_path: Path) -> None:
    sys_folder, proc = tmp_path / "sys", tmp_path / "proc"

    def check() -> list[Finding]:
        return findings(lambda: devices.bluetooth(sys_folder, proc))

    assert check()[0].found == "no adapter"
    (sys_folder / "class/bluetooth/hci0").mkdir(parents=True)
    assert "bluetoothd does not run" in check()[0].found
    write(proc / "7/comm", "bluetoothd\n")
    assert check() == [ok("hci0")]
    write(sys_folder / "class/rfkill/rfkill0/type", "bluetooth\n")
    write(sys_folder / "class/rfkill/rfkill0/hard", "0\n")
    write(sys_folder / "class/rfkill/rfkill0/soft", "1\n")
    assert check()[0].advice == "run: rfkill unblock bluetooth"
    write(sys_folder / "class/rfkill/rfkill0/hard", "1\n")
    assert "press the switch" in check()[0].advice


@pytest.mark.skipif(sys.platform == "win32", reason="ports have no files")
def test_serial_ports(tmp_path: Path) -> None:
    def check() -> list[Finding]:
        return findings(lambda: devices.serial_ports(tmp_path))

    assert verdicts(check()) == [Verdict.OK]
    port = tmp_path / "ttyUSB0"
    port.touch()
    assert check() == [ok(str(port))]
    if os.geteuid() != 0:  # root may open every port
        port.chmod(0)
        assert "dialout" in check()[0].advice


@linux
def test_laptops_suspend(tmp_path: Path) -> None:
    sys_folder, etc = tmp_path / "sys", tmp_path / "etc"

    def check() -> Finding:
        (found,) = findings(lambda: machine.suspend(sys_folder, etc))
        return found

    assert check().verdict is Verdict.OK
    write(sys_folder / "class/power_supply/mouse/type", "Battery\n")
    write(sys_folder / "class/power_supply/mouse/scope", "Device\n")
    assert check().verdict is Verdict.OK
    write(sys_folder / "class/power_supply/BAT0/type", "Battery\n")
    assert "systemd-inhibit" in check().advice
    (etc / "systemd/system").mkdir(parents=True)
    (etc / "systemd/system/suspend.target").symlink_to("/dev/null")
    assert check() == ok("never suspends")


@pytest.mark.parametrize(
    ("text", "status", "row"),
    [
        ("[[sleeper]]\nsource = 'lsl'", 0, "ok +configuration +.*night.toml: 1 sleeper"),
        ("[[sleeper]]\nsource = 'x'", 1, r"problem +configuration +.*sleeper\[1\]: source must"),
    ],
)
def test_a_whole_examination(text: str, status: int, row: str, tmp_path: Path) -> None:
    """The command runs on this machine. Only the configuration file can be a problem here."""
    write(tmp_path / "lsl_api.cfg", configuration(f"doctor-{os.getpid()}"))
    write(tmp_path / "night.toml", text)
    # It runs in a process of its own, because liblsl reads its configuration once.
    done = subprocess.run(
        [sys.executable, "-m", "monitor.cli", "doctor", "--config", tmp_path / "night.toml"],
        env=os.environ | {"LSLAPICFG": str(tmp_path / "lsl_api.cfg"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert re.search(row, done.stdout), done.stdout
    assert "a stream made here is found" in done.stdout
    assert "its synthetic board delivers samples" in done.stdout
    assert "Traceback" not in done.stderr
