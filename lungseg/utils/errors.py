# SPDX-License-Identifier: Apache-2.0
"""The exceptions that users see: one sentence with what is wrong, where, and what to do."""

from __future__ import annotations

import functools
import os
import traceback
from os import PathLike

from lungseg.utils.text import escape_control


class LungsegError(Exception):
    """An expected failure, with a sentence for people and a code for programs.

    Args:
        what: what is wrong, as a clause without a full stop.
        where: the file or folder it is about, if any; it leads the sentence.
        remedy: what the user can do about it.
        code: a stable, short name of the failure, such as "mask-inverted"; sentences may change, codes do not.
    """

    def __init__(
        self, what: str, where: str | PathLike | None = None, remedy: str = "", *, code: str = "failed"
    ) -> None:
        self.what, self.where, self.remedy, self.code = what, where, remedy, code
        sentence = f"{where}: {what}" if where is not None else what
        sentence = f"{sentence}; {remedy}." if remedy else f"{sentence}."
        super().__init__(escape_control(sentence))

    def __reduce__(self):
        # Data-loader workers pickle what they raise.
        return functools.partial(type(self), code=self.code), (self.what, self.where, self.remedy)


class UsageError(LungsegError):
    """The command itself is wrong (exit status 2), not one of its inputs."""


def find_lungseg_error(error: BaseException) -> LungsegError | None:
    """Find the LungsegError that MONAI's and PyTorch's own errors were raised from, if there is one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, LungsegError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def as_lungseg_error(error: Exception, what: str, where: str | PathLike | None = None) -> LungsegError:
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
