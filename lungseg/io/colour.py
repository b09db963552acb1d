# SPDX-License-Identifier: Apache-2.0
"""The brightness of coloured radiographs."""

from __future__ import annotations

import numpy as np
from PIL import Image

# ITU-R BT.601, the weights that Pillow uses.
_WEIGHTS = np.array((0.299, 0.587, 0.114), dtype=np.float32)


def luma(pixels: np.ndarray) -> np.ndarray:
    """Return the brightness (H, W) of colours (H, W, 3): uint8 of uint8, else float32 in the same units."""
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(pixels[..., :3])).convert("L"))
    return pixels[..., :3].astype(np.float32) @ _WEIGHTS
