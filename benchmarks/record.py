# SPDX-License-Identifier: Apache-2.0
"""Where the numbers are kept, and the documents that show them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.tables import rewrite_tables
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "bundle/docs/README.md", "benchmarks/README.md", "docs/train.md", "docs/scale.md")


def load(name: str, default):
    """Return the numbers that the benchmark `name` kept, or `default`."""
    path = _numbers(name)
    return json.loads(path.read_text("utf-8")) if path.is_file() else default


def save(name: str, numbers) -> None:
    """Keep the numbers of the benchmark `name`."""
    with atomic_path(_numbers(name)) as path:
        path.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


def publish(tables: Mapping[str, str]) -> None:
    """Rewrite the tables in all documents that have markers for them, and print them.

    Raises:
        LungsegError: a document's markers do not come in pairs.
    """
    for document in (ROOT / name for name in DOCUMENTS):
        if not document.is_file():
            continue
        text = document.read_text("utf-8")
        try:
            renewed = rewrite_tables(text, tables)
        except LungsegError as error:
            raise LungsegError(error.what, document, error.remedy) from error
        if renewed != text:
            with atomic_path(document) as path:
                path.write_text(renewed, encoding="utf-8")
    show(tables)


def show(tables: Mapping[str, str]) -> None:
    """Print the tables."""
    for name, table in tables.items():
        print(f"\n{name}\n\n{table}", flush=True)


def _numbers(name: str) -> Path:
    return ROOT / "benchmarks" / "results" / f"{name}.json"
