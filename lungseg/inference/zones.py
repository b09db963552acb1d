# SPDX-License-Identifier: Apache-2.0
"""The six zones of the lungs: each lung in thirds of its own height."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LUNGS = {"right": 1, "left": 2}
ZONES = ("upper", "middle", "lower")
# Digits of a mean grey value: files may count from 0 to 1 or to 65,535.
_DIGITS = 6


def zone_measurements(
    labels: NDArray[np.uint8],
    pixels: NDArray[np.float32],
    spacing: tuple[float, float] | None,
    quarter_turns: int = 0,
) -> dict[str, int | float]:
    """Measure the upper, middle and lower third of each lung.

    The thirds are those of the lung's own height, from its highest to its lowest row. If it cannot be divided by three,
    a row belongs to the zone in which its upper edge lies.

    Args:
        labels: (H, W) uint8: 0 background, 1 right lung, 2 left lung.
        pixels: (H, W) float32, the radiograph in the units of its file.
        spacing: (row, column) millimetres per pixel, or None when it is not known.
        quarter_turns: by how many the picture is turned, counter-clockwise as seen; zones are those of the patient.

    Returns:
        Name -> value, for the columns of :class:`lungseg.report.table.Row`: pixels, square millimetres and mean grey
        value of each zone. Unknown values are left out: millimetres without a spacing, the mean of an empty zone.
    """
    # Views: turned clockwise, the patient is upright.
    labels, pixels = np.rot90(labels, -quarter_turns), np.rot90(pixels, -quarter_turns)
    found: dict[str, int | float] = {}
    for side, lung in _LUNGS.items():
        areas, sums = _rows(labels, pixels, lung)
        # The zone of row r of n is 3 * r // n.
        edges = -(-np.arange(len(ZONES) + 1) * len(areas) // len(ZONES))
        for zone, start, stop in zip(ZONES, edges[:-1], edges[1:], strict=True):
            name, area = f"{side}_{zone}", int(areas[start:stop].sum())
            found[f"{name}_px"] = area
            if spacing is not None:
                found[f"{name}_mm2"] = round(area * spacing[0] * spacing[1], 1)
            if area:
                found[f"{name}_mean"] = float(f"{sums[start:stop].sum() / area:.{_DIGITS}g}")
    return found


def _rows(
    labels: NDArray[np.uint8], pixels: NDArray[np.float32], lung: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the area and the sum of the grey values in each row of a lung, from its first to its last row."""
    region = labels == lung
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not rows.size:
        return np.zeros(0, np.int64), np.zeros(0)
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    region = region[box]
    areas = np.count_nonzero(region, axis=1).astype(np.int64)
    return areas, np.einsum("yx,yx->y", pixels[box], region, dtype=np.float64)
