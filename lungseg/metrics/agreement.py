# SPDX-License-Identifier: Apache-2.0
"""How well a segmentation agrees with its reference: overlap and boundary distance, per image, by MONAI's metrics.

What the metrics are is told by `DEFINITIONS`; what becomes of empty masks and NaN by `POLICY`, which holds for the
union of the lungs and for each lung alike.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from lungseg.data.labels import LEFT, RIGHT, SIDE_UNKNOWN
from lungseg.utils.errors import LungsegError

DEFINITIONS = (
    "Dice and IoU measure overlap. HD95 is the larger of the two directed 95th percentiles of the distances between "
    "the borders, ASSD the mean of all distances in both directions; a border is a region's outermost pixels, those "
    "at the edge of the picture included."
)
POLICY = (
    "Reference and prediction both empty: there is nothing to measure. NaN, left out of every mean, but counted.",
    "Only one of them empty (missed, or invented): overlap 0, distances the diagonal of the image. A miss counts, and "
    "never looks better than any segmentation.",
    "A reference whose sides are not believed (label 3): figures of the union only; those of the lungs are NaN, and "
    "the case is listed by name.",
    "Pixels are those of the evaluated file, at its own size; millimetres only where the pixel spacing is known.",
)

_MEASURES = {"dice": "Dice", "iou": "IoU", "hd95_px": "HD95", "assd_px": "ASSD", "hd95_mm": "HD95", "assd_mm": "ASSD"}
_REGIONS = {"": "both lungs", "right": "right lung", "left": "left lung"}


def _key(measure: str, region: str) -> str:
    name, _, unit = measure.partition("_")
    return "_".join(part for part in (name, region, unit) if part)


# Key -> title, in the order in which tables show them.
METRICS = {
    _key(measure, region): f"{title}, {where}" + (f" ({measure[-2:]})" if "_" in measure else "")
    for region, where in _REGIONS.items()
    for measure, title in _MEASURES.items()
}


def is_distance(key: str) -> bool:
    """Whether a metric is a distance, so that less is better."""
    return key.endswith(("_px", "_mm"))


def case_metrics(pred: np.ndarray, reference: np.ndarray, spacing: tuple[float, float] | None = None) -> dict:
    """Compare a segmentation with its reference; empty masks and label 3 as the module says.

    Args:
        pred: (H, W) uint8 label map: 0 background, 1 right lung, 2 left lung.
        reference: (H, W) uint8 label map, which may hold 3 (lung whose side is not believed) as well.
        spacing: (row, column) distance between pixel centres in millimetres, or None when unknown.

    Returns:
        The keys of `METRICS` -> float: `dice`, `iou`, `hd95_px`, `assd_px` of the union, the same with `_right` and
        `_left` (as `dice_right`, `hd95_right_px`), `_mm` only where the spacing is known; and `note`, a str that
        tells what was empty, missed or not believed ("" for an ordinary case).

    Raises:
        LungsegError: the sizes differ, or an array is no label map.
    """
    if pred.shape != reference.shape:
        sizes = " and ".join(f"{array.shape[-1]} x {array.shape[0]}" for array in (pred, reference))
        raise LungsegError(f"prediction and reference differ in size ({sizes} pixels)", remedy="check the mask's size")
    for array, what, highest in ((pred, "prediction", LEFT), (reference, "reference", SIDE_UNKNOWN)):
        if array.size and array.max() > highest:
            raise LungsegError(f"the {what} holds the value {array.max()}", remedy=f"give a label map 0 to {highest}")
    regions = {"": (pred > 0, reference > 0)}
    notes = []
    if (reference == SIDE_UNKNOWN).any():
        notes.append("sides of the reference not believed")
        regions |= {"right": None, "left": None}
    else:
        regions |= {"right": (pred == RIGHT, reference == RIGHT), "left": (pred == LEFT, reference == LEFT)}
    metrics = {}
    for region, masks in regions.items():
        values, note = _compare(*masks, spacing) if masks else (_same(math.nan, math.nan, math.nan, spacing), "")
        metrics |= {_key(measure, region): value for measure, value in values.items()}
        if note:
            notes.append(f"{_REGIONS[region]} {note}")
    return {**{key: metrics[key] for key in METRICS if key in metrics}, "note": "; ".join(notes)}


def _compare(pred: np.ndarray, reference: np.ndarray, spacing: tuple[float, float] | None) -> tuple[dict, str]:
    """Measure one region, boolean (H, W) arrays."""
    found, expected = pred.any(), reference.any()
    if not found and not expected:
        return _same(math.nan, math.nan, math.nan, spacing), "empty"
    if not found or not expected:
        height, width = pred.shape
        px = math.hypot(height, width)
        mm = math.hypot(height * spacing[0], width * spacing[1]) if spacing else math.nan
        return _same(0.0, px, mm, spacing), "missed" if expected else "found where the reference has none"
    return _measure(*_crop(pred, reference), spacing), ""


def _same(overlap: float, px: float, mm: float, spacing: tuple[float, float] | None) -> dict[str, float]:
    values = {"dice": overlap, "iou": overlap, "hd95_px": px, "assd_px": px}
    return values | ({"hd95_mm": mm, "assd_mm": mm} if spacing else {})


def _crop(*masks: np.ndarray) -> list[np.ndarray]:
    """Cut the masks to the box that holds them all, which changes no figure and saves most of the time."""
    either = np.logical_or.reduce(masks)
    rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
    return [mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] for mask in masks]


def _measure(pred: np.ndarray, reference: np.ndarray, spacing: tuple[float, float] | None) -> dict[str, float]:
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_iou,
    )

    pair = [torch.from_numpy(mask)[None, None] for mask in (pred, reference)]
    values = {"dice": compute_dice(*pair), "iou": compute_iou(*pair)}
    with warnings.catch_warnings():
        # MONAI uses a deprecated argument of its own.
        warnings.simplefilter("ignore", FutureWarning)
        for unit, scale in {"px": None, "mm": spacing}.items():
            if unit == "px" or scale:
                args = {"include_background": True, "spacing": scale}
                values[f"hd95_{unit}"] = compute_hausdorff_distance(*pair, percentile=95, **args)
                values[f"assd_{unit}"] = compute_average_surface_distance(*pair, symmetric=True, **args)
    return {measure: value.item() for measure, value in values.items()}
