# SPDX-License-Identifier: Apache-2.0
"""Markdown tables between markers: `<!-- table: NAME -->` and `<!-- end -->`, each on a line of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lungseg.utils.errors import LungsegError

NOT_MEASURED = "Not measured yet."
_END = "<!-- end -->"
_MARKER = re.compile(rf"^(?:<!-- table: ([\w-]+) -->|{_END})$", re.MULTILINE)
_BLOCK = re.compile(rf"^(<!-- table: ([\w-]+) -->)$.*?^{_END}$", re.MULTILINE | re.DOTALL)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: Sequence[int] = (0,)) -> str:
    """Return a table; columns that are not text are aligned to the right, as numbers."""
    rules = ["---" if column in text_columns else "---:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rules, *rows))


def table_names(text: str) -> list[str]:
    """Return the names of the marked tables in a document, in their order.

    Raises:
        LungsegError: a marker has no partner.
    """
    # The name of a table where it starts, an empty one where it ends.
    markers = _MARKER.findall(text)
    names = markers[::2]
    if not all(names) or any(markers[1::2]) or len(markers) % 2:
        raise LungsegError("the markers of its tables do not come in pairs", remedy=f"close each one with {_END}")
    return names


def rewrite_tables(text: str, tables: Mapping[str, str]) -> str:
    """Put each table between the markers of its name; markers of other names keep what they have.

    Args:
        text: a document.
        tables: name -> Markdown.

    Raises:
        LungsegError: a marker has no partner.
    """
    table_names(text)

    def renewed(block: re.Match) -> str:
        start, name = block.groups()
        return f"{start}\n\n{tables[name].strip()}\n\n{_END}" if name in tables else block.group()

    return _BLOCK.sub(renewed, text)
