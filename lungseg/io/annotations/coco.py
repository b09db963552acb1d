# SPDX-License-Identifier: Apache-2.0
"""COCO's annotations: outlines, and run lengths as lists or compressed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lungseg.io.annotations.drawing import Size, draw_counts, draw_polygon
from lungseg.io.annotations.names import Names
from lungseg.io.annotations.structures import check_has_lungs, structure_of
from lungseg.utils.errors import LungsegError


class CocoFile:
    """A document with `images`, `annotations` and `categories`."""

    def __init__(self, document: Mapping[str, Any], path: Path, stated: Mapping[str, str]) -> None:
        """Find the images and the categories.

        Raises:
            LungsegError: no category is a lung (category-unknown), or there are boxes only (boxes-only).
        """
        self._shapes: dict[Any, list[tuple[str, Any]]] = defaultdict(list)
        self._sizes: dict[Any, Size] = {}
        self._names: Names[Any] = Names()
        names = {one["id"]: str(one.get("name", one["id"])) for one in document["categories"]}
        meaning = {
            number: structure_of(str(number) if str(number) in stated else name, stated)
            for number, name in names.items()
        }
        check_has_lungs(meaning.values(), names.values(), path)
        for image in document["images"]:
            self._names.add(str(image["file_name"]), image["id"])
            self._sizes[image["id"]] = int(image["height"]), int(image["width"])
        outlined = False
        for annotation in document["annotations"]:
            structure, shape = meaning.get(annotation.get("category_id")), annotation.get("segmentation")
            outlined |= bool(shape)
            if structure and shape:
                self._shapes[annotation["image_id"]].append((structure, shape))
        if document["annotations"] and not outlined:
            what = "it has boxes only, and no outline"
            raise LungsegError(what, path, "export the annotations with polygons or masks", code="boxes-only")

    def find(self, name: str, alone: bool) -> list[Any]:
        """Return the numbers of an image's entries, see :meth:`Names.find`."""
        return [number for number in self._names.find(name, alone) if number in self._shapes]

    def size(self, places: list[Any]) -> Size | None:
        """Return (height, width) of the image."""
        return self._sizes[places[0]]

    def masks(self, places: list[Any], size: Size) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the structures of an image with their (H, W) bool masks."""
        for place in places:
            for structure, shape in self._shapes[place]:
                yield structure, _draw(shape, size)


def _draw(shape: Any, size: Size) -> np.ndarray:
    if isinstance(shape, dict):
        if tuple(int(length) for length in shape["size"]) != size:
            raise ValueError(f"the run lengths are for {shape['size']}, height and width")
        return draw_counts(shape["counts"], size)
    mask = np.zeros(size, bool)
    # Some programs write a single outline without the list around it.
    for outline in [shape] if isinstance(shape[0], int | float) else shape:
        corners = np.asarray(outline, np.float64)
        mask |= draw_polygon(corners.reshape(-1, 2), size)
    return mask
