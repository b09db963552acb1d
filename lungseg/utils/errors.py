# SPDX-License-Identifier: Apache-2.0
"""The exceptions that users see: one sentence with what is wrong, where, and what to do."""

from __future__ import annotations

import os
import traceback
from os import PathLike

from lungseg.utils.text import printable


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
        super().__init__(printable(sentence))

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


def in_a_sentence(error: Exception, what: str, where: str | PathLike | None = None) -> LungsegError:
    """Return an expected error as it is, an unforeseen one in words; `LUNGSEG_TRACEBACK` shows where that is from.

    Args:
        error: what was raised.
        what, where: what could not be done, and with which file.
    """
    if isinstance(error, LungsegError):
        return error
    if os.environ.get("LUNGSEG_TRACEBACK"):
        traceback.print_exception(error)
    return LungsegError(f"{what} ({first_line(_innermost(error))})", where, "report it, with the file")


def _innermost(error: BaseException) -> BaseException:
    """Return what MONAI's errors, which name objects by their addresses, were raised from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def first_line(error: BaseException) -> str:
    """Return what an unexpected error says, on one line, with its type; the libraries' own texts run to pages."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
