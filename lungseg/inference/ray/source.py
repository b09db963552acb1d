# SPDX-License-Identifier: Apache-2.0
"""The radiographs of a run, as the driver lists them and as a process gets them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lungseg.io.discovery import Inputs

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset


class Input(NamedTuple):
    """One radiograph as a process gets it.

    Attributes:
        file: its name in the report.
        read: reads its content; None for a file of this name.
    """

    file: str
    read: Callable[[], bytes] | None


class Reader(Protocol):
    """Finds the radiographs of a batch; it can be pickled."""

    def inputs(self, batch: pa.Table) -> list[Input]:
        """Return the radiographs of a batch of the dataset."""


@dataclass(frozen=True)
class Source:
    """The radiographs of a run.

    Attributes:
        files: the name of each in the report, and the name of its results.
        reader: finds those of a batch.
        dataset: called with the number of radiographs in a batch; returns a dataset, and how many of its rows make one.
        reads: whether the dataset itself reads files, for which Ray needs a processor.
        listed: what was found in folders of this machine; None for other sources.
    """

    files: Sequence[tuple[str, str]]
    reader: Reader
    dataset: Callable[[int], tuple[Dataset, int]]
    reads: bool = False
    listed: Inputs | None = None
