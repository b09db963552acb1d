# SPDX-License-Identifier: Apache-2.0
"""The Parquet files of results: who has written which, and which rows hold."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lungseg.inference.ray.rows import (
    COLUMNS,
    ENDING_COLUMNS,
    Ending,
    Result,
    decode_rows,
    encode,
    encode_table,
    schema,
    utf8,
    without,
)
from lungseg.inference.ray.storage import Storage
from lungseg.report.table import Row
from lungseg.utils.errors import LungsegError

if TYPE_CHECKING:
    import pyarrow as pa

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

FOLDER = "rows"
_NAME = re.compile(r"(\d{6,})-[0-9a-f]{32}\.parquet")
# Many files are read at the same time: S3 takes long to answer, and then is fast.
_READERS = 16


class Known(NamedTuple):
    """What is known of a radiograph's row without reading it whole; see `Result`.

    Attributes:
        path: the Parquet file.
    """

    path: str
    content: str
    settings: str
    saved: Mapping[str, str]
    kinds: frozenset[str]
    file: str
    status: str
    reason: str
    code: str
    doubts: str

    def ending(self, file: str) -> Ending:
        """Return how the radiograph ended, under the name that it has in this run."""
        return Ending(file, self.status, self.reason.replace(self.file, file), self.code, self.doubts, reused=True)


@dataclass(frozen=True)
class Results:
    """The rows in a target, as one run sees them.

    A run writes files of its own generation, one for each batch, named after the batch: a batch that is segmented again
    because its process was killed replaces its own file. Among rows of one key, that of the last generation counts.

    Attributes:
        storage: the target.
        generation: of this run: one more than that of any file.
    """

    storage: Storage
    generation: int = 0

    def path(self, files: Iterable[str]) -> str:
        """Return the Parquet file of the batch that has these inputs."""
        digest = hashlib.sha256("\0".join(files).encode("utf-8", "surrogateescape")).hexdigest()
        return f"{FOLDER}/{self.generation:06}-{digest[:32]}.parquet"

    def write(self, path: str, results: Sequence[Result]) -> None:
        """Write a file of results, whole or not at all.

        Raises:
            LungsegError: it cannot be written.
        """
        self.storage.write(path, encode(results))

    def endings(self, path: str) -> dict[str, Ending]:
        """Return key -> how it ended of the rows in a file; none if there is no such file."""
        if self.storage.sizes([path]) == [None]:
            return {}
        columns = ["key", *ENDING_COLUMNS]
        return {key: Ending(*rest) for key, *rest in _lines(self._read(path, columns), columns)}

    def known(self) -> dict[str, Known]:
        """Return key -> what is known, of the rows that count; rows that do not count are removed.

        Raises:
            LungsegError: a file cannot be read or replaced.
        """
        columns = ["key", "content_sha256", "settings_sha256", "saved_files", "saved_kinds", *ENDING_COLUMNS]
        found: dict[str, Known] = {}
        stale: dict[str, list[str]] = defaultdict(list)
        for path, table in self._read_all(self._files(), columns):
            for key, content, settings, saved, kinds, *rest in _lines(table, columns):
                if key in found:
                    # The files come in the order of their generations.
                    stale[found[key].path].append(key)
                found[key] = Known(path, content, settings, dict(saved), frozenset(kinds), *rest)
        self.remove(stale)
        return found

    def last_generation(self) -> int:
        """Return the highest generation of a file; 0 if there is none."""
        return max(self._files().values(), default=0)

    def remove(self, stale: Mapping[str, Iterable[str]]) -> None:
        """Remove rows: file -> keys.

        Raises:
            LungsegError: a file cannot be read or replaced.
        """

        def shrink(path: str) -> None:
            left = without(self._read(path), stale[path])
            if left.num_rows:
                self.storage.write(path, encode_table(left))
            else:
                self.storage.remove(path)

        _at_once(shrink, stale)

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Yield the key and the row of every radiograph.

        Raises:
            LungsegError: a file cannot be read.
        """
        for _, table in self._read_all(self._files(), ["key", *COLUMNS]):
            yield from zip(table["key"].to_pylist(), decode_rows(table), strict=True)

    def _files(self) -> dict[str, int]:
        """Return file -> generation, in the order of the generations."""
        names = [(path, _NAME.fullmatch(path.rpartition("/")[2])) for path in self.storage.files(FOLDER)]
        return dict(sorted(((path, int(name[1])) for path, name in names if name), key=lambda item: item[::-1]))

    def _read_all(self, paths: Iterable[str], columns: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
        paths = list(paths)
        yield from zip(paths, _at_once(lambda path: self._read(path, columns), paths), strict=True)

    def _read(self, path: str, columns: Sequence[str] | None = None) -> pa.Table:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile

        name = self.storage.name(path)
        try:
            with self.storage.system.open_input_file(self.storage.key(path)) as file:
                parquet = ParquetFile(file)
                if schema().names != parquet.schema_arrow.names:
                    raise pa.ArrowInvalid("its columns are those of another version")
                return parquet.read(columns=None if columns is None else list(columns))
        except (OSError, pa.ArrowException) as error:
            remedy = "remove it: its radiographs are segmented again"
            raise LungsegError("this file of results cannot be read", name, remedy, code="results-damaged") from error


def key_of(stem: object) -> str:
    """Return the key of the results called `stem`."""
    return str(utf8(str(stem)))


def _lines(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)


def _at_once(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Call the function in threads; the results come in the items' order."""
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(function, items))
