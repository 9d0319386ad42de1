"""Colours as people see them: their contrast, and how different they look."""

from __future__ import annotations

import numpy as np

from monitor.types import F64

# Machado, Oliveira and Fernandes (2009), severity 1.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    ),
    "deuteranopia": np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    ),
    "tritanopia": np.array(
        [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> F64:
    """Return the light of an sRGB colour, (3,)."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    dark, light = sorted(float(XYZ[1] @ linear(each)) + 0.05 for each in (one, other))
    return light / dark


def lab(light: F64) -> F64:
    """Return CIE L*a*b* of linear light."""
    share = XYZ @ np.clip(light, 0.0, 1.0) / np.array([0.9505, 1.0, 1.089])
    root = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def distance(one: str, other: str, sight: str) -> float:
    """Return how different two colours look (CIE 1976) with the sight of this key of `SIGHTS`."""
    seen = [lab(SIGHTS[sight] @ linear(each)) for each in (one, other)]
    return float(np.linalg.norm(seen[0] - seen[1]))
