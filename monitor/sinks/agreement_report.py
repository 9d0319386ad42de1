"""Agreement with an expert, for people: the scores of both tracks and their confusion matrices."""

from __future__ import annotations

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table

from models.contract import STAGES
from monitor.night.agreement import Agreement


def agreement_report(live: Agreement, revised: Agreement, expert: str) -> RenderableType:
    """Return the scores and the confusion of both tracks; ``expert`` is the file they refer to."""
    scores = Table(title=f"Agreement with the expert ({expert})", title_justify="left")
    scores.add_column("track")
    for name in ("accuracy", "macro-F1", "kappa", "epochs compared"):
        scores.add_column(name, justify="right")
    for track, result in (("live", live), ("revised", revised)):
        scores.add_row(
            track,
            _number(result.accuracy),
            _number(result.macro_f1),
            _number(result.kappa),
            f"{result.n_scored} of {result.n_expert}",
        )
    confusions = Columns([_confusion("live", live), _confusion("revised", revised)], padding=(0, 4))
    return Group("", scores, "", "Confusion: rows the expert, columns the monitor", confusions)


def _confusion(track: str, result: Agreement) -> Table:
    table = Table(track)
    for stage in STAGES:
        table.add_column(stage.value, justify="right")
    for stage, row in zip(STAGES, result.confusion, strict=True):
        table.add_row(stage.value, *(str(count) for count in row))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
