# SPDX-License-Identifier: Apache-2.0
"""A failure is the disk's only where other files would fail too: work on them stops."""

from __future__ import annotations

import errno

import pytest

from lungseg.utils.errors import LungsegError
from lungseg.utils.files import disk_is_to_blame


@pytest.mark.parametrize(
    ("cause", "blamed"),
    [
        (OSError(errno.ENOSPC, "No space left"), True),
        (OSError(errno.ENAMETOOLONG, "File name too long"), False),
        (OSError("cannot identify image file"), False),
        (ValueError("no"), False),
        (None, False),
    ],
)
def test_the_disk_is_not_blamed_for_the_content_of_a_file(cause, blamed):
    error = LungsegError("it is wrong", code="wrong")
    error.__cause__ = cause
    assert disk_is_to_blame(error) == blamed
