# SPDX-License-Identifier: Apache-2.0
"""Let MONAI Label import torchvision, which it only draws with, beside a PyTorch for CPUs.

The operators of torchvision's CUDA build do not load there, and its import fails unless they are declared.
"""

from __future__ import annotations

import torch

_DECLARED = ("nms", "qnms")
_library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]


def declare_operators() -> None:
    """Declare the operators that torchvision refers to on import; call this before its first import."""
    for name in _DECLARED:
        if not hasattr(torch.ops.torchvision, name):
            schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            _library.define(schema)  # type: ignore[no-untyped-call]
