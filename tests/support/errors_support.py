# SPDX-License-Identifier: Apache-2.0
"""Expect an error by its code, since sentences may change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lungseg.utils.errors import LungsegError


@contextmanager
def fails(code: str, kind: type[LungsegError] = LungsegError) -> Iterator[pytest.ExceptionInfo[LungsegError]]:
    """Expect that the block raises an error of this kind with this code."""
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.code == code
