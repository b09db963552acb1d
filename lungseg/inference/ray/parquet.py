# SPDX-License-Identifier: Apache-2.0
"""Radiographs in Parquet files: a column with the content of files, and one with their names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from lungseg.inference.ray.source import Input, Source
from lungseg.inference.ray.storage import Storage
from lungseg.io.stems import Found, name_results
from lungseg.utils.errors import LungsegError, UsageError, first_line

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile
    from ray.data import Dataset

_Found = TypeVar("_Found")

_ENDING = ".parquet"
# Of several columns with texts, the first one of these has the names.
_NAMES = ("name", "file", "file_name", "filename", "path", "image_path", "key", "id", "image_id")
# Blocks that Ray moves between processes: some hundred radiographs.
_BLOCK_BYTES = 32 * 2**20


def parquet_files(names: Sequence[str], output: str) -> tuple[Storage, list[str]] | None:
    """Return the Parquet files among the inputs, and in folders that hold them and no pictures; None if there are none.

    The target, `output`, is not searched.

    Raises:
        UsageError: the inputs name more than one place with Parquet files, or other files too.
        LungsegError: a folder cannot be listed.
    """
    found = [(name, files) for name in names if (files := _in_place(name, output))]
    if not found:
        return None
    if len(names) > 1:
        what = "Parquet files can only be named by one file or one folder"
        raise UsageError(what, found[0][0], "use several runs, or put them into one folder", code="mixed-sources")
    ((_, files),) = found
    return files


def _in_place(name: str, output: str) -> tuple[Storage, list[str]] | None:
    storage = Storage(name.rstrip("/") or name)
    if name.lower().endswith(_ENDING) and storage.sizes([""]) != [None]:
        return storage, [""]
    if not storage.remote and not os.path.isdir(name):
        return None
    own = storage.prefix_of(output)
    paths = [path for path in storage.files() if own is None or not path.startswith(own)]
    visible = [path for path in paths if not any(part.startswith((".", "_")) for part in PurePosixPath(path).parts)]
    tables = [path for path in visible if path.lower().endswith(_ENDING)]
    return (storage, tables) if tables and len(tables) == len(visible) else None


@dataclass(frozen=True)
class _Table:
    """Finds the radiographs of a batch of rows.

    Attributes:
        image: the column with the content; "image.bytes" for a part of a column.
        name: the column with the names.
    """

    image: str
    name: str

    def inputs(self, batch: pa.Table) -> list[Input]:
        """Return the radiographs of a batch of the dataset."""
        contents = _column(batch, self.image)
        names = _column(batch, self.name).to_pylist()
        return [Input(str(name), partial(_content, name, contents[place])) for place, name in enumerate(names)]


def _content(name: str, cell: pa.Scalar) -> bytes:
    if content := cell.as_py():
        return bytes(content)
    raise LungsegError("its cell is empty", name, "look where the table was made", code="empty-file")


def find_in_parquet(storage: Storage, paths: Sequence[str], image: str | None, name: str | None) -> Source:
    """Find the radiographs in Parquet files.

    Args:
        storage: where the files lie.
        paths: the files.
        image: the column with the content of files; None for the only one with bytes.
        name: the column with their names; None for the only one with texts, or the first one with a usual name.

    Raises:
        UsageError: the columns are not known, or names are missing or repeated.
        LungsegError: a file cannot be read.
    """
    schema = _read(storage, paths[0], lambda file: file.schema_arrow)
    table = _choose_columns(storage, schema, image, name)
    names = [one for path in paths for one in _names(storage, path, table)]
    if not names:
        raise UsageError("no row is in this table", storage.root, "name another one", code="no-pictures")
    if repeated := next((one for one, times in Counter(names).items() if times > 1), None):
        what = f"the column {table.name} has {repeated!r} more than once"
        raise UsageError(what, storage.root, "choose another one with --name-column", code="name-clash")
    stems = name_results([Found(Path(one), _relative(one), "") for one in names])
    files = [(one, str(stem)) for one, (_, stem) in zip(names, stems, strict=True)]
    columns = sorted({_place_of(column, schema.names)[0] for column in (table.image, table.name)})
    return Source(files, table, partial(_dataset, storage, paths, columns), reads=True)


def _dataset(storage: Storage, paths: Sequence[str], columns: list[str], size: int) -> tuple[Dataset, int]:
    import ray.data
    from ray.data import DataContext

    DataContext.get_current().target_max_block_size = _BLOCK_BYTES
    keys = [storage.key(path) for path in paths]
    return ray.data.read_parquet(keys, filesystem=storage.system, columns=columns), size


def _names(storage: Storage, path: str, columns: _Table) -> Iterator[str]:
    def read(file: ParquetFile) -> pa.ChunkedArray:
        there = {leaf for field in file.schema_arrow for leaf, _ in _leaves(field)}
        if missing := [column for column in (columns.image, columns.name) if column not in there]:
            what = f"it has no column {missing[0]}, as other files here have"
            raise UsageError(what, storage.name(path), "use a run of its own for it", code="column-unknown")
        return _column(file.read(columns=[columns.name]), columns.name)

    for one in _read(storage, path, read).to_pylist():
        if not one:
            what = f"a row has no name in the column {columns.name}"
            raise UsageError(what, storage.name(path), "choose another one with --name-column", code="name-missing")
        yield str(one)


def _read(storage: Storage, path: str, read: Callable[[ParquetFile], _Found]) -> _Found:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    name = storage.name(path) if path else storage.root
    try:
        with storage.system.open_input_file(storage.key(path)) as file:
            return read(ParquetFile(file))
    except (OSError, pa.ArrowException) as error:
        what = f"this Parquet file cannot be read ({first_line(error)})"
        raise LungsegError(what, name, "copy or export it again", code="not-readable") from error


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column, or a part of one: `image.bytes`."""
    import pyarrow.compute as pc

    first, parts = _place_of(name, table.column_names)
    return pc.struct_field(table[first], parts) if parts else table[first]


def _place_of(name: str, columns: Sequence[str]) -> tuple[str, list[str]]:
    """Return the column of this name, whose own name may have a dot, or the column that it is a part of, and which."""
    first, *parts = [name] if name in columns else name.split(".")
    return first, parts


def _choose_columns(storage: Storage, schema: pa.Schema, image: str | None, name: str | None) -> _Table:
    import pyarrow.types as of

    leaves = {leaf: kind for field in schema for leaf, kind in _leaves(field)}
    images = [leaf for leaf, kind in leaves.items() if of.is_binary(kind) or of.is_large_binary(kind)]
    texts = [leaf for leaf, kind in leaves.items() if of.is_string(kind) or of.is_large_string(kind)]
    # Data sets of Hugging Face: a column of bytes and path.
    usual = [leaf for usual in _NAMES for leaf in texts if leaf.rpartition(".")[2] == usual]
    return _Table(
        _choose(storage, "bytes", "--image-column", image, images, images),
        _choose(storage, "texts", "--name-column", name, texts, usual[:1] or texts),
    )


def _leaves(field: pa.Field) -> Iterator[tuple[str, pa.DataType]]:
    import pyarrow.types as of

    if of.is_struct(field.type):
        for inner in field.type:
            yield f"{field.name}.{inner.name}", inner.type
    else:
        yield field.name, field.type


def _choose(
    storage: Storage, kind: str, option: str, stated: str | None, possible: Sequence[str], likely: Sequence[str]
) -> str:
    if stated in possible:
        return str(stated)
    if stated is None and len(likely) == 1:
        return likely[0]
    there = f"those with {kind} are {', '.join(possible)}" if possible else f"no column has {kind}"
    what = f"there is no such column as {stated!r}" if stated else f"it is not clear which column has the {_OF[kind]}"
    raise UsageError(f"{what}: {there}", storage.root, f"name it with {option}", code="column-unknown")


_OF = {"bytes": "radiographs", "texts": "names"}


def _relative(name: str) -> Path:
    """Return a name as a path that stays in the folder of results."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "//", "..")]
    return Path(*parts) if parts else Path("radiograph")
