"""Texts that `sleep-train prepare` prints: download progress and the result of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from models.contract import STAGES
from monitor.clock import Clock
from offline_training.data.download import Progress
from offline_training.data.layout import Card, card_path
from offline_training.data.left_out import left_out_lines, note_lines
from offline_training.data.prepare import Prepared
from offline_training.data.trim import describe_trim


def summary(done: Prepared, out: Path, wake_min: float | None) -> list[str]:
    """Return the lines that describe the result of a run."""
    cards = [*done.made, *done.kept]
    stages = [stage for card in cards for stage in card.stages]
    unusable = sum(len(epochs) for card in cards for epochs in card.unusable.values())
    counts = ", ".join(f"{name} {stages.count(i)}" for i, name in enumerate(STAGES))
    return [
        f"{_counted(len(cards), 'recording')} of "
        f"{_counted(len({card.subject for card in cards}), 'subject')} in {out} "
        f"({len(done.made)} prepared now, {len(done.kept)} already there), "
        f"{describe_trim(wake_min)}",
        f"{len(stages)} epochs: {counts}, not scored {stages.count(-1)}; unusable {unusable}",
        *note_lines([(card.name, card.notes) for card in cards]),
        *left_out_lines(done.left_out),
    ]


def orphan_warning(orphaned: Sequence[Card], out: Path) -> str:
    """Return the warning about recordings whose files were removed or renamed."""
    names = ", ".join(card.name for card in orphaned[:3]) + (", ..." if len(orphaned) > 3 else "")
    return (
        f"warning: {out} still holds {_counted(len(orphaned), 'recording')} whose files are not "
        f"among those of this run: {names}. If a file was renamed, or its subject has another name "
        "now, one person counts as two: remove the cards of recordings that should not be there "
        f"({card_path(out, orphaned[0].dataset, orphaned[0].name)} ...) and run the command again"
    )


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"


def download_progress(clock: Clock, every_s: float = 5.0) -> Progress:
    """Return a callback that prints progress on stderr, at most once every ``every_s`` seconds."""
    start_s = printed_s = clock.monotonic_s()
    first: int | None = None

    def report(present: int, total: int, path: str) -> None:
        nonlocal printed_s, first
        first = present if first is None else first
        now_s = clock.monotonic_s()
        if now_s - printed_s < every_s and present < total:
            return
        printed_s = now_s
        # The rate counts only the bytes of this run, not those that were already on disk.
        rate = max(1.0, (present - first) / max(1e-3, now_s - start_s))
        typer.echo(
            f"download {present / 1e9:.2f}/{total / 1e9:.2f} GB  {rate / 1e6:.1f} MB/s  "
            f"{(total - present) / rate / 60:.0f} min left  {path}",
            err=True,
        )

    return report
