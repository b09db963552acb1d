# SPDX-License-Identifier: Apache-2.0
"""Features of a segmentation that need no reference; the quality is estimated from them.

They are computed at the network's resolution, which takes a few milliseconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from lungseg.transforms.components import component_sizes, find_holes
from lungseg.transforms.filters import highest

_Array = NDArray[Any]

SHAPE_SIZE = 32
NAMES = (
    "agreement",  # Dice of the lungs at the probabilities 0.25 and 0.75
    "right_agreement",
    "left_agreement",
    "full_agreement",  # of the lungs to their full extent
    "blur",  # sum of p (1 - p) over the perimeter
    "spot",  # mean of 4 p (1 - p) where it is greatest, in a square of an eighth of the picture
    "confusion",  # right and left lung at one place, over the area
    "area",  # share of the picture
    "right_share",  # of both lungs
    "islands",  # share that lies outside each lung's largest component
    "holes",  # share of the filled lungs
    "edge",  # lung pixels along the picture's edge that has most of them, over the lungs' height
    "aspect",  # width over height of the lungs' box
    "height_ratio",  # shorter lung over longer lung
    "tilt",  # degrees of the line through both lungs' centres off the horizontal
    "sides",  # distance of the lungs' centres over their box's width, negative when they are exchanged
    "right_roughness",  # perimeter squared over 4 pi area
    "left_roughness",
    "inside",  # mean grey value of the lungs
    "contrast",  # mean of a rim around the lungs minus mean of the lungs
    "right_contrast",  # the same of each lung
    "left_contrast",
    "texture",  # standard deviation within the lungs
    "spread",  # standard deviation of the picture
    "grain",  # mean absolute Laplacian of the picture
    "hidden",  # share of the full lungs that lies behind the heart; 0 for networks without a heart
)
# Features on a logarithmic scale: the distance of shares from one, and features with a long tail.
SHARES = ("agreement", "right_agreement", "left_agreement", "full_agreement", "height_ratio")
SKEWED = ("blur", "spot", "confusion", "islands", "holes", "edge", "right_roughness", "left_roughness")


def features(image: torch.Tensor, probabilities: torch.Tensor) -> dict[str, float]:
    """Measure a segmentation; except where the full extent is named, its visible lungs.

    Args:
        image: (1, w, h) float in [0, 1], as the network saw it.
        probabilities: (2, w, h) of right and left lung; or (3, w, h) of both to their full extent, and of the heart.

    Returns:
        Name -> value for each of `NAMES`; 0 for features that are not defined because no lung was found.
    """
    grey = image.detach().cpu().numpy()[0].T
    full = probabilities[:2].detach().sum(0).cpu().numpy().T
    right, left = _visible(probabilities)
    union = right + left
    lungs, sides = union > 0.5, _sides(right, left)
    found = dict.fromkeys(NAMES, 0.0)
    found |= {"spread": float(grey.std()), "grain": float(np.abs(ndimage.laplace(grey)).mean())}
    area = int(lungs.sum())
    if not area:
        return found
    unsure = union * (1 - union)
    found |= {f"{side}_agreement": _agreement(p) for side, p in (("right", right), ("left", left))}
    found |= _extent(lungs, sides)
    found |= _greys(grey, lungs, sides)
    found |= {f"{side}_roughness": _roughness(mask) for side, mask in sides.items()}
    found |= {
        "agreement": _agreement(union),
        "full_agreement": _agreement(full),
        "blur": float(unsure.sum() / max(_perimeter(lungs), 1)),
        "spot": float(4 * ndimage.uniform_filter(unsure, max(1, min(unsure.shape) // 8), mode="constant").max()),
        "confusion": float(np.minimum(right, left).sum() / area),
        "area": area / lungs.size,
        "right_share": float(sides["right"].sum() / area),
        "islands": float(1 - sum(component_sizes(mask).max(initial=0) for mask in sides.values()) / area),
        "holes": float(sum(find_holes(mask).sum() for mask in sides.values()) / area),
        "hidden": float(1 - union.sum() / full.sum()),
    }
    return found


def shape(probabilities: torch.Tensor) -> _Array:
    """Return the visible lungs in their bounding box: (2 * 32 * 32,) float32 shares of right and left; 0 without lungs.

    Args:
        probabilities: see :func:`features`.
    """
    right, left = (torch.from_numpy(lung.T) for lung in _visible(probabilities))
    lungs = right + left > 0.5
    box = lungs.nonzero()
    if not len(box):
        return np.zeros(2 * SHAPE_SIZE**2, np.float32)
    (x, y), (far_x, far_y) = box.min(0).values, box.max(0).values + 1
    masks = torch.stack([lungs & (right >= left), lungs & (left > right)])[:, x:far_x, y:far_y].float()
    return torch.nn.functional.adaptive_avg_pool2d(masks[None], SHAPE_SIZE).flatten().numpy()


def _visible(probabilities: torch.Tensor) -> _Array:
    """Return the probabilities (2, h, w) of the visible right and left lung."""
    lungs, heart = probabilities[:2], probabilities[2:]
    visible = lungs * (1 - heart) if len(heart) else lungs
    return visible.detach().cpu().numpy().transpose(0, 2, 1)


def _sides(right: _Array, left: _Array) -> dict[str, _Array]:
    lungs = right + left > 0.5
    return {"right": lungs & (right >= left), "left": lungs & (left > right)}


def _agreement(p: _Array) -> float:
    sure, likely = (p > 0.75).sum(), (p > 0.25).sum()
    return float(2 * sure / max(sure + likely, 1))


def _perimeter(mask: _Array) -> int:
    padded = np.pad(mask, 1)
    return int(sum((np.diff(padded, axis=axis) != 0).sum() for axis in (0, 1)))


def _roughness(mask: _Array) -> float:
    area = mask.sum()
    # On average over all directions, the steps along a line have 4 / pi times its length.
    return float((_perimeter(mask) * np.pi / 4) ** 2 / (4 * np.pi * area)) if area else 0.0


def _extent(lungs: _Array, sides: dict[str, _Array]) -> dict[str, float]:
    rows, columns = np.flatnonzero(lungs.any(1)), np.flatnonzero(lungs.any(0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    edge = max(lungs[0].sum(), lungs[-1].sum(), lungs[:, 0].sum(), lungs[:, -1].sum())
    found = {"edge": float(edge / height), "aspect": float(width / height)}
    if all(mask.any() for mask in sides.values()):
        heights = [np.ptp(np.flatnonzero(mask.any(1))) + 1 for mask in sides.values()]
        (right_y, right_x), (left_y, left_x) = (np.argwhere(mask).mean(0) for mask in sides.values())
        found |= {
            "height_ratio": float(min(heights) / max(heights)),
            "tilt": float(np.degrees(np.arctan2(abs(left_y - right_y), abs(left_x - right_x)))),
            "sides": float((left_x - right_x) / width),
        }
    return found


def _greys(grey: _Array, lungs: _Array, sides: dict[str, _Array]) -> dict[str, float]:
    reach = max(2, min(lungs.shape) // 24)
    rims = {side: highest(mask, 2 * reach + 1) & ~lungs for side, mask in sides.items()}
    return {
        "inside": float(grey[lungs].mean()),
        "contrast": _contrast(grey, lungs, rims["right"] | rims["left"]),
        "texture": float(grey[lungs].std()),
        **{f"{side}_contrast": _contrast(grey, mask, rims[side]) for side, mask in sides.items()},
    }


def _contrast(grey: _Array, region: _Array, rim: _Array) -> float:
    """Return the mean of a rim around `region`, outside both lungs, minus the mean of `region`; 0 if one is empty."""
    return float(grey[rim].mean() - grey[region].mean()) if rim.any() and region.any() else 0.0
