"""`sleep-monitor doctor`: checks that this machine is ready for a night, and gives advice."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.config import Settings, config_file, read_settings
from monitor.doctor import devices, machine, services
from monitor.doctor.finding import Check, Finding, Verdict, findings, ok, problem
from monitor.doctor.ways import ways_out
from monitor.errors import InputError

_STYLES = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "bold red"}


def examine(console: Console, config: Path | None, redis_url: str | None) -> bool:
    """Print each finding as it comes; return False if one of them is a problem.

    The doctor changes nothing. Nothing leaves the machine except LSL's search, a request to the
    event server, and a connection to the peer of each way out.
    """
    settings, configuration = _configuration(config, redis_url)
    checks: list[tuple[str, Check]] = [
        ("configuration", lambda: iter([configuration])),
        ("Python", machine.python),
        ("network", partial(services.network, settings)),
        ("LSL", devices.lsl),
        ("multicast", devices.multicast),
        ("BrainFlow", partial(devices.brainflow, settings)),
        ("Bluetooth", devices.bluetooth),
        ("serial ports", devices.serial_ports),
        ("event server", partial(services.event_server, settings)),
        ("ways out", partial(ways_out, settings)),
        ("disk", partial(machine.disk, settings)),
        ("clock", machine.clock),
        ("suspend", machine.suspend),
    ]
    has_problem = False
    for name, check in checks:
        for finding in findings(check):
            _print(console, name, finding)
            has_problem |= finding.verdict is Verdict.PROBLEM
    return not has_problem


def _configuration(config: Path | None, redis_url: str | None) -> tuple[Settings, Finding]:
    """Return the settings to check with.

    If the file or the environment is wrong, the settings hold only ``redis_url`` and the defaults.
    """
    try:
        settings = read_settings(config, redis=redis_url)
        path = config_file(config)
        if not settings.sleeper:
            return settings, ok(f"no sleepers in {path}" if path else "no file, which is fine")
        names = ", ".join(each.sleeper for each in settings.live().sleepers)
        return settings, ok(f"{path}: {len(settings.sleeper)} sleeper(s) {names}")
    except InputError as exc:
        usable = Settings.model_construct(redis=redis_url)
        return usable, problem(str(exc), "correct it; the checks below use the defaults")


def _print(console: Console, name: str, finding: Finding) -> None:
    row = Table.grid(padding=(0, 2))
    row.add_column(width=len(Verdict.UNCHECKED))
    row.add_column(width=13)
    row.add_column()
    text = Text(finding.found)
    if finding.advice:
        text.append(f"\n-> {finding.advice}", style="dim")
    style = _STYLES.get(finding.verdict, "dim")
    row.add_row(Text(finding.verdict, style=style), Text(name), text)
    console.print(row)
