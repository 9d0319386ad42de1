"""The fault table as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.measuring.night_check import NightCheck
from tests.measuring.sent import SentSamples

HEAD = (
    "| fault | injected | what the monitor did | received + filled + lost = expected, at 100 Hz "
    "| of the device's: arrived, late, twice, not finite, put in order | sent, by the injector "
    "| epochs (unscored) | grid error at the end; largest, in samples | wrong |\n"
    + "|---" * 9
    + "|"
)


@dataclass(frozen=True, slots=True)
class FaultRow:
    """The result of one case: the samples that were sent, and the night that was stored."""

    case: str
    injected: str
    sent: SentSamples
    stored: NightCheck
    notes: list[str]


def markdown(row: FaultRow) -> str:
    """Return one line of the table."""
    stored, ledger = row.stored, row.stored.ledger
    changes = ", ".join(f"{text} x{n}" if n > 1 else text for text, n in stored.changes.items())
    unscored = ", ".join(f"{n} {reason}" for reason, n in stored.unscored.items()) or "0"
    columns = (
        row.case,
        row.injected.replace("|", "/"),
        "; ".join([changes or "nothing", *row.notes]),
        f"{ledger['received']} + {ledger['filled']} + {ledger['lost']} = {ledger['expected']}",
        ", ".join(str(ledger[k]) for k in ("arrived", "late", "duplicate", "invalid", "reordered")),
        _sent_text(row.sent),
        f"{stored.n_epochs} ({unscored})",
        _lag_text(stored),
        "; ".join(stored.wrong) or "nothing",
    )
    return "| " + " | ".join(columns) + " |"


def _lag_text(stored: NightCheck) -> str:
    if stored.lag_last is None or stored.lag_worst is None:
        return "not known"
    return f"{stored.lag_last:+.3f}; {stored.lag_worst:+.3f} of {stored.lags_known} epochs"


def _sent_text(sent: SentSamples) -> str:
    details = (
        (sent.twice, f"{sent.twice} twice"),
        (sent.overtaken, f"{sent.overtaken} overtaken"),
        (sent.not_finite, f"{sent.not_finite} not finite"),
        (sent.short_gaps_s, f"short gaps {sent.short_gaps_s:.2f} s"),
        (sent.long_gaps_s, f"long gaps {sent.long_gaps_s:.2f} s"),
    )
    return ", ".join([f"{sent.sent} of {sent.measured}", *(text for n, text in details if n)])


def write(rows: Sequence[FaultRow], folder: Path) -> None:
    """Write the table to ``folder``, as faults.md and faults.json."""
    text = "\n".join([HEAD, *map(markdown, rows)]) + "\n"
    (folder / "faults.md").write_text(text, encoding="utf-8")
    (folder / "faults.json").write_text(
        json.dumps([asdict(row) for row in rows], indent=2, default=str), encoding="utf-8"
    )
