# SPDX-License-Identifier: Apache-2.0
"""The exceptions that users see: one sentence with what is wrong, where, and what to do."""

from __future__ import annotations

import re
from os import PathLike

# No text for people contains them: ASCII's and ISO 8859's control characters.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class LungsegError(Exception):
    """An expected failure, told in words.

    Args:
        what: what is wrong, as a clause without a full stop.
        where: the file or folder it is about, if any; it leads the sentence.
        remedy: what the user can do about it.
    """

    def __init__(self, what: str, where: str | PathLike | None = None, remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        sentence = f"{where}: {what}" if where is not None else what
        sentence = f"{sentence}; {remedy}." if remedy else f"{sentence}."
        # A file's name may hold line breaks and commands to the terminal.
        super().__init__(_CONTROL.sub(lambda found: repr(found[0])[1:-1], sentence))

    def __reduce__(self):
        # Data-loader workers pickle what they raise.
        return type(self), (self.what, self.where, self.remedy)


class UsageError(LungsegError):
    """The command itself is wrong (exit status 2), not one of its inputs."""


def in_words(error: BaseException) -> LungsegError | None:
    """Find the LungsegError that MONAI's and PyTorch's own errors were raised from, if there is one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, LungsegError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def first_line(error: BaseException) -> str:
    """Return what an unexpected error says, on one line, with its type; the libraries' own texts run to pages."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
