# SPDX-License-Identifier: Apache-2.0
"""Recognise masks and label maps that lie beside the radiographs of a folder, without reading radiographs whole."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lungseg.io.limits import MAX_PIXELS
from lungseg.utils.errors import LungsegError

# MONAI Label keeps the list of its studies in a file of this name, and their labels in a folder beside it.
_STUDY_LISTS = {"datastore_v2.json", "datastore.json"}
LABEL_FOLDER = "labels"
# PNG packs areas of one value into fewer bytes than these and this share of the pixels. Radiographs need far more.
_FEW_BYTES, _SHARE = 1024, 0.05
_PNG = re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR(.{4})(.{4})", re.DOTALL)
_LABELS, _BINARY = {0, 1, 2, 3}, {0, 255}
# Words in the name of a mask that the name of its image lacks.
_WORDS = re.compile(r"(^(mask|label|seg)[_-])|([_-](lung)?(mask|masks|label|labels|seg|segmentation)$)", re.IGNORECASE)


def holds_studies(files: Iterable[str]) -> bool:
    """Return whether the files of a folder, by their names, say that MONAI Label keeps labels in it."""
    return not _STUDY_LISTS.isdisjoint(files)


def find_masks(pictures: Sequence[Path]) -> set[Path]:
    """Return the masks and the label maps among the pictures of a folder.

    A label map has the values 0, 1, 2 and 3 alone, which is black to the eye. A picture in black and white is a mask if
    another picture has its name, but for words such as `_mask`. Only files that are too small for a radiograph of their
    size are read.
    """
    drawn = {path: values for path in pictures if (values := _few_values(path))}
    named = Counter(_key(path) for path in pictures if path not in drawn)
    return {path for path, values in drawn.items() if values <= _LABELS or named[_key(path)]}


def _key(path: Path) -> str:
    return _WORDS.sub("", path.name.partition(".")[0]).casefold()


def _few_values(path: Path) -> set[int]:
    """Return the values of a mask or a label map in PNG; none of another file."""
    from lungseg.io.reading import read_mask_values

    try:
        # Opening a pipe would wait for its writer for ever.
        if not path.is_file():
            return set()
        with path.open("rb") as file:
            found = _PNG.match(file.read(24))
            size = os.fstat(file.fileno()).st_size
        if found is None:
            return set()
        pixels = int.from_bytes(found[1]) * int.from_bytes(found[2])
        if pixels > MAX_PIXELS or size > _FEW_BYTES + _SHARE * pixels:
            return set()
        values = read_mask_values(path)
    except (OSError, LungsegError):  # the reader of radiographs reports it
        return set()
    present = set(np.unique(values).tolist())
    frame = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    is_drawn = len(present) > 1 and (present <= _LABELS or present == _BINARY) and np.mean(frame == 0) > 0.5
    return present if is_drawn else set()
