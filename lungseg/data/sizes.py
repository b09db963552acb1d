# SPDX-License-Identifier: Apache-2.0
"""Bring masks to the size of their images: many data sets store the masks smaller, or reduced both to a square."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lungseg.data.labels import MaskError
from lungseg.data.problems import SIZE_MISMATCH

# Pixels of the coarser picture: each of its sides was rounded, up or down, and some programs crop an odd row first.
_ROUNDING = 2.0


def fit_to_image(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a mask or label map at the size of its image, by nearest neighbour.

    Args:
        values: (H, W) uint8 or bool.
        shape: (height, width) of the image.

    Raises:
        MaskError: the aspect ratio is another one, so that the mask does not belong to the image as it is.
    """
    check_aspect(values.shape, shape)
    if values.shape == tuple(shape):
        return values
    height, width = shape
    resized = Image.fromarray(values.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(resized).astype(values.dtype)


def check_aspect(mask: tuple[int, ...], image: tuple[int, ...]) -> None:
    """Check that a mask can belong to an image, by their shapes (height, width).

    Raises:
        MaskError: the aspect ratio is another one.
    """
    if _has_aspect(mask, image):
        return
    sizes = f"{mask[1]} x {mask[0]} pixels, the image {image[1]} x {image[0]}"
    what = f"the mask has {sizes}, which is another aspect ratio"
    remedy = "export both without cropping or stretching one of them, or draw the mask again"
    raise MaskError(what, remedy=remedy, code=SIZE_MISMATCH)


def _has_aspect(mask: tuple[int, ...], image: tuple[int, ...]) -> bool:
    """Return whether two sizes (height, width) are one picture at two scales, but for rounding."""
    (mask_height, mask_width), (height, width) = mask, image
    scale = max(height / mask_height, width / mask_width)
    rounding = _ROUNDING * max(1.0, scale)
    return abs(mask_height * scale - height) <= rounding and abs(mask_width * scale - width) <= rounding
