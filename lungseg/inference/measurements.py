# SPDX-License-Identifier: Apache-2.0
"""Sizes of segmented lungs and heart, for the columns of the report."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lungseg.transforms.regions import HEART, VISIBLE, label_map

_LUNGS = {"right": 1, "left": 2}


def measurements(labels: NDArray[np.uint8], spacing: tuple[float, float] | None) -> dict[str, int | float]:
    """Measure the lungs of a label map.

    Args:
        labels: (H, W) uint8: 0 background, 1 right lung, 2 left lung.
        spacing: (row, column) millimetres per pixel, or None when it is not known.

    Returns:
        Name -> value, for the columns of :class:`lungseg.report.table.Row`. Unknown values are left out: millimetres
        without a spacing, ratio and width of both lungs if one is missing, box and width of a missing lung.
    """
    height, width = labels.shape
    found: dict[str, int | float] = {"image_width": width, "image_height": height}
    spans = {}
    for side, lung in _LUNGS.items():
        region = labels == lung
        found[f"{side}_px"] = int(np.count_nonzero(region))
        if found[f"{side}_px"]:
            spans[side] = _spans(region)
    found["lungs_px"] = found["right_px"] + found["left_px"]
    for side, (first, last) in spans.items():
        rows = np.flatnonzero(last >= 0)
        found[f"{side}_x"], found[f"{side}_y"] = int(first.min()), int(rows[0])
        found[f"{side}_w"] = int(last.max()) - found[f"{side}_x"] + 1
        found[f"{side}_h"] = int(rows[-1]) - found[f"{side}_y"] + 1
    if len(spans) == len(_LUNGS):
        found["left_right_ratio"] = round(found["left_px"] / found["right_px"], 3)
        (right_first, right_last), (left_first, left_last) = spans.values()
        spans["lungs"] = np.minimum(right_first, left_first), np.maximum(right_last, left_last)
    found |= {f"{side}_width_px": int((last - first).max()) + 1 for side, (first, last) in spans.items()}
    if spacing is not None:
        areas = ("right", "left", "lungs")
        found |= {f"{side}_mm2": round(found[f"{side}_px"] * spacing[0] * spacing[1], 1) for side in areas}
        found |= {f"{side}_width_mm": round(found[f"{side}_width_px"] * spacing[1], 1) for side in spans}
    return found


def full_measurements(regions: NDArray[np.uint8], spacing: tuple[float, float] | None) -> dict[str, int | float]:
    """Measure the lungs to their full extent, and the heart.

    Args:
        regions: (H, W) uint8, see :class:`lungseg.transforms.AsRegionsd`.
        spacing: (row, column) millimetres per pixel, or None when it is not known.

    Returns:
        Name -> value, for the columns of :class:`lungseg.report.table.Row`. `hidden_share` is the share of the full
        lungs that is not visible; it is left out if there is no lung, and millimetres without a spacing.
    """
    # bincount would first convert each pixel to eight bytes.
    full, visible = label_map(regions, "full"), np.count_nonzero(regions & VISIBLE)
    pixels = {f"full_{side}": int(np.count_nonzero(full == lung)) for side, lung in _LUNGS.items()}
    pixels["full_lungs"] = sum(pixels.values())
    found: dict[str, int | float] = {}
    if pixels["full_lungs"]:
        found["hidden_share"] = round(1 - int(visible) / pixels["full_lungs"], 4)
    pixels["heart"] = int(np.count_nonzero(regions & HEART))
    found |= {f"{name}_px": count for name, count in pixels.items()}
    if spacing is not None:
        found |= {f"{name}_mm2": round(count * spacing[0] * spacing[1], 1) for name, count in pixels.items()}
    return found


def _spans(region: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last column of a region in each row, (H,) int64; for empty rows: (W, -1)."""
    height, width = region.shape
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    inside = region[rows, left:right]
    first, last = np.full(height, width), np.full(height, -1)
    # argmax of booleans stops at the first that is true.
    first[rows], last[rows] = left + inside.argmax(axis=1), right - 1 - inside[:, ::-1].argmax(axis=1)
    return first, last
