# SPDX-License-Identifier: Apache-2.0
"""Radiographs that are files of this machine or objects in S3."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from lungseg.inference.ray.source import Input, Source
from lungseg.inference.ray.storage import Storage
from lungseg.io.discovery import MARK, find_radiographs, may_be_picture
from lungseg.io.stems import Found, name_results
from lungseg.utils.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

_TASK = "task"


class _Place(NamedTuple):
    """A radiograph: its name in the report, and for S3 the root of a storage and the path below it."""

    file: str
    root: str = ""
    path: str = ""


class _Listed:
    """Finds the radiographs of batches that the driver has listed."""

    def inputs(self, batch: pa.Table) -> list[Input]:
        """Return the radiographs of a batch of the dataset."""
        places = [_Place(*place) for task in batch[_TASK].to_pylist() for place in pickle.loads(task)]
        storages = {place.root: Storage(place.root) for place in places}
        return [Input(file, partial(storages[root].read, path) if root else None) for file, root, path in places]


def find_local(names: Sequence[str], output: str) -> Source:
    """List files and folders of this machine; see :func:`lungseg.io.find_radiographs`.

    Raises:
        UsageError: there is no picture.
        LungsegError: a folder cannot be listed.
    """
    found = find_radiographs(names, exclude=output)
    files = [(str(path), str(stem)) for path, stem in found.radiographs]
    return Source(files, _Listed(), partial(_batches, [_Place(file) for file, _ in files]), listed=found)


def find_in_s3(names: Sequence[str], output: str) -> Source:
    """List objects, and the pictures below prefixes.

    Raises:
        UsageError: there is no picture.
        LungsegError: a bucket cannot be listed.
    """
    found: dict[str, tuple[_Place, Found]] = {}
    for name in names:
        storage = Storage(name.rstrip("/"))
        pictures = _pictures(storage, output)
        named = not pictures and storage.sizes([""]) != [None]
        if named:
            root, _, last = storage.root.rpartition("/")
            storage, pictures = Storage(root), [last]
        if not pictures:
            what, remedy = "no picture is stored under this name", "check the name of the bucket and of the prefix"
            raise UsageError(what, name, remedy, code="no-pictures")
        for path in pictures:
            place = _Place(storage.name(path), storage.root, path)
            # Prefixes may overlap.
            found.setdefault(place.file, (place, Found(Path(path), Path(path), storage.root, named)))
    places = [place for place, _ in found.values()]
    stems = [str(stem) for _, stem in name_results([one for _, one in found.values()])]
    files = [(place.file, stem) for place, stem in zip(places, stems, strict=True)]
    return Source(files, _Listed(), partial(_batches, places))


def _batches(places: Sequence[_Place], size: int) -> tuple[Dataset, int]:
    """Return a dataset with a batch in each of its blocks, so that a batch stays what it is when it is tried again."""
    import ray.data

    # Pickled, because a file's name may have bytes that are not UTF-8.
    plain = [tuple(place) for place in places]
    tasks = [{_TASK: pickle.dumps(plain[start : start + size])} for start in range(0, len(plain), size)]
    return ray.data.from_items(tasks, override_num_blocks=len(tasks)), 1


def _pictures(storage: Storage, output: str) -> list[str]:
    """Return the paths of objects that may be pictures, by their names, without results of earlier runs."""
    stored = [PurePosixPath(path) for path in storage.files()]
    results = {path.parent for path in stored if path.name == MARK}
    own = storage.prefix_of(output)
    return [
        str(path)
        for path in stored
        if not any(part.startswith(".") for part in path.parts)
        and may_be_picture(path.name)
        and (own is None or not str(path).startswith(own))
        and results.isdisjoint(path.parents)
    ]
