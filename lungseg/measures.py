# SPDX-License-Identifier: Apache-2.0
"""Numbers of a segmented radiograph: what the report's columns say about its lungs."""

from __future__ import annotations

import numpy as np


def measures(labels: np.ndarray, spacing: tuple[float, float] | None) -> dict[str, int | float]:
    """Measure a label map.

    Args:
        labels: (H, W) uint8: 0 background, 1 right lung, 2 left lung.
        spacing: (row, column) millimetres per pixel, or None when it is not known.

    Returns:
        Name -> value, for the columns of :class:`lungseg.report.rows.Row`; square millimetres only where the spacing
        is known.
    """
    # bincount would first make eight bytes of each pixel.
    right, left = (int(np.count_nonzero(labels == lung)) for lung in (1, 2))
    pixels = {"right": right, "left": left, "lungs": right + left}
    found: dict[str, int | float] = {f"{name}_px": count for name, count in pixels.items()}
    if spacing is not None:
        found |= {f"{name}_mm2": round(count * spacing[0] * spacing[1], 1) for name, count in pixels.items()}
    return found
