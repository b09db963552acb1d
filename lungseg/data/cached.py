# SPDX-License-Identifier: Apache-2.0
"""Prepared cases held in memory, with a word on which ones are being loaded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from monai.data import CacheDataset
from tqdm import tqdm

logger = logging.getLogger(__name__)


class NamedCacheDataset(CacheDataset):
    """MONAI's CacheDataset, whose bar on a terminal and whose line in the log say which images are loaded.

    Args:
        data, transform: see MONAI's CacheDataset.
        name: of the images, such as "training".
        progress: whether to show anything.
        prepared: cases that are prepared already, by their index; they are moved into the cache.
        **arguments: of MONAI's CacheDataset.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[Any], Any],
        name: str,
        progress: bool = True,
        prepared: MutableMapping[int, Any] | None = None,
        **arguments: Any,
    ) -> None:
        began = time.monotonic()
        shown = progress and logger.isEnabledFor(logging.INFO)
        self._prepared = {} if prepared is None else prepared
        # None: only on a terminal.
        with tqdm(total=len(data), desc=f"loading {name} images", disable=None if shown else True, leave=False) as bar:
            self._bar: tqdm[Any] | None = bar
            super().__init__(data, transform, progress=False, **arguments)
        # Workers that are spawned get a copy of the dataset, without a bar.
        self._bar = None
        if shown:
            logger.info("Loaded %d %s images in %d s.", len(data), name, time.monotonic() - began)

    def _load_cache_item(self, idx: int) -> Any:
        item = self._prepared.pop(idx) if idx in self._prepared else super()._load_cache_item(idx)
        if self._bar is not None:
            self._bar.update()
        return item
