# SPDX-License-Identifier: Apache-2.0
"""Small pictures of radiographs with the outlines of their lungs, for pages with thousands of them."""

from __future__ import annotations

import io

import numpy as np

from lungseg.images.overlay import draw_overlay

# Pixels of the longer side.
SIZE = 160


def encode_thumbnail(image: np.ndarray, labels: np.ndarray) -> bytes:
    """Return a JPEG file of at most `SIZE` pixels a side, of about five kilobytes.

    Args:
        image: (H, W), any real type.
        labels: (H, W) uint8 label map: 1 right lung, 2 left lung.
    """
    from PIL import Image

    # Four pixels for each one that is shown are enough.
    step = max(1, max(image.shape) // (4 * SIZE))
    small = Image.fromarray(np.ascontiguousarray(image[::step, ::step], dtype=np.float32))
    small.thumbnail((SIZE, SIZE), Image.Resampling.BOX)
    lungs = Image.fromarray(labels).resize(small.size, Image.Resampling.NEAREST)
    picture = Image.fromarray(draw_overlay(np.asarray(small), np.asarray(lungs)))
    content = io.BytesIO()
    # Colours at full resolution, for the outlines are one pixel wide.
    picture.save(content, "JPEG", quality=60, subsampling=0, optimize=True)
    return content.getvalue()
