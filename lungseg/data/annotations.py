# SPDX-License-Identifier: Apache-2.0
"""Annotation files instead of masks: they become label maps in a private folder, once, and then are masks as others.

Only the images that exist get one. The folder is found again by the contents of the annotations, the images' names,
sizes and times, and what `--labels` states.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, file_digest
from pathlib import Path, PurePosixPath

import numpy as np
import platformdirs

from lungseg.data.label_values import parse_labels
from lungseg.data.pairing import Case, Pairing, list_files
from lungseg.data.problems import UNREADABLE, Problem
from lungseg.io.png import write_png
from lungseg.io.reader_process import stop_readers
from lungseg.io.reading import draw_annotation, prepare_annotations, read_radiograph
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import private_folder, writing_failed

logger = logging.getLogger(__name__)

ENDINGS = (".json", ".csv", ".tsv")
# The values of the label maps, see `lungseg.io.annotations.structures`.
LABELS = "right=1,left=2,heart=3,ignore=254,lung=255"
# The statement that names of categories make without `--labels`.
LABELS_BY_NAME = "right=right lung,left=left lung"
# To be changed when the label maps of the same annotations change.
_VERSION = 1
_RECORD = "problems.json"


def are_annotations(masks: Path, images: Path) -> bool:
    """Return whether `masks` is an annotation file, or a folder that holds such files and no pictures of its own."""
    if masks.is_file():
        return masks.name.lower().endswith(ENDINGS)
    if not masks.is_dir() or not (named := list_files(masks, endings=ENDINGS)):
        return False
    if masks.resolve() == images.resolve():
        return not named.keys().isdisjoint(list_files(images))
    return not list_files(masks, exclude=images)


def pair_annotations(images: Path, masks: Path, labels: str | None) -> Pairing:
    """Match images with the label maps of their annotations, which are drawn first where they are not there yet.

    Args:
        images: folder of radiographs.
        masks: an annotation file, or a folder of such files; a LabelMe file has the name of its image.
        labels: which names or numbers of categories are lungs, see :func:`lungseg.data.label_values.parse_labels`.

    Raises:
        UsageError: `labels` cannot be read.
        LungsegError: an annotation file cannot be used, or the label maps cannot be written.
    """
    named = list_files(images, exclude=None if masks.is_file() or masks.resolve() == images.resolve() else masks)
    pictures = {name: paths[0] for name, paths in named.items()}
    work = _Work(images, masks, pictures, _stated(labels))
    folder = work.folder()
    if not folder.is_dir():
        work.draw_into(folder)
    failed = json.loads((folder / _RECORD).read_text("utf-8"))
    maps = {name: _map_of(folder / masks.name, name) for name in pictures}
    pairs = [Case(name, pictures[name], path, labels=LABELS) for name, path in maps.items() if path.is_file()]
    without = [pictures[name] for name in maps.keys() - failed.keys() if not maps[name].is_file()]
    problems = [
        Problem(Path(file), UNREADABLE, f"{name}: {sentence}", True, name)
        for name, (file, sentence) in sorted(failed.items())
    ]
    return Pairing(
        sorted(pairs, key=lambda case: case.name),
        images_without_mask=sorted(without),
        problems=problems,
        images=len(pictures),
        masks=len(pairs) + len(failed),
    )


@dataclass(frozen=True)
class _Work:
    """Images and the files that annotate them."""

    images: Path
    masks: Path
    pictures: Mapping[str, Path]
    stated: Mapping[str, str]

    def folder(self) -> Path:
        """Return the folder of the label maps, which need not exist."""
        key = blake2b(json.dumps([_VERSION, sorted(self.stated.items())]).encode(), digest_size=12)
        for path in self._files():
            key.update(os.fsencode(path.name) + b"\0" + _digest(path, *_state(path)))
        for name, path in sorted(self.pictures.items()):
            key.update(repr((name, *_state(path))).encode())
        return platformdirs.user_cache_path("lungseg", appauthor=False) / "annotations" / key.hexdigest()

    def draw_into(self, folder: Path) -> None:
        """Draw the label maps of all images, and record which could not be drawn."""
        logger.info("Drawing the annotations in %s", self.masks)
        private_folder(folder.parent)
        part = Path(tempfile.mkdtemp(prefix=".drawing.", dir=folder.parent))
        try:
            failed = dict(self._draw(part / self.masks.name))
            (part / _RECORD).write_text(json.dumps(failed), "utf-8")
            if not folder.is_dir():  # another process may have drawn them meanwhile
                part.rename(folder)
        except OSError as error:
            if not folder.is_dir():
                raise writing_failed(error, folder) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
            # They hold all that was in the annotation files.
            stop_readers()

    def _draw(self, folder: Path) -> Iterator[tuple[str, tuple[str, str]]]:
        """Yield the name, the file and the sentence of each image whose annotation cannot be drawn."""
        last_parts = Counter(PurePosixPath(name).name for name in self.pictures)
        single, collections = self._sorted_files()
        for file in collections:
            prepare_annotations(file, self.stated)
        needs_size = False
        for name, image in self.pictures.items():
            for file in [single[name]] if name in single else collections:
                try:
                    alone = last_parts[PurePosixPath(name).name] == 1
                    size = _size(image) if needs_size else None
                    try:
                        labels = draw_annotation(file, self.stated, name, alone, size)
                    except LungsegError as error:
                        if error.code != "size-unknown":
                            raise
                        needs_size = True
                        labels = draw_annotation(file, self.stated, name, alone, _size(image))
                except LungsegError as error:
                    if error.code == "not-annotated":
                        continue
                    yield name, (str(file), f"{error.what}; {error.remedy}")
                else:
                    write_png(_map_of(folder, name), labels)
                break

    def _files(self) -> list[Path]:
        if self.masks.is_file():
            return [self.masks]
        return [path for paths in list_files(self.masks, endings=ENDINGS).values() for path in paths]

    def _sorted_files(self) -> tuple[dict[str, Path], list[Path]]:
        """Return the files that have the name of an image, by that name, and those about several images."""
        if self.masks.is_file():
            return {}, [self.masks]
        named = {name: paths[0] for name, paths in list_files(self.masks, endings=ENDINGS).items()}
        single = {name: path for name, path in named.items() if name in self.pictures}
        return single, [path for name, path in named.items() if name not in single]


def _stated(labels: str | None) -> dict[str, str]:
    """Return names and numbers of categories, as text in small letters, with the structures that are stated."""
    if labels is None:
        return {}
    stated = parse_labels(labels)
    return {**{str(number): meaning for number, meaning in stated.numbers.items()}, **stated.names}


def _map_of(folder: Path, name: str) -> Path:
    return folder / f"{name}.png"


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # its reader will report it
        return 0, 0
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, changed: int) -> bytes:
    """Return a hash of a file's content; a file of the same size and time is not read again."""
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").digest()
    except OSError as error:
        what = f"the file cannot be read ({error.strerror})"
        raise LungsegError(what, path, "ask for permission to read it", code="not-permitted") from error


def _size(image: Path) -> tuple[int, int]:
    height, width = np.shape(read_radiograph(image).pixels)
    return height, width
