# SPDX-License-Identifier: Apache-2.0
"""The exceptions that users see: one sentence that says what is wrong, where, and what to do."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from os import PathLike
from typing import Any

from lungseg.utils.text import escape_control

logger = logging.getLogger(__name__)


class LungsegError(Exception):
    """An expected failure, with a sentence for people and a code for programs.

    Args:
        what: what is wrong, as a clause without a full stop.
        where: the file or folder it is about, if any; it leads the sentence.
        remedy: what the user can do about it.
        code: a stable, short name of the failure, such as "mask-inverted"; sentences may change, codes do not.
    """

    def __init__(
        self, what: str, where: str | PathLike[str] | None = None, remedy: str = "", *, code: str = "failed"
    ) -> None:
        self.what, self.where, self.remedy, self.code = what, where, remedy, code
        sentence = f"{where}: {what}" if where is not None else what
        sentence = f"{sentence}; {remedy}." if remedy else f"{sentence}."
        super().__init__(escape_control(sentence))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # Data-loader workers pickle the errors that they raise.
        return functools.partial(type(self), code=self.code), (self.what, self.where, self.remedy)


class UsageError(LungsegError):
    """The command itself is wrong (exit status 2), not one of its inputs."""


def find_lungseg_error(error: BaseException | None) -> LungsegError | None:
    """Find the LungsegError that MONAI's and PyTorch's own errors were raised from, if there is one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, LungsegError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def as_lungseg_error(error: BaseException, what: str, where: str | PathLike[str] | None = None) -> LungsegError:
    """Return a LungsegError as it is, and describe any other error in a sentence.

    The traceback of an unexpected error is logged at debug level.

    Args:
        error: the error that was raised.
        what: what could not be done, as a clause.
        where: the file that it is about, if any.
    """
    if isinstance(error, LungsegError):
        return error
    logger.debug("%s", what if where is None else f"{escape_control(where)}: {what}", exc_info=error)
    return LungsegError(
        f"{what} ({first_line(innermost(error))})", where, "report it, with the file", code="unexpected"
    )


def innermost(error: BaseException) -> BaseException:
    """Return the first error of a chain: MONAI's own errors name objects by their addresses."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def first_line(error: BaseException) -> str:
    """Return the type and the first line of an unexpected error; some libraries' messages are pages long."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
