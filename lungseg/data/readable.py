# SPDX-License-Identifier: Apache-2.0
"""A data set that goes on after a file that cannot be read, for the bundle's `inference.json`."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from monai.data import IterableDataset
from monai.transforms import apply_transform
from torch.utils.data import get_worker_info

from lungseg.utils.errors import LungsegError, as_lungseg_error, find_lungseg_error

logger = logging.getLogger(__name__)


class ReadableDataset(IterableDataset):  # type: ignore[misc, unused-ignore]
    """The items of `data` that can be read and transformed; an error with the name of each other file is logged.

    Use it in the place of MONAI's Dataset, and end with the exit status `exit_status()`: the results of the other files
    are there, as with `lungseg predict`. The workers of a DataLoader share the items and the count of failures.

    Args:
        data: the items, such as {"image": path}.
        transform: reads and prepares an item.
        key: the item's value that names its file in messages.
    """

    def __init__(
        self, data: Sequence[Mapping[str, Any]], transform: Callable[[Any], Any] | None = None, key: str = "image"
    ) -> None:
        super().__init__(data, transform)
        self.items, self.key = data, key
        self._failed = multiprocessing.Value("i", 0)

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        number, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for item in self.items[number::count]:
            try:
                read = apply_transform(self.transform, item) if self.transform else item
            except Exception as error:  # a picture can make a library raise anything
                self._report(item[self.key], error)
            else:
                yield read

    @property
    def failed(self) -> int:
        """The number of files that could not be read so far."""
        return int(self._failed.value)

    def exit_status(self) -> int:
        """Return the exit status of a program that read all items: 1 if a file could not be read, else 0."""
        if not self.failed:
            return 0
        count = len(self.items)
        logger.error("%d of %d files could not be read; the results of all others are there.", self.failed, count)
        return 1

    def _report(self, file: Any, error: Exception) -> None:
        with self._failed.get_lock():
            self._failed.value += 1
        found = find_lungseg_error(error) or as_lungseg_error(error, "the file cannot be read", file)
        named = found if found.where is not None else LungsegError(found.what, file, found.remedy, code=found.code)
        logger.error("failed: %s", named)
