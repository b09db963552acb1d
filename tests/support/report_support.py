# SPDX-License-Identifier: Apache-2.0
"""Rows and small pictures that reports are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lungseg.report.outlines import find_outlines
from lungseg.report.table import Row
from lungseg.report.thumbnails import encode_thumbnail
from lungseg.utils.text import escape_control

RUN = {"weights": {"file": "some/where/model.pt", "sha256": "5" * 64}}
HOSTILE = "</script><script>document.title = 'run'\n\"&é胸\u202e\udcff"
SHOWN = escape_control(HOSTILE)


def row(number: int, **changes) -> Row:
    """The row of a radiograph of 100 x 80 pixels with lungs that are the larger the higher its number."""
    areas = {"right_px": 1000 + number, "left_px": 900, "lungs_px": 1900 + number, "left_right_ratio": 0.9}
    name = f"film {number:03d}"
    size = {"image_width": 100, "image_height": 80}
    return Row(**{"file": f"in/{name}.png", "status": "ok", "name": name, **size, **areas} | changes)


def failure(number: int) -> Row:
    file = f"in/film {number:03d}.png"
    return Row(file=file, status="failed", reason=f"{file}: the file is empty; copy or export it again.")


def thumbnail(folder: Path, name: str, size: tuple[int, int] = (80, 100)) -> None:
    labels = np.zeros(size, np.uint8)
    labels[20:60, 20:40], labels[20:60, 60:80] = 1, 2
    path = folder / "thumbnails" / f"{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_thumbnail(np.arange(size[0] * size[1]).reshape(size), find_outlines(labels)))
