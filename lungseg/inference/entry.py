# SPDX-License-Identifier: Apache-2.0
"""What the record of results says about one radiograph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lungseg.io.content import content_hash
from lungseg.report.table import Row

# A file during which this many runs or workers were killed fails. It was alone at the last of these times.
_MOST_KILLS = 2


@dataclass(frozen=True)
class Entry:
    """The recorded facts on one radiograph's results; all are empty for an unknown radiograph.

    Attributes:
        content: SHA-256 of the input's content.
        model: hash of everything else that the results depend on.
        source: real path of the input.
        row: its line of the report; `reason` is without that of `refused`.
        files: kind -> digest (see :func:`lungseg.inference.records.digest_of`) of its file, for the kinds of output
            whose files hold.
        refused: kind -> why no file of this kind can be made, in words.
        touched: kinds whose files may be there but do not hold: a run began to write or remove them.
        kills: how often a run or a worker was killed since the last result while this input was under way.
        killer: SHA-256 of the input's content at these times.
    """

    content: str = ""
    model: str = ""
    source: str = ""
    row: Row | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    touched: frozenset[str] = frozenset()
    kills: int = 0
    killer: str = ""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of output whose files hold."""
        return frozenset(self.files)

    def after_writing(self, kinds: Iterable[str]) -> Entry:
        """Return the entry once files of these kinds have been touched."""
        kinds = frozenset(kinds)
        files = {kind: digest for kind, digest in self.files.items() if kind not in kinds}
        return replace(self, files=files, touched=self.touched | kinds)

    def after_kill(self, content: str) -> Entry:
        """Return the entry once a process was killed while this input, with this content, was under way."""
        return replace(self, kills=self.kills + 1 if content == self.killer else 1, killer=content)

    def after_failure(self) -> Entry:
        """Return the entry once the input failed by itself: it did not kill anything then."""
        return self if self.kills >= _MOST_KILLS else replace(self, kills=0, killer="")

    def kills_process(self, path: Path) -> bool:
        """Return whether the content that `path` has now killed a process again when it was alone."""
        return self.kills >= _MOST_KILLS and bool(self.killer) and self.killer == content_hash(path)
