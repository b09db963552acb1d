# SPDX-License-Identifier: Apache-2.0
"""Compare a segmentation with its reference: overlap and border distances of one image, by MONAI's metrics.

`DEFINITIONS` describes the metrics, `POLICY` the treatment of empty masks and NaN, for the union of the lungs and for
each lung alike.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from lungseg.data.labels import LEFT, RIGHT, SIDE_UNKNOWN
from lungseg.utils.errors import LungsegError

# Tolerances of the surface Dice.
TOLERANCE_MM = 2.0
TOLERANCE_SHARE = 0.005

DEFINITIONS = (
    "Dice and IoU measure overlap. HD95 is the larger of the two directed 95th percentiles of the distances between "
    "the borders, ASSD the mean of all distances in both directions. A border consists of the outermost pixels of a "
    "region, including those at the edge of the picture.",
    "Surface Dice (Nikolov et al. 2021, JMIR 23:e26151) is the share of both borders that lies within a tolerance of "
    f"the other border: {TOLERANCE_MM:g} mm where the pixel spacing is known, and {100 * TOLERANCE_SHARE:g} % of the "
    "picture's longer side, 1.8 mm on a film of JSRT (2048 pixels of 0.175 mm).",
)
POLICY = (
    "Reference and prediction both empty: nothing to measure. NaN, excluded from every mean, but counted.",
    "Only one of them empty (a lung missed or invented): overlap and surface Dice 0, distances equal to the diagonal "
    "of the image. A missed lung never looks better than a segmented one.",
    "A reference of unknown laterality (label 255): only the union is measured; the values of the lungs are NaN, and "
    "the case is listed by name.",
    "Pixels are those of the evaluated file, at its own size; millimetres only if the pixel spacing is known.",
)

# Measure -> title, and the unit or tolerance that it is stated with.
_MEASURES = {
    "dice": ("Dice", ""),
    "iou": ("IoU", ""),
    "hd95_px": ("HD95", "px"),
    "assd_px": ("ASSD", "px"),
    "nsd_px": ("Surface Dice", f"{100 * TOLERANCE_SHARE:g} %"),
    "hd95_mm": ("HD95", "mm"),
    "assd_mm": ("ASSD", "mm"),
    "nsd_mm": ("Surface Dice", f"{TOLERANCE_MM:g} mm"),
}
_REGIONS = {"": "both lungs", "right": "right lung", "left": "left lung"}


def _key(measure: str, region: str) -> str:
    name, _, unit = measure.partition("_")
    return "_".join(part for part in (name, region, unit) if part)


# Key -> title, in the order in which tables show them.
METRICS = {
    _key(measure, region): f"{title}, {where}" + (f" ({unit})" if unit else "")
    for region, where in _REGIONS.items()
    for measure, (title, unit) in _MEASURES.items()
} | {"dice_heart": "Dice, heart"}


def is_distance(key: str) -> bool:
    """Return whether a metric is a distance, for which less is better."""
    return key.startswith(("hd95", "assd"))


def case_metrics(pred: np.ndarray, reference: np.ndarray, spacing: tuple[float, float] | None = None) -> dict[str, Any]:
    """Compare a segmentation with its reference; `POLICY` describes empty masks and label 255.

    Args:
        pred: (H, W) uint8 label map: 0 background, 1 right lung, 2 left lung.
        reference: (H, W) uint8 label map, which may also hold 255 (lung of unknown laterality).
        spacing: (row, column) distance between pixel centres in millimetres, or None if it is unknown.

    Returns:
        The keys of `METRICS` -> float: `dice`, `iou`, `hd95_px`, `assd_px`, `nsd_px` of the union, the same with
        `_right` and `_left` (as `dice_right`, `hd95_right_px`), `_mm` only if the spacing is known; and `note`, a str
        that says which region was empty, missed or of unknown laterality ("" for an ordinary case).

    Raises:
        LungsegError: the sizes differ, or an array is not a label map.
    """
    if pred.shape != reference.shape:
        sizes = " and ".join(f"{array.shape[-1]} x {array.shape[0]}" for array in (pred, reference))
        what = f"prediction and reference differ in size ({sizes} pixels)"
        raise LungsegError(what, remedy="check the size of the mask", code="size-mismatch")
    for array, name, labels in (
        (pred, "prediction", (0, RIGHT, LEFT)),
        (reference, "reference", (0, RIGHT, LEFT, SIDE_UNKNOWN)),
    ):
        if other := set(np.unique(array).tolist()).difference(labels):
            what = f"the {name} holds the value {max(other)}"
            remedy = f"give a label map of {', '.join(map(str, labels))}"
            raise LungsegError(what, remedy=remedy, code="not-a-label-map")
    regions: dict[str, tuple[np.ndarray, np.ndarray] | None] = {"": (pred > 0, reference > 0)}
    notes = []
    if (reference == SIDE_UNKNOWN).any():
        notes.append("reference laterality unknown")
        regions |= {"right": None, "left": None}
    else:
        regions |= {"right": (pred == RIGHT, reference == RIGHT), "left": (pred == LEFT, reference == LEFT)}
    metrics: dict[str, float] = {}
    for region, masks in regions.items():
        values, note = _compare(*masks, spacing) if masks else (_same(math.nan, math.nan, math.nan, spacing), "")
        metrics |= {_key(measure, region): value for measure, value in values.items()}
        if note:
            notes.append(f"{_REGIONS[region]} {note}")
    return {**{key: metrics[key] for key in METRICS if key in metrics}, "note": "; ".join(notes)}


def _compare(
    pred: np.ndarray, reference: np.ndarray, spacing: tuple[float, float] | None
) -> tuple[dict[str, float], str]:
    """Measure one region, (H, W) bool arrays, and describe an empty one in words."""
    found, expected = pred.any(), reference.any()
    if not found and not expected:
        return _same(math.nan, math.nan, math.nan, spacing), "empty"
    if not found or not expected:
        height, width = pred.shape
        px = math.hypot(height, width)
        mm = math.hypot(height * spacing[0], width * spacing[1]) if spacing else math.nan
        return _same(0.0, px, mm, spacing), "missed" if expected else "found where the reference has none"
    longer = max(pred.shape)
    cropped, reference = _crop(pred, reference)
    return _measure(cropped, reference, spacing, TOLERANCE_SHARE * longer), ""


def _same(overlap: float, px: float, mm: float, spacing: tuple[float, float] | None) -> dict[str, float]:
    values = {"dice": overlap, "iou": overlap, "hd95_px": px, "assd_px": px, "nsd_px": overlap}
    return values | ({"hd95_mm": mm, "assd_mm": mm, "nsd_mm": overlap} if spacing else {})


def _crop(*masks: np.ndarray) -> list[np.ndarray]:
    """Crop the masks to the box that holds them all: it changes no metric and saves most of the time."""
    either = np.logical_or.reduce(masks)
    rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
    return [mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] for mask in masks]


def _measure(
    pred: np.ndarray, reference: np.ndarray, spacing: tuple[float, float] | None, pixels: float
) -> dict[str, float]:
    """Measure one region of which neither mask is empty; `pixels` is the tolerance of the surface Dice."""
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_iou,
        compute_surface_dice,
    )

    one, other = (torch.from_numpy(mask)[None, None] for mask in (pred, reference))
    values = {"dice": compute_dice(one, other), "iou": compute_iou(one, other)}
    with warnings.catch_warnings():
        # MONAI uses a deprecated argument of its own.
        warnings.simplefilter("ignore", FutureWarning)
        for unit, scale, tolerance in (("px", None, pixels), ("mm", spacing, TOLERANCE_MM)):
            if unit == "px" or scale:
                values[f"hd95_{unit}"] = compute_hausdorff_distance(
                    one, other, include_background=True, percentile=95, spacing=scale
                )
                values[f"assd_{unit}"] = compute_average_surface_distance(
                    one, other, include_background=True, symmetric=True, spacing=scale
                )
                values[f"nsd_{unit}"] = compute_surface_dice(
                    one, other, [tolerance], include_background=True, spacing=scale
                )
    return {measure: float(value.item()) for measure, value in values.items()}
