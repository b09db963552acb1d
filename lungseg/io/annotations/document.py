# SPDX-License-Identifier: Apache-2.0
"""Open an annotation file once, and draw the label maps of its images one by one.

This runs in the process that reads files, see :mod:`lungseg.io.reader_child`, which keeps the last file open.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lungseg.io.annotations.coco import CocoFile
from lungseg.io.annotations.drawing import Size
from lungseg.io.annotations.labelme import LabelMeFile
from lungseg.io.annotations.structures import CODES
from lungseg.io.annotations.table import RunLengthTable
from lungseg.io.content import read_content
from lungseg.io.limits import check_size
from lungseg.utils.errors import LungsegError, first_line

# Of one request; the process may take longer for a file.
_SECONDS = 5.0
_KINDS = "give COCO or LabelMe JSON, or a CSV file with run lengths"
_last: tuple[Any, _Document] | None = None


class _Document(Protocol):
    def find(self, name: str, alone: bool) -> list[Any]: ...

    def size(self, places: list[Any]) -> Size | None: ...

    def masks(self, places: list[Any], size: Size) -> Iterator[tuple[str, np.ndarray]]: ...


def prepare(path: Path, query: Mapping[str, Any]) -> bool:
    """Open a file, and return whether it can be asked for images; otherwise it has to be prepared further.

    Args:
        path: the file.
        query: "stated": names in small letters -> structures.

    Raises:
        LungsegError: the file is not of a known kind, is damaged, or no category is a lung.
    """
    document = _document(path, query)
    return document.read_on(_SECONDS) if isinstance(document, RunLengthTable) else True


def draw(path: Path, query: Mapping[str, Any]) -> np.ndarray:
    """Return the label map (H, W) uint8 of an image, with the values of :data:`CODES`.

    Args:
        path: a file that is prepared.
        query: "stated" as before; "name" of the image without its ending; "alone", see :meth:`Names.find`; "size":
            height and width, or None.

    Raises:
        LungsegError: the file is not prepared in this process (not-prepared), has nothing about the image
            (not-annotated), does not say its size (size-unknown), or the annotation is damaged.
    """
    document = _document(path, query)
    if isinstance(document, RunLengthTable) and not document.done:
        raise LungsegError("the file was not prepared", path, "prepare it", code="not-prepared")
    places = document.find(query["name"], query["alone"])
    if not places:
        raise LungsegError("the file says nothing about this image", path, "annotate it", code="not-annotated")
    try:
        size = document.size(places) or query["size"]
        if size is None:
            raise LungsegError("the file does not state the size of the image", path, "add it", code="size-unknown")
        height, width = (int(length) for length in size)
        check_size(width, height, path)
        return _merge(document.masks(places, (height, width)), (height, width))
    except (LungsegError, MemoryError):
        raise
    except Exception as error:  # any number and any text may be in it
        what = f"the annotation of this image cannot be drawn ({first_line(error)})"
        raise LungsegError(what, path, "export it again", code="damaged") from error


def _merge(masks: Iterator[tuple[str, np.ndarray]], size: Size) -> np.ndarray:
    """Return one label map; lungs are drawn over the heart, and lungs without a side make all lungs so."""
    parts: dict[str, np.ndarray] = {}
    for structure, mask in masks:
        parts[structure] = parts[structure] | mask if structure in parts else mask
    labels = np.zeros(size, np.uint8)
    for structure in ("heart", "lung", "left", "right", "ignore"):
        if structure in parts:
            labels[parts[structure]] = CODES[structure]
    if "lung" in parts:
        labels[(labels == CODES["right"]) | (labels == CODES["left"])] = CODES["lung"]
    return labels


def _document(path: Path, query: Mapping[str, Any]) -> _Document:
    global _last
    stated: Mapping[str, str] = query["stated"]
    status = os.stat(path)
    key = (path, status.st_size, status.st_mtime_ns, sorted(stated.items()))
    if _last is None or _last[0] != key:
        # Two large files may not fit into the memory.
        _last = None
        _last = key, _open(path, stated)
    return _last[1]


def _open(path: Path, stated: Mapping[str, str]) -> _Document:
    if path.suffix.lower() != ".json":
        return RunLengthTable(path, stated)
    try:
        document = json.loads(read_content(path).data)
        if isinstance(document, dict):
            if {"images", "annotations", "categories"} <= document.keys():
                return CocoFile(document, path, stated)
            if "shapes" in document:
                return LabelMeFile(document, path, stated)
    except (LungsegError, MemoryError):
        raise
    except Exception as error:
        what = f"the annotations cannot be read ({first_line(error)})"
        raise LungsegError(what, path, "export them again", code="damaged") from error
    raise LungsegError("this is not a kind of annotations that is known", path, _KINDS, code="annotations-unknown")
