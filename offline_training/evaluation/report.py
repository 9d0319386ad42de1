"""Results for people: tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from models.contract import STAGES
from monitor.night.agreement import Agreement
from monitor.types import Track
from offline_training.data.scored import ScoredNight
from offline_training.data.trim import describe_trim
from offline_training.evaluation.coverage import COVERAGES
from offline_training.evaluation.intervals import Interval
from offline_training.evaluation.networks import Network
from offline_training.evaluation.noise import NoiseKind
from offline_training.evaluation.robustness import CLEAN, GAINS, SNRS_DB, Outcomes, Setting
from offline_training.evaluation.run import Timing, Tracks


def scope_report(nights: Sequence[ScoredNight], wake_min: float | None) -> Text:
    """Name the recordings and the wake that counts: much easy wake raises accuracy and kappa."""
    names = nights[0].name if len(nights) == 1 else f"{len(nights)} recordings"
    return Text(f"\n{names}, {describe_trim(wake_min)}")


def network_report(label: str, pooled: Tracks, warning: str | None) -> RenderableType:
    """Show one network's scores over all recordings, both tracks side by side."""
    warned: list[RenderableType] = [] if warning is None else ["", Text(warning)]
    return Group(
        *warned, "", _scores(label, pooled), "", _confusions(pooled), "", _abstention(label, pooled)
    )


def _scores(label: str, pooled: Tracks) -> Table:
    either = next(iter(pooled.values()))
    table = _table(f"{label}: agreement with the expert", "", *pooled)
    table.caption = f"In brackets: 95 % of 1000 resamples, {either.interval_method}."

    def row(name: str, cells: Iterable[str]) -> None:
        table.add_row(name, *cells)

    tracks = list(pooled.values())
    for name in ("accuracy", "macro_f1", "kappa"):
        row(
            name.replace("_f1", "-F1"),
            (_with_interval(getattr(t.agreement, name), t.intervals[name]) for t in tracks),
        )
    table.add_section()
    for stage in STAGES:
        row(
            f"F1 {stage.value} ({either.positives[stage]} epochs)",
            (_with_interval(t.agreement.f1[stage], t.intervals[stage.value]) for t in tracks),
        )
    table.add_section()
    row("expected calibration error", (_number(t.reliability.error) for t in tracks))
    row("area under risk-coverage", (_number(t.risk_coverage.area) for t in tracks))
    for coverage in COVERAGES:
        row(
            f"error rate, most confident {coverage:.0%}",
            (_number(t.risk_coverage.at(coverage)) for t in tracks),
        )
    table.add_section()
    row("epochs", (str(t.counts.epochs) for t in tracks))
    row("compared", (str(t.counts.compared) for t in tracks))
    row("unscored by the monitor", (str(t.counts.unscored_by_monitor) for t in tracks))
    row("unscored by the expert", (str(t.counts.unscored_by_expert) for t in tracks))
    row("unscored by both", (str(t.counts.unscored_by_both) for t in tracks))
    return table


def _confusions(pooled: Tracks) -> RenderableType:
    tables = []
    for track, scores in pooled.items():
        table = _table(None, track, *(stage.value for stage in STAGES))
        for stage, counts in zip(STAGES, scores.agreement.confusion, strict=True):
            table.add_row(stage.value, *(str(count) for count in counts))
        tables.append(table)
    return Group("Confusion: rows the expert, columns the monitor", Columns(tables, padding=(0, 4)))


def _abstention(label: str, pooled: Tracks) -> Table:
    names = [f"{track} {name}" for track in pooled for name in ("kept", "accuracy", "kappa")]
    table = _table(f"{label}: abstaining below a confidence", "below", *names)
    for rows in zip(*(scores.abstentions for scores in pooled.values()), strict=True):
        cells = [
            cell
            for row in rows
            for cell in (f"{row.coverage:.1%}", _number(row.accuracy), _number(row.kappa))
        ]
        table.add_row(f"{rows[0].threshold:g}", *cells)
    return table


def recordings_report(label: str, nights: Mapping[str, Tracks]) -> Table:
    """Show one network's scores on each recording alone."""
    columns = [f"{track} {name}" for track in Track for name in ("accuracy", "macro-F1", "kappa")]
    table = _table(f"{label}: each recording", "recording", "compared", "epochs", *columns)
    for name, tracks in nights.items():
        counts = tracks[Track.LIVE].counts
        agreements = [tracks[track].agreement for track in Track]
        table.add_row(
            name,
            str(counts.compared),
            str(counts.epochs),
            *(_number(v) for a in agreements for v in (a.accuracy, a.macro_f1, a.kappa)),
        )
    return table


def stagers_report(n_common: int, stagers: Mapping[str, Agreement]) -> Table:
    """Show all networks and peers on the same epochs."""
    table = _table(
        f"On the {n_common} epochs that the expert and all of these scored",
        "stager",
        "accuracy",
        "macro-F1",
        "kappa",
        *(f"F1 {stage.value}" for stage in STAGES),
    )
    for name, found in stagers.items():
        values = (found.accuracy, found.macro_f1, found.kappa, *found.f1.values())
        table.add_row(name, *(_number(value) for value in values))
    return table


def cost_report(
    networks: Sequence[Network], timings: Mapping[str, Timing], peak_mb: float | None
) -> Table:
    """Show the size, time and memory of each network."""
    table = _table("Cost", "", *(network.label for network in networks))
    costs = [network.cost for network in networks]
    times = [timings[network.label] for network in networks]
    table.add_row("parameters", *(f"{cost.parameters:,}" for cost in costs))
    table.add_row("multiply-adds, encoding an epoch", *(_millions(c.encode_macs) for c in costs))
    table.add_row("multiply-adds, sequence pass", *(_millions(c.sequence_macs) for c in costs))
    table.add_row(
        "training time",
        *("not stated" if c.training_s is None else f"{c.training_s:,.0f} s" for c in costs),
    )
    table.add_row("wall time per epoch, conditioning", *(f"{t.condition_ms:.1f} ms" for t in times))
    table.add_row("wall time per epoch, staging", *(f"{t.stage_ms:.1f} ms" for t in times))
    table.add_row("peak memory of this process", "-" if peak_mb is None else f"{peak_mb:.0f} MiB")
    return table


def noise_report(outcomes: Outcomes, networks: Sequence[str]) -> RenderableType:
    """Show the live track's kappa, and the share of the expert's epochs that it scored."""
    parts: list[RenderableType] = []
    for label in networks:
        table = _table(
            f"{label}: live kappa in noise (epochs scored)",
            "SNR",
            *(f"{snr:g} dB" for snr in SNRS_DB),
        )
        clean = _noisy_cell(outcomes, CLEAN, float("inf"), label)
        table.caption = f"Clean: {clean}."
        for kind in NoiseKind:
            table.add_row(kind, *(_noisy_cell(outcomes, kind, snr, label) for snr in SNRS_DB))
        parts += ["", table]
    return Group(*parts)


def _noisy_cell(outcomes: Outcomes, kind: str, value: float, label: str) -> str:
    found = outcomes[Setting(kind, value), label, Track.LIVE].agreement
    share = found.n_scored / max(1, found.n_expert)
    return f"{_number(found.kappa)} ({share:.0%})"


def gains_report(outcomes: Outcomes, networks: Sequence[str]) -> RenderableType:
    """Show both tracks' scores at every gain."""
    parts: list[RenderableType] = []
    for label in networks:
        columns = [f"{track} {name}" for track in Track for name in ("accuracy", "F1", "kappa")]
        table = _table(f"{label}: the recording at other gains", "gain", "compared", *columns)
        for gain in GAINS:
            found = [outcomes[Setting("gain", gain), label, track].agreement for track in Track]
            table.add_row(
                "flipped" if gain == -1 else f"{gain:g}",
                str(found[0].n_scored),
                *(_number(v) for a in found for v in (a.accuracy, a.macro_f1, a.kappa)),
            )
        parts += ["", table]
    return Group(*parts)


def _table(title: str | None, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _with_interval(value: float | None, interval: Interval | None) -> str:
    if interval is None:
        return _number(value)
    return f"{_number(value)} [{interval.low:.3f}, {interval.high:.3f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.2f} M"
