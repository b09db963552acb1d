# SPDX-License-Identifier: Apache-2.0
"""How alike radiographs look: by their thumbnails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lungseg.transforms.orientation import thumbnail

_SIDE = 16


def thumbnail_bytes(pixels: np.ndarray) -> bytes:
    """Return 16 x 16 grey values of a radiograph (H, W), a byte each."""
    small = torch.nn.functional.adaptive_avg_pool2d(thumbnail(torch.from_numpy(pixels)[None]), _SIDE)[0]
    return (small * 255).to(torch.uint8).numpy().tobytes()


def descriptor(content: bytes) -> np.ndarray:
    """Return what `thumbnail_bytes` made as (256,) float32 with mean 0 and length 1."""
    values = np.frombuffer(content, dtype=np.uint8).astype(np.float32)
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)


def most_different(known: dict[str, np.ndarray], labelled: Sequence[np.ndarray]) -> str:
    """Return the name whose descriptor is farthest from its nearest neighbour among `labelled`.

    Args:
        known: name -> (n,) float descriptor, at least one.
        labelled: descriptors; without any the name nearest to the mean is returned.
    """
    names = sorted(known)
    seen = np.stack([known[name] for name in names])
    if not labelled:
        return names[int(np.linalg.norm(seen - seen.mean(0), axis=1).argmin())]
    nearest = np.linalg.norm(seen[:, None] - np.stack(labelled)[None], axis=2).min(1)
    return names[int(nearest.argmax())]
