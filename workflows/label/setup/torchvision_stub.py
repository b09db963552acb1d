# SPDX-License-Identifier: Apache-2.0
"""MONAI Label imports torchvision for drawing alone, but its package is built for CUDA.

Beside a PyTorch for CPUs its compiled operators do not load, and importing it fails for want of their declarations.
"""

from __future__ import annotations

import torch

_DECLARED = ("nms", "qnms")
_library = torch.library.Library("torchvision", "FRAGMENT")


def declare_operators() -> None:
    """Declare what torchvision describes on import, where nobody else does: before its first import."""
    for name in _DECLARED:
        if not hasattr(torch.ops.torchvision, name):
            _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
