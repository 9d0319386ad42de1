"""The screen and the words of `sleep-monitor check`: every electrode, then a verdict."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from monitor.closing import Closing
from monitor.sinks.dashboard.quiet import HeldLog
from monitor.types import ChannelState, Contact, Reason, SampleLedger

SAME_RATE = 0.005
"""A measured rate within half a percent of the stated one is that rate: crystals differ less."""

MUCH_LOST = 0.1
"""Share of a signal that may be lost before the verdict advises on it: a poor signal in a night."""

_ELECTRODES = {
    None: "good",
    Reason.MISSING: "no signal; bring the receiver closer, and charge the headband",
    Reason.FLAT: "off the skin; moisten it, and press it on",
    Reason.RAILED: "off the skin; moisten it, and press it on",
    Reason.MAINS: "off the skin: it shows mains hum alone; moisten it, and press it on",
    Reason.AMPLITUDE: "loose: its signal is too strong to be EEG; press it on, and keep still",
    Reason.NOISE: "off the skin: it shows noise alone; moisten it, and press it on",
}
_DERIVATIONS = {
    Reason.MISSING: "too many of its samples are lost",
    Reason.FLAT: "an electrode is off the skin",
    Reason.RAILED: "an electrode is off the skin",
    Reason.MAINS: "it shows mains hum alone",
    Reason.AMPLITUDE: "its signal is too strong to be EEG",
    Reason.NOISE: "it shows noise alone, as off the head",
}


@dataclass(frozen=True, slots=True)
class CheckState:
    """The check of one sleeper's headband, as it goes on.

    - ``status``: what the source does. ``left_s``: seconds to go; None before the first sample.
    - ``channels``: the electrodes now; empty in the first seconds.
    """

    sleeper: str
    status: str
    left_s: float | None
    channels: tuple[ChannelState, ...]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check that is over. Electrodes and derivations are judged on its last epoch.

    - ``problem``: why there was nothing to judge; "" if there was.
    - ``derivations``: those that may be staged, the preferred one first, each with the reason why
      it cannot be staged, or None.
    - ``unused``: the channels that no derivation needs.
    - ``sfreq_hz``: the rate that the device states. ``true_hz``: the measured one; None: unknown.
    """

    sleeper: str
    problem: str = ""
    device: str = ""
    channels: tuple[ChannelState, ...] = ()
    unused: tuple[str, ...] = ()
    derivations: tuple[tuple[str, Reason | None], ...] = ()
    sfreq_hz: float = 0.0
    true_hz: float | None = None
    ledger: SampleLedger = field(default_factory=SampleLedger)

    @property
    def staged(self) -> str | None:
        """The derivation that a night would begin with; None if none can be staged."""
        return next((name for name, reason in self.derivations if reason is None), None)


class CheckView(Protocol):
    """A view of a check that goes on."""

    def update(self, states: Sequence[CheckState]) -> None:
        """Show ``states``, one for each sleeper. Call it often."""
        ...


def check_view(console: Console) -> LiveCheck | PlainCheck:
    """Return the view that fits ``console``: a few lines that change, or plain lines."""
    return LiveCheck(console) if console.is_terminal else PlainCheck(console)


class LiveCheck(Closing):
    """A view that draws the electrodes again and again in the same place of a terminal."""

    def __init__(self, console: Console) -> None:
        self._held_log = HeldLog()
        self._held_log.hold()
        self._live = Live(Text(), console=console, auto_refresh=False, transient=True)
        self._shown = ""
        self._live.start()

    def update(self, states: Sequence[CheckState]) -> None:
        """See `CheckView.update`."""
        lines = [line for state in states for line in (_progress(state), *_electrodes(state))]
        if (text := "\n".join(lines)) != self._shown:
            self._shown = text
            self._live.update(Text(text), refresh=True)

    def close(self) -> None:
        """Remove the lines, and write the log lines that came meanwhile."""
        self._live.stop()
        self._held_log.restore()


class PlainCheck(Closing):
    """A view that prints a line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[tuple[str, str], object] = {}

    def update(self, states: Sequence[CheckState]) -> None:
        """See `CheckView.update`."""
        for state in states:
            # A status counts the seconds that it waits: the words alone are news.
            waits = state.left_s is None
            news = re.sub(r"\d+", "", state.status) if waits else ""
            self._print(state, "", news, _progress(state))
            for channel, line in zip(state.channels, _electrodes(state), strict=True):
                self._print(state, channel.name, channel.reason, line)

    def close(self) -> None:
        """Do nothing: what was printed stays."""

    def _print(self, state: CheckState, name: str, value: object, line: str) -> None:
        key = state.sleeper, name
        if key not in self._shown or self._shown[key] != value:
            self._shown[key] = value
            self._console.print(Text(line), soft_wrap=True)


def electrode_words(channel: ChannelState) -> str:
    """Return the contact of an electrode in words, with what to do if it is not good."""
    return _ELECTRODES[channel.reason]


def verdict_lines(result: CheckResult) -> list[str]:
    """Return the result of a check as lines; the last one is the verdict."""
    who = _prefix(result.sleeper)
    if result.problem:
        return [f"{who}not ready: {result.problem}"]
    lines = [f"{who}{result.device}: {_rate(result)}, {_lost(result.ledger)}"]
    lines += [f"  {channel.name}: {electrode_words(channel)}" for channel in result.channels]
    if result.unused:
        lines.append(f"  not used: {', '.join(result.unused)}")
    for name, reason in result.derivations:
        words = "can be staged" if reason is None else f"cannot be staged: {_DERIVATIONS[reason]}"
        lines.append(f"  {name} {words}")
    if result.ledger.lost > MUCH_LOST * result.ledger.expected:
        lines.append("  Much of the signal is lost: bring the receiver closer")
    return [*lines, f"{who}{_verdict(result)}"]


def _verdict(result: CheckResult) -> str:
    if result.staged is not None:
        preferred, _ = result.derivations[0]
        better = "" if result.staged == preferred else f", since {preferred} cannot be"
        return f"ready for the night: {result.staged} would be staged{better}"
    bad = [channel.name for channel in result.channels if channel.contact is not Contact.GOOD]
    if not bad:
        return "not ready: the electrodes record no EEG. Put the band on, and check again"
    if len(bad) == len(result.channels):
        return (
            "not ready: no electrode is good. Put the band on, moisten the electrodes, and check "
            "again"
        )
    return f"not ready: see to {' and '.join(bad)}, and check again"


def _rate(result: CheckResult) -> str:
    if result.true_hz is None:
        return f"{result.sfreq_hz:g} Hz stated"
    if abs(result.true_hz / result.sfreq_hz - 1.0) < SAME_RATE:
        return f"{result.true_hz:.1f} Hz"
    return f"{result.true_hz:.1f} Hz, and not {result.sfreq_hz:g} Hz as it states"


def _lost(ledger: SampleLedger) -> str:
    dropped = ledger.late + ledger.duplicate + ledger.invalid
    words = f"{ledger.lost / ledger.expected:.1%} lost" if ledger.lost else "nothing lost"
    return f"{words}, {dropped:,} samples dropped" if dropped else words


def _progress(state: CheckState) -> str:
    if state.left_s is None:
        return f"{_prefix(state.sleeper)}{state.status}"
    left = f"{max(0.0, state.left_s):.0f} s to go"
    return f"{_prefix(state.sleeper)}Wear the band, and keep still: {left}"


def _electrodes(state: CheckState) -> list[str]:
    return [f"  {channel.name}: {electrode_words(channel)}" for channel in state.channels]


def _prefix(sleeper: str) -> str:
    return f"{sleeper}: " if sleeper else ""
