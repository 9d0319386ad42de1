"""What `sleep-train prepare` tells: how far a download is, and what a run did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from models.contract import STAGES
from monitor.clock import Clock
from offline_training.data.download import Progress
from offline_training.data.layout import Card, card_path
from offline_training.data.left_out import listed
from offline_training.data.prepare import Prepared
from offline_training.data.trim import spoken_trim


def summary(done: Prepared, out: Path, wake_min: float | None) -> list[str]:
    """What a run did, line by line."""
    cards = [*done.made, *done.kept]
    stages = [stage for card in cards for stage in card.stages]
    unusable = sum(len(epochs) for card in cards for epochs in card.unusable.values())
    counts = ", ".join(f"{name} {stages.count(i)}" for i, name in enumerate(STAGES))
    return [
        f"{_counted(len(cards), 'recording')} of "
        f"{_counted(len({card.subject for card in cards}), 'subject')} in {out} "
        f"({len(done.made)} prepared now, {len(done.kept)} already there), {spoken_trim(wake_min)}",
        f"{len(stages)} epochs: {counts}, not scored {stages.count(-1)}; unusable {unusable}",
        *listed(done.left_out),
    ]


def warning_of_gone(gone: Sequence[Card], out: Path) -> str:
    """What to say of recordings whose files are gone or were renamed."""
    names = ", ".join(card.name for card in gone[:3]) + (", ..." if len(gone) > 3 else "")
    return (
        f"warning: {out} still holds {_counted(len(gone), 'recording')} whose files are not among "
        f"those of this run: {names}. If a file was renamed, or its subject is called otherwise "
        "now, one person counts as two: remove what should not be there "
        f"({card_path(out, gone[0].dataset, gone[0].name)} ...) and give the command again"
    )


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def download_progress(clock: Clock, every_s: float = 5.0) -> Progress:
    """A line on stderr every few seconds: how much is there, how fast, how long still."""
    start_s = told_s = clock.monotonic_s()
    first: int | None = None

    def report(there: int, total: int, path: str) -> None:
        nonlocal told_s, first
        first = there if first is None else first
        now_s = clock.monotonic_s()
        if now_s - told_s < every_s and there < total:
            return
        told_s = now_s
        rate = max(1.0, (there - first) / max(1e-3, now_s - start_s))
        typer.echo(
            f"download {there / 1e9:.2f}/{total / 1e9:.2f} GB  {rate / 1e6:.1f} MB/s  "
            f"{(total - there) / rate / 60:.0f} min left  {path}",
            err=True,
        )

    return report
