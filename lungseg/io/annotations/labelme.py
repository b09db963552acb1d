# SPDX-License-Identifier: Apache-2.0
"""LabelMe's annotations of one image: polygons, rectangles, circles and masks."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lungseg.io.annotations.drawing import Size, draw_circle, draw_polygon
from lungseg.io.annotations.structures import check_has_lungs, structure_of
from lungseg.io.limits import check_size


class LabelMeFile:
    """A document with `shapes`."""

    def __init__(self, document: Mapping[str, Any], path: Path, stated: Mapping[str, str]) -> None:
        """Find the structures.

        Raises:
            LungsegError: no shape is a lung by its label (category-unknown).
        """
        named = [(str(shape["label"]), shape) for shape in document["shapes"]]
        self._path = path
        self._shapes = [(structure, shape) for name, shape in named if (structure := structure_of(name, stated))]
        if named:
            structures = [structure for structure, _ in self._shapes]
            check_has_lungs(structures, dict.fromkeys(name for name, _ in named), path)
        height, width = document.get("imageHeight"), document.get("imageWidth")
        self._size = (int(height), int(width)) if height and width else None
        self._image = str(document.get("imagePath") or "")

    def find(self, name: str, alone: bool) -> list[Any]:
        """Return a place: such a file is about one image, and has its name."""
        return [0] if self._shapes else []

    def size(self, places: list[Any]) -> Size | None:
        """Return (height, width) of the image, if the file states it."""
        return self._size

    def masks(self, places: list[Any], size: Size) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the structures of the image with their (H, W) bool masks."""
        for structure, shape in self._shapes:
            yield structure, self._draw(shape, size)

    def _draw(self, shape: Mapping[str, Any], size: Size) -> np.ndarray:
        points, kind = shape["points"], shape.get("shape_type") or "polygon"
        match kind:
            case "polygon" | "linestrip":
                return draw_polygon(points, size)
            case "rectangle" if len(points) == 2:
                (x, y), (x_end, y_end) = points
                return draw_polygon([(x, y), (x_end, y), (x_end, y_end), (x, y_end)], size)
            case "rectangle":
                return draw_polygon(points, size)
            case "circle":
                return draw_circle(*points, size)
            case "mask":
                return self._embedded(shape["mask"], points[0], size)
        raise ValueError(f"a shape is a {str(kind)[:40]}, which has no area")

    def _embedded(self, encoded: str, corner: Any, size: Size) -> np.ndarray:
        """Return the mask of a picture in base64, whose upper left pixel lies at `corner` (x, y)."""
        with Image.open(BytesIO(base64.b64decode(encoded)), formats=("PNG",)) as image:
            check_size(max(image.width, 16), max(image.height, 16), self._path)
            part = np.asarray(image.convert("L")) > 0
        left, top = (round(float(one)) for one in corner)
        mask = np.zeros(size, bool)
        if not (0 <= left < size[1] and 0 <= top < size[0]):
            raise ValueError("a mask lies outside of the picture")
        room = mask[top : top + part.shape[0], left : left + part.shape[1]]
        room |= part[: room.shape[0], : room.shape[1]]
        return mask
