# SPDX-License-Identifier: Apache-2.0
"""The reasons in `report.csv`, taken apart and counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from lungseg.utils.errors import LungsegError

_REFUSED = re.compile(r"(?:^|; )([a-z-]+) was not written: ")


class Judged(Protocol):
    """How a radiograph ended: a row of the report, or these columns of it."""

    @property
    def file(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def doubts(self) -> str: ...


def refusal(kind: str, error: LungsegError) -> str:
    """Return in words that a kind of output was not written, and why."""
    # A name or header of a file must not command the terminal: the sentence of an error is escaped.
    return str(LungsegError(f"{kind} was not written: {error.what}", code=error.code)).removesuffix(".")


def join_reason(reason: str, refused: Iterable[str]) -> str:
    """Return a reason with the sentences that `refusal` made."""
    return "; ".join(filter(None, (reason, *refused)))


def split_reason(reason: str) -> tuple[str, Mapping[str, str]]:
    """Return a reason without the kinds of output that were not written, and these kinds -> why."""
    first, *parts = _REFUSED.split(reason)
    return first, dict(zip(parts[::2], parts[1::2], strict=True))


def left_out(rows: Iterable[Judged]) -> Iterator[str]:
    """Yield a clause for each kind of output that was not written for some radiographs, with their number."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        # The reason of a failure is one sentence.
        if row.status != "failed":
            counts.update(split_reason(row.reason)[1].items())
    for (kind, why), count in counts.most_common():
        yield f"{kind} was not written for {count:,} radiograph{'s' * (count != 1)}: {why}"
