# SPDX-License-Identifier: Apache-2.0
"""Prepared cases held in files, for data that does not fit in memory."""

from __future__ import annotations

import io
import logging
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from os import PathLike
from pathlib import Path
from pickle import PicklingError, UnpicklingError
from typing import Any

import numpy as np
import torch
from isal import isal_zlib
from monai.data import PersistentDataset
from monai.transforms import Compose, RandomizableTrait, Transform, convert_to_contiguous, reset_ops_id
from monai.utils.enums import TraceKeys

from lungseg.data.cache_key import OF_LIST, case_key, transforms_key
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path, disk_is_to_blame, private_folder, remove_abandoned

logger = logging.getLogger(__name__)

# What a disk keeps free for other files than those of a cache.
DISK_RESERVE = 2**31
# It stands for the whole folder, in all processes, until the next call.
_FULL = "full"
_SUFFIX = ".case"
# A metadata's arrays, beside what PyTorch reads without running code.
_ALLOWED: tuple[Any, ...] = (
    np.empty(0).__reduce__()[0],
    np.float64(0).__reduce__()[0],
    np.ndarray,
    np.dtype,
    *(type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?U"),
    TraceKeys,
)

_DAMAGED: tuple[Any, ...] = (isal_zlib.error, zlib.error, UnpicklingError, RuntimeError, EOFError)


def prepare(case: Mapping[str, Any], transform: Compose) -> Any:
    """Return a case after the transforms that are not random, as a cache holds it."""
    prepared = transform(deepcopy(case), end=first_random(transform), threading=True)
    return convert_to_contiguous(prepared, memory_format=torch.contiguous_format)


def first_random(transform: Compose) -> int | None:
    """Return the index of the first random transform; None if there is none."""
    index: int | None = transform.get_index_of_first(
        lambda one: isinstance(one, RandomizableTrait) or not isinstance(one, Transform)
    )
    return index


def pack(prepared: Any) -> bytes:
    """Return a prepared case as the bytes of a file, which reveal damage by their checksum."""
    buffer = io.BytesIO()
    torch.save(prepared, buffer)
    # Masks have few values: the file is half as large, in a millisecond.
    packed: bytes = isal_zlib.compress(buffer.getbuffer(), level=1)
    return packed


def unpack(packed: bytes) -> Any:
    """Return the case that `pack` packed; no code of the file is run.

    Raises:
        ValueError: the bytes are damaged, or hold an object of an unknown class.
    """
    try:
        buffer = io.BytesIO(isal_zlib.decompress(packed))
        with torch.serialization.safe_globals(list(_ALLOWED)):
            return torch.load(buffer, weights_only=True)
    except _DAMAGED as error:
        raise ValueError("not a prepared case") from error


def is_packable(prepared: Any) -> bool:
    """Return whether a prepared case holds only objects that `unpack` knows."""
    try:
        unpack(pack(prepared))
    except (ValueError, PicklingError, AttributeError, TypeError):
        return False
    return True


class DiskCacheDataset(PersistentDataset):
    """MONAI's PersistentDataset, whose files are whole or not used, and follow their pictures and transforms.

    A case is prepared when it is first asked for. A file that is damaged is written anew. When the disk is nearly full,
    a line says so, and further cases are prepared each time.

    Args:
        data, transform: see MONAI's PersistentDataset.
        folder: of the files, which only this user can read.

    Raises:
        UsageError: the folder cannot be written to.
        LungsegError: the disk is full.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Compose, folder: str | PathLike[str]) -> None:
        self.folder = private_folder(folder)
        super().__init__(data, transform, cache_dir=self.folder)
        self.transform_hash = transforms_key(transform.transforms[: first_random(transform)])
        remove_abandoned(folder, sub_folders=False)
        Path(folder, _FULL).unlink(missing_ok=True)

    def missing(self) -> int:
        """Return how many cases have no file yet."""
        present = {entry.name for entry in os.scandir(self.folder)}
        return sum(self.file(case).name not in present for case in self.data)

    def file(self, case: Mapping[str, Any]) -> Path:
        """Return the name of a case's file, which need not exist."""
        return self.folder / f"{case_key(case, self.transform_hash)}{_SUFFIX}"

    def _cachecheck(self, item_transformed: Mapping[str, Any]) -> Any:
        file = self.file(item_transformed)
        try:
            found = unpack(file.read_bytes())
            if isinstance(found, dict):
                of_list = found.keys() & item_transformed.keys() & OF_LIST
                found |= {name: item_transformed[name] for name in of_list}
            return found
        except (OSError, ValueError):
            prepared = prepare(item_transformed, self.transform)
            reset_ops_id(prepared)
            self._write(file, prepared)
            return prepared

    def _write(self, file: Path, prepared: Any) -> None:
        full = file.with_name(_FULL)
        if full.exists():
            return
        try:
            if shutil.disk_usage(file.parent).free <= DISK_RESERVE:
                _say_once(full, "the disk is nearly full")
                return
            with atomic_path(file, durable=False) as path:
                path.write_bytes(pack(prepared))
        except LungsegError as error:
            # The training goes on without the file.
            if disk_is_to_blame(error):
                _say_once(full, error.what)
        except OSError as error:
            _say_once(full, error.strerror or str(error))


def remove_cases(folder: Path) -> None:
    """Remove the files of a cache, and its folder if nothing else is in it."""
    remove_abandoned(folder, sub_folders=False)
    for file in (*folder.glob(f"*{_SUFFIX}"), folder / _FULL):
        with suppress(OSError):
            file.unlink()
    with suppress(OSError):
        folder.rmdir()


def _say_once(full: Path, reason: str) -> None:
    """Note that nothing more can be written, for all processes; the first one to do so says it."""
    with suppress(OSError), full.open("x"):
        what = "Cache: %s: %s; images that are not there yet are prepared in each epoch."
        logger.warning(what, full.parent, reason)
