# SPDX-License-Identifier: Apache-2.0
"""A label as it was saved: its version, which changes with every change, who saved it, and when."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lungseg.utils.errors import LungsegError

# Returns whether a new label may replace the version of the saved one; None stands for no label.
MayReplace = Callable[[str | None], bool]


def version_of(content: bytes) -> str:
    """Return the version of a label's file: its SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class SavedLabel:
    """A label.

    Attributes:
        file: it lies here.
        version: see :func:`version_of`.
        user: who saved it; None if another program put the file there.
        time: when the file was written.
    """

    file: Path
    version: str
    user: str | None
    time: datetime


def saved_label(file: Path, info: dict[str, object]) -> SavedLabel:
    """Return a label with its version.

    Args:
        file: the label's file.
        info: kept with the label when it was saved: `user` saved the `version`.
    """
    version = version_of(file.read_bytes())
    user = info.get("user") if info.get("version") == version else None
    time = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return SavedLabel(file, version, None if user is None else str(user), time)


class LabelChangedError(LungsegError):
    """A label cannot be saved, because another one was saved since it was opened.

    Attributes:
        saved: the label that is there now, or None if it was deleted.
    """

    saved: SavedLabel | None = None


def label_changed(image_id: str, saved: SavedLabel | None) -> LabelChangedError:
    """Return the error (label-changed).

    Args:
        image_id: the study.
        saved: the label that is there now, or None if it was deleted.
    """
    what = f"the label of {image_id!r} was {'deleted' if saved is None else 'replaced'} since you opened it"
    error = LabelChangedError(what, remedy="open it again, or save over it", code="label-changed")
    error.saved = saved
    return error
