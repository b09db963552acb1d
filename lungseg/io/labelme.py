# SPDX-License-Identifier: Apache-2.0
"""Write the outlines of lungs and heart as annotations that LabelMe opens (https://github.com/wkentaro/labelme)."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungseg.io.png import encode_png
from lungseg.io.polygons import find_polygons

# The format of LabelMe 5, which version 6 reads too.
_VERSION = "5.0.0"
_SHOWN = (0.5, 99.5)


def encode_labelme(
    structures: Mapping[str, NDArray[np.bool_]],
    image: Path,
    file: Path,
    shown: NDArray[np.float32] | None = None,
) -> bytes:
    """Return the bytes of a LabelMe file.

    Each connected part of a structure is a polygon with the structure's name as label, see
    :func:`lungseg.io.polygons.find_polygons`. Parts of one structure share a group.

    Args:
        structures: name -> (H, W) bool.
        image: the picture, to which the file refers by the way from its own folder.
        file: where the file will lie.
        shown: (H, W), the picture itself, to keep in the file with 8 bits if LabelMe cannot open `image`; else None.
    """
    (height, width), *_ = (region.shape for region in structures.values())
    shapes = []
    for group, (name, region) in enumerate(structures.items(), start=1):
        polygons = find_polygons(region)
        for polygon in polygons:
            shapes.append(
                {
                    "label": name,
                    "points": polygon.tolist(),
                    "group_id": group if len(polygons) > 1 else None,
                    "description": "",
                    "shape_type": "polygon",
                    "flags": {},
                }
            )
    content = {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": _way(image, file),
        "imageData": None if shown is None else base64.b64encode(encode_png(_as_bytes(shown))).decode("ascii"),
        "imageHeight": height,
        "imageWidth": width,
    }
    return json.dumps(content).encode()


def _way(image: Path, file: Path) -> str:
    """Return the path of an image as seen from a file's folder, with slashes."""
    # The system follows ".." from the folder to which a link leads.
    image = Path(os.path.realpath(image.parent), image.name)
    try:
        return Path(os.path.relpath(image, os.path.realpath(file.parent))).as_posix()
    except ValueError:  # on another drive
        return image.as_posix()


def _as_bytes(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return grey values from their 0.5th to their 99.5th percentile as 0 to 255."""
    low, high = np.percentile(pixels[::4, ::4], _SHOWN)
    scaled = (pixels - np.float32(low)) * np.float32(255 / max(high - low, 1e-6))
    return np.asarray(np.rint(scaled).clip(0, 255), dtype=np.uint8)
