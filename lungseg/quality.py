# SPDX-License-Identifier: Apache-2.0
"""How far to trust a segmentation."""

from __future__ import annotations

import numpy as np


def missing_lungs(labels: np.ndarray) -> dict[str, str]:
    """Return the flag of a label map (H, W) that lacks a lung, or none: short name -> reason in words."""
    missing = [name for lung, name in ((1, "right"), (2, "left")) if not (labels == lung).any()]
    if not missing:
        return {}
    if len(missing) == 2:
        return {"no-lung": "no lung was found"}
    return {"one-lung": f"no {missing[0]} lung was found"}
