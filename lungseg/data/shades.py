# SPDX-License-Identifier: Apache-2.0
"""Binary masks with shades: JPEG and smooth drawing leave some at the borders."""

from __future__ import annotations

import numpy as np

# JPEG and smooth drawing leave shades at the border of a mask. Values so close to black or white, of 255, are noise ...
_MAX_NOISE = 16
# ... and at least this share of the pixels is black or white; in 256 x 256 drawings up to 1.6 % are not.
_MIN_CLEAN = 0.98
# JPEG noise around a grey has at least so many values.
_MIN_SHADES = 8


def is_shaded(values: np.ndarray) -> bool:
    """Return whether nearly all pixels are black or white, in 8 or 16 bits; or, of many values, near one grey."""
    depth = 255 if values.max() <= 255 else 65535
    noise = _MAX_NOISE * depth // 255
    white = values >= (top := _brightest(values, depth)) - noise
    if top < depth:
        white &= values <= top + noise
    return bool(white.any() and np.mean(white | (values <= noise)) >= _MIN_CLEAN)


def _brightest(values: np.ndarray, depth: int) -> float:
    """Return white, or the grey that JPEG noise surrounds instead."""
    noise = _MAX_NOISE * depth // 255
    shades, counts = np.unique(values[values > 2 * noise], return_counts=True)
    # A few values are labels, and not noise.
    if shades.size < _MIN_SHADES or shades[-1] >= depth - noise:
        return depth
    return float(shades[counts.argmax()])


def lung_of(values: np.ndarray) -> np.ndarray:
    """Return the mask (H, W) bool of values that are lung."""
    return np.asarray(values > (values.max() / 2 if is_shaded(values) else 0))
