# SPDX-License-Identifier: Apache-2.0
"""Write the outlines of lungs and heart in COCO's format of annotations (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg.io.polygons import find_polygons
from lungseg.utils.files import atomic_path

# Name of a structure -> its id, which is also its label in label maps. The sides are the patient's.
CATEGORIES = {"right lung": 1, "left lung": 2, "heart": 3}


def encode_coco(structures: Mapping[str, NDArray[np.bool_]], file_name: str, description: str) -> bytes:
    """Return the bytes of a COCO file of one image.

    Each structure that was found is one annotation, with a polygon for each connected part of it; see
    :func:`lungseg.io.polygons.find_polygons`. `area` counts its pixels, and `bbox` holds them.

    Args:
        structures: a name among `CATEGORIES` -> (H, W) bool; a structure that was not found is empty.
        file_name: of the image.
        description: of the file.
    """
    (height, width), *_ = (region.shape for region in structures.values())
    annotations = [
        {
            "id": number,
            "image_id": 1,
            "category_id": CATEGORIES[name],
            "iscrowd": 0,
            "area": int(np.count_nonzero(region)),
            "bbox": _bounding_box(region),
            "segmentation": [polygon.ravel().tolist() for polygon in find_polygons(region)],
        }
        for number, (name, region) in enumerate(((n, r) for n, r in structures.items() if r.any()), start=1)
    ]
    image = {"id": 1, "file_name": file_name, "width": width, "height": height}
    head = {"info": {"description": description}, "licenses": [], "categories": _categories(structures)}
    return json.dumps(head | {"images": [image], "annotations": annotations}).encode()


def merge_coco(path: str | PathLike[str], parts: Iterable[tuple[str, bytes]]) -> None:
    """Write one COCO file of the images of several, numbered in their order.

    Args:
        path: the file, which is written whole or not at all.
        parts: the name that an image shall have, and the bytes of its file; see :func:`encode_coco`.

    Raises:
        LungsegError: the file cannot be written.
    """
    description = ""
    found: set[str] = set()
    # As text: numbers of Python take much more memory than their digits.
    images: list[str] = []
    annotations: list[str] = []
    for number, (file_name, content) in enumerate(parts, start=1):
        part: dict[str, Any] = json.loads(content)
        description = part["info"]["description"]
        found |= {category["name"] for category in part["categories"]}
        images.append(json.dumps(part["images"][0] | {"id": number, "file_name": file_name}))
        for annotation in part["annotations"]:
            numbered = {"id": len(annotations) + 1, "image_id": number}
            annotations.append(json.dumps(annotation | numbered))
    head = {"info": {"description": description}, "licenses": [], "categories": _categories(found)}
    with atomic_path(path) as temporary, open(temporary, "w", encoding="ascii") as file:
        file.write(json.dumps(head).removesuffix("}"))
        for key, lines in (("images", images), ("annotations", annotations)):
            file.write(f', "{key}": [')
            for number, line in enumerate(lines):
                file.write(f"{',' if number else ''}\n{line}")
            file.write("\n]")
        file.write("}\n")


def _categories(names: Iterable[str]) -> list[dict[str, Any]]:
    known = set(names)
    return [{"id": number, "name": name} for name, number in CATEGORIES.items() if name in known]


def _bounding_box(region: NDArray[np.bool_]) -> list[int]:
    """Return first column, first row, width and height of a region that is not empty."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    first_x, first_y = int(columns[0]), int(rows[0])
    return [first_x, first_y, int(columns[-1]) + 1 - first_x, int(rows[-1]) + 1 - first_y]
