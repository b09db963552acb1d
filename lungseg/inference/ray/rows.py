# SPDX-License-Identifier: Apache-2.0
"""Rows of the report as Parquet: the columns of `report.csv`, the label map as a PNG, and what tells a resumed run
whether they still hold."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from lungseg.report.table import Row, as_columns

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = tuple(field.name for field in fields(Row))


class Ending(NamedTuple):
    """How one radiograph ended, for the terminal.

    Attributes:
        file, status, reason, code, doubts: columns of its row.
        reused: the row is that of an earlier run.
        unread: the radiograph could not be read this time, and an earlier run's row of it stays as it was.
    """

    file: str
    status: str
    reason: str
    code: str
    doubts: str
    reused: bool = False
    unread: bool = False


ENDING_COLUMNS = ("file", "status", "reason", "code", "doubts")


@dataclass(frozen=True)
class Result:
    """One radiograph's row in a Parquet file.

    Attributes:
        key: the name that its results have, or would have.
        row: its line of the report.
        labels: the label map as a PNG file; None if it failed.
        content: SHA-256 of the input's content; empty if it could not be read.
        settings: hash of everything else that the results depend on.
        saved: kind -> digest of its file among the results, see :func:`lungseg.inference.records.digest_of`.
        kinds: the kinds of files that were asked for, in alphabetical order.
    """

    key: str
    row: Row
    labels: bytes | None = None
    content: str = ""
    settings: str = ""
    saved: Mapping[str, str] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()

    @property
    def ending(self) -> Ending:
        """How the radiograph ended."""
        return Ending(self.row.file, self.row.status, self.row.reason, self.row.code, self.row.doubts)


@cache
def schema() -> pa.Schema:
    """Return the columns of a Parquet file of results."""
    import pyarrow as pa

    def kind_of(hint: Any) -> pa.DataType:
        return pa.string() if hint is str else pa.float64() if hint == float | None else pa.int64()

    hints = get_type_hints(Row)
    return pa.schema(
        [
            *((name, kind_of(hints[name])) for name in COLUMNS),
            ("key", pa.string()),
            ("labels", pa.binary()),
            ("content_sha256", pa.string()),
            ("settings_sha256", pa.string()),
            ("saved_files", pa.map_(pa.string(), pa.string())),
            ("saved_kinds", pa.list_(pa.string())),
        ]
    )


def encode(results: Sequence[Result]) -> bytes:
    """Return a Parquet file of these results."""
    import pyarrow as pa

    lines = [
        {name: utf8(value) for name, value in as_columns(result.row).items()}
        | {
            "key": utf8(result.key),
            "labels": result.labels,
            "content_sha256": result.content,
            "settings_sha256": result.settings,
            "saved_files": list(result.saved.items()),
            "saved_kinds": list(result.kinds),
        }
        for result in results
    ]
    return encode_table(pa.Table.from_pylist(lines, schema()))


def encode_table(table: pa.Table) -> bytes:
    """Return a table as a Parquet file."""
    import pyarrow.parquet as pq

    file = io.BytesIO()
    # PNG files do not become smaller, and each is another.
    pq.write_table(
        table, file, compression={name: "none" if name == "labels" else "zstd" for name in table.column_names}
    )
    return file.getvalue()


def decode_rows(table: pa.Table) -> list[Row]:
    """Return the rows of a table that has at least the columns of the report."""
    return [Row(**line) for line in table.select(COLUMNS).to_pylist()]


def utf8(value: Any) -> Any:
    """Return a value that Parquet can hold: a file name may have bytes that are not UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def without(table: pa.Table, keys: Iterable[str]) -> pa.Table:
    """Return the table without the rows of these keys."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.invert(pc.is_in(table["key"], pa.array(list(keys), pa.string()))))
