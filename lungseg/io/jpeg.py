# SPDX-License-Identifier: Apache-2.0
"""Detect truncated JPEG data, which decoders silently pad with grey."""

from __future__ import annotations

import numpy as np

END = b"\xff\xd9"
# The middle of the range: the value of blocks without any coefficient.
_FILL = 128
# Rows of a block.
_ROWS = 8
# The codes of a picture contain zeros, but not so many in a row.
_ZEROS = bytes(64)


def ends_well(data: bytes) -> bool:
    """Return whether JPEG, JPEG-LS or JPEG 2000 data have an end marker that does not follow a run of zeros.

    Zeros, or a few other bytes, may follow the end marker.
    """
    # Encapsulated data end with a delimiter of their own.
    data = data.removesuffix(b"\xfe\xff\xdd\xe0\0\0\0\0").rstrip(b"\0")
    at = data.rfind(END)
    return len(data) - 16 <= at and not data[:at].endswith(_ZEROS)


def is_filled_up(pixels: np.ndarray) -> bool:
    """Return whether a decoder filled the last rows of the decoded pixels, (H, W) or (H, W, 3) uint8.

    If the first rows have the same grey, the picture has a letterbox, and the last rows are a part of it.
    """
    if pixels.dtype != np.uint8 or (pixels[-_ROWS:] != _FILL).any():
        return False
    return bool((pixels[:_ROWS] != _FILL).any() or (pixels == _FILL).all())
