"""Results as pictures.

Matplotlib takes a second to import: import this module only if a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from models.contract import STAGES
from monitor.types import Track
from offline_training.arrays import I64
from offline_training.evaluation.calibration import Reliability
from offline_training.evaluation.noise import NoiseKind
from offline_training.evaluation.robustness import CLEAN, SNRS_DB, Outcomes, Setting
from offline_training.evaluation.track import TrackScores

# One colour for each network; colour-blind people can distinguish them (Okabe & Ito 2008).
_COLOURS = ("#0072b2", "#d55e00")
_WIDTHS = (2.8, 1.4)  # With two widths a curve on top of the other does not hide it.
_LINES = {Track.LIVE: "-", Track.REVISED: "--"}
_GREY = "#888888"
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

Pooled = Mapping[str, Mapping[Track, TrackScores]]
"""Scores by the network's label and the track."""


def confusion_png(path: Path, pooled: Pooled) -> None:
    """Draw confusion matrices: shares of the expert's stages as colours, counts as numbers."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(7.6, 3.8 * len(pooled)), layout="constrained")
        grid = figure.subplots(len(pooled), len(Track), squeeze=False)
        for row, (label, tracks) in zip(grid, pooled.items(), strict=True):
            for axes, (track, scores) in zip(row, tracks.items(), strict=True):
                shown = _draw_confusion(axes, scores.agreement.confusion)
                axes.set_title(f"{label}\n{track}")
        figure.colorbar(shown, ax=grid, shrink=0.7, label="share of the expert's epochs")
        figure.savefig(path, dpi=150)


def _draw_confusion(axes: Axes, counts: I64) -> AxesImage:
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    shown = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        dark = share[row, column] > 0.5
        axes.text(
            column,
            row,
            f"{counts[row, column]}",
            ha="center",
            va="center",
            color="white" if dark else "black",
        )
    names = [stage.value for stage in STAGES]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("monitor")
    axes.set_ylabel("expert")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return shown


def reliability_png(path: Path, pooled: Pooled) -> None:
    """Draw the accuracy in each bin of confidence, and below it the bin's number of epochs."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(7.6, 4.4 * len(pooled)), layout="constrained")
        grid = figure.subplots(
            2 * len(pooled),
            len(Track),
            squeeze=False,
            sharex=True,
            height_ratios=[3, 1] * len(pooled),
        )
        for place, (label, tracks) in enumerate(pooled.items()):
            for column, (track, scores) in enumerate(tracks.items()):
                upper, lower = grid[2 * place : 2 * place + 2, column]
                found, colour = scores.reliability, _COLOURS[place]
                ideal = _draw_reliability(upper, lower, found, colour)
                error = "-" if found.error is None else f"{found.error:.3f}"
                upper.set_title(f"{label}\n{track}, calibration error {error}")
        figure.legend([ideal], ["confidence = accuracy"], loc="outside upper left", frameon=False)
        figure.savefig(path, dpi=150)


def _draw_reliability(upper: Axes, lower: Axes, found: Reliability, colour: str) -> Line2D:
    """Draw accuracy over confidence above, counts below; return the line of perfect calibration."""
    (ideal,) = upper.plot([0, 1], [0, 1], ":", color=_GREY, linewidth=1)
    filled = found.count > 0
    upper.plot(
        found.confidence[filled], found.accuracy[filled], color=colour, marker="o", markersize=4
    )
    upper.set_ylabel("accuracy")
    upper.set_ylim(-0.03, 1.03)
    bins = found.count.size
    lower.bar((np.arange(bins) + 0.5) / bins, found.count, width=0.9 / bins, color=colour)
    lower.set_ylabel("epochs")
    lower.set_xlabel("confidence")
    lower.set_xlim(0, 1.02)
    lower.tick_params(labelbottom=True)
    return ideal


def risk_coverage_png(path: Path, pooled: Pooled) -> None:
    """Draw the error rate among the most confident epochs over their share."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        for colour, (label, tracks) in zip(_COLOURS, pooled.items(), strict=False):
            for track, scores in tracks.items():
                found = scores.risk_coverage
                area = "-" if found.area is None else f"{found.area:.3f}"
                axes.plot(
                    100 * found.coverage,
                    100 * found.risk,
                    color=colour,
                    linestyle=_LINES[track],
                    label=f"{label}, {track} (area {area})",
                )
        axes.set_xlabel("most confident epochs kept, %")
        axes.set_ylabel("of these staged wrongly, %")
        axes.set_xlim(0, 100)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        figure.legend(loc="outside upper left", frameon=False)
        figure.savefig(path, dpi=150)


def noise_png(path: Path, outcomes: Outcomes, networks: Sequence[str]) -> None:
    """Draw live kappa, accuracy and share of scored epochs over the SNR; a column is a noise."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(11, 6.6), layout="constrained")
        grid = figure.subplots(
            3, len(NoiseKind), sharex=True, sharey="row", height_ratios=[2, 2, 1]
        )
        for column, kind in zip(grid.T, NoiseKind, strict=True):
            column[0].set_title(kind.value)
            for label, colour, width in zip(networks, _COLOURS, _WIDTHS, strict=False):
                _draw_curves(column, outcomes, kind, label, colour, width)
            column[-1].set_xlabel("SNR, dB")
            column[-1].set_xticks(SNRS_DB[::-1])
            column[-1].invert_xaxis()
            for axes in column:
                axes.grid(alpha=0.3)
        for axes, name in zip(grid[:, 0], ("kappa", "accuracy", "share scored"), strict=True):
            axes.set_ylabel(name)
            axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.03)
        figure.legend(
            *grid[0, 0].get_legend_handles_labels(),
            title="live track; dotted: clean",
            loc="outside upper left",
            alignment="left",
            frameon=False,
        )
        figure.savefig(path, dpi=150)


def _draw_curves(
    column: Sequence[Axes],
    outcomes: Outcomes,
    kind: NoiseKind,
    label: str,
    colour: str,
    width: float,
) -> None:
    noisy = [_values(outcomes, Setting(kind, snr), label) for snr in SNRS_DB]
    clean = _values(outcomes, Setting(CLEAN, np.inf), label)
    for i, axes in enumerate(column):
        values = [each[i] for each in noisy]
        axes.axhline(clean[i], color=colour, linestyle=":", linewidth=width / 2)
        axes.plot(
            SNRS_DB, values, color=colour, linewidth=width, marker="o", markersize=4, label=label
        )


def _values(outcomes: Outcomes, setting: Setting, label: str) -> tuple[float, float, float]:
    """Return kappa, accuracy and the share of the expert's epochs scored; NaN if undefined."""
    found = outcomes[setting, label, Track.LIVE].agreement
    kappa, accuracy = (np.nan if v is None else v for v in (found.kappa, found.accuracy))
    return kappa, accuracy, found.n_scored / max(1, found.n_expert)
