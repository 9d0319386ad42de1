"""The last thirty seconds of EEG: the trace in braille dots, its spectrogram in blocks."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np

from models.contract import SFREQ_HZ
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.look import Look
from monitor.types import F32, F64

MAX_HZ = 30.0
MIN_DB = -15.0
MAX_DB = 30.0
"""Ends of the colour scale, dB of 1 uV^2/Hz. It is fixed so that frames can be compared."""

_SCALES_UV = (25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0)
_WINDOW = 200  # two seconds at 100 Hz
_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
_BRAILLE = 0x2800
# Unicode's bit for the dot in row 0 to 3 of a braille character, left and right column.
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_SHADES = " ░▒▓█"
_ASCII_SHADES = " .:*#"
# Five even steps of viridis (Matplotlib): its lightness rises evenly, and people with colour
# blindness can read it.
_RAMP = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]])
_N_COLOURS = 32


def scale_uv(signal_uv: F32) -> float:
    """Return the smallest round scale, in microvolts, that 99.5 % of the samples fit.

    ``signal_uv``: (n,), NaN where samples are missing.
    """
    known = np.abs(signal_uv[np.isfinite(signal_uv)])
    if not known.size:
        return _SCALES_UV[1]
    reach = float(np.percentile(known, 99.5))
    return next((scale for scale in _SCALES_UV if scale >= reach), _SCALES_UV[-1])


def draw_trace(
    canvas: Canvas, x: int, y: int, width: int, height: int, signal_uv: F32, look: Look
) -> None:
    """Draw ``signal_uv`` (n,), positive up, clipped at `scale_uv`; missing samples are shaded."""
    across, down = (2, 4) if look.unicode else (1, 1)
    n_columns = min(width * across, signal_uv.size)
    if n_columns < across or height < 1:
        return
    edges = np.arange(n_columns) * signal_uv.size // n_columns
    low = np.fmin.reduceat(signal_uv, edges)
    high = np.fmax.reduceat(signal_uv, edges)
    gap = np.isnan(low)
    # Each column also covers the last sample of the column before, so that the line has no holes.
    before = signal_uv[np.maximum(edges - 1, 0)]
    low, high = np.fmin(low, before), np.fmax(high, before)

    n_rows = height * down
    scale = scale_uv(signal_uv)
    bottom = _row_of(low, scale, n_rows)
    top = _row_of(high, scale, n_rows)
    rows = np.arange(n_rows)[:, None]
    dots = (rows >= top) & (rows <= bottom) & ~gap  # (n_rows, n_columns)
    if not look.unicode:
        for row in range(height):
            line = "".join(np.where(gap, ".", np.where(dots[row], "|", " ")))
            canvas.put(x, y + row, line, look.trace)
        return
    n_cells = n_columns // 2
    cells = dots[:, : n_cells * 2].reshape(height, 4, n_cells, 2)
    codes = _BRAILLE + np.einsum("hrcd,rd->hc", cells, _DOTS)  # (height, n_cells)
    empty = gap[: n_cells * 2].reshape(n_cells, 2).any(axis=1)
    for row in range(height):
        canvas.put(x, y + row, "".join(map(chr, codes[row])), look.trace)
    for column in np.flatnonzero(empty):
        canvas.fill(x + int(column), y, 1, height, "░", look.stage(None))


def _row_of(value_uv: F32, scale: float, n_rows: int) -> F64:
    share = np.clip((1.0 - value_uv.astype(np.float64) / scale) / 2.0, 0.0, 1.0)
    rows: F64 = np.round(share * (n_rows - 1))
    return rows


def spectrogram_db(signal_uv: F32, columns: int, bands: int) -> F64:
    """Return the power in dB of 1 uV^2/Hz, (bands, columns); NaN where samples are missing.

    The bands divide 0 to `MAX_HZ` evenly. Each column is a two-second Hann window around its
    centre; at both ends the window is moved inward.
    """
    if signal_uv.size < _WINDOW or columns < 1:
        return np.full((bands, columns), np.nan)
    centres = (np.arange(columns) + 0.5) * signal_uv.size / columns
    starts = np.clip(centres - _WINDOW / 2, 0, signal_uv.size - _WINDOW).astype(np.int64)
    pieces = signal_uv[starts[:, None] + np.arange(_WINDOW)] * _HANN  # (columns, samples)
    power = np.abs(np.fft.rfft(pieces, axis=1)) ** 2 * 2.0 / (SFREQ_HZ * np.sum(_HANN**2))
    frequency_hz = np.fft.rfftfreq(_WINDOW, 1.0 / SFREQ_HZ)
    edges = np.searchsorted(frequency_hz, np.linspace(0.0, MAX_HZ, bands + 1))
    edges = np.maximum(edges, 1)  # 0 Hz is the offset of the signal
    means = [power[:, a : max(b, a + 1)].mean(axis=1) for a, b in pairwise(edges)]
    db: F64 = 10.0 * np.log10(np.stack(means) + 1e-9)
    return db


def draw_spectrogram(
    canvas: Canvas, x: int, y: int, width: int, height: int, signal_uv: F32, look: Look
) -> None:
    """Draw two bands a row as coloured half blocks; without colour, one band a row as shades."""
    halves = look.colour and look.unicode
    db = spectrogram_db(signal_uv, width, height * 2 if halves else height)[::-1]
    steps = _N_COLOURS if halves else len(_SHADES)
    share = (db - MIN_DB) / (MAX_DB - MIN_DB)
    level = np.where(np.isnan(db), -1, np.clip(np.nan_to_num(share) * steps, 0, steps - 1))
    level = level.astype(np.int64)
    shades = _SHADES if look.unicode else _ASCII_SHADES
    for row in range(height):
        if not halves:
            line = "".join("?" if v < 0 else shades[v] for v in level[row])
            canvas.put(x, y + row, line)
            continue
        for column in range(width):
            above, below = int(level[2 * row, column]), int(level[2 * row + 1, column])
            if above < 0:
                canvas.put(x + column, y + row, "░", look.stage(None))
            else:
                canvas.put(x + column, y + row, "▀", look.style(_colour(above), on=_colour(below)))


def draw_db_legend(canvas: Canvas, x: int, y: int, look: Look) -> int:
    """Draw the colour scale from `MIN_DB` to `MAX_DB`; return the column after it."""
    x = canvas.put(x, y, f"{MIN_DB:.0f} ", look.quiet)
    if look.colour and look.unicode:
        for step in range(8):
            x = canvas.put(x, y, "█", look.style(_colour(round(step * (_N_COLOURS - 1) / 7))))
    else:
        x = canvas.put(x, y, f"[{_SHADES if look.unicode else _ASCII_SHADES}]")
    return canvas.put(x, y, f" {MAX_DB:.0f} dB", look.quiet)


@lru_cache(maxsize=_N_COLOURS)
def _colour(level: int) -> str:
    place = level / (_N_COLOURS - 1) * (len(_RAMP) - 1)
    red, green, blue = (int(np.interp(place, range(len(_RAMP)), c)) for c in _RAMP.T)
    return f"#{red:02x}{green:02x}{blue:02x}"
