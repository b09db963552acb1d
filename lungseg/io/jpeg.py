# SPDX-License-Identifier: Apache-2.0
"""Whether JPEG data are whole, which decoders do not tell: they fill up what is missing with grey."""

from __future__ import annotations

import numpy as np

END = b"\xff\xd9"
# The middle of the range, which blocks without any coefficient have.
_FILL = 128
# Blocks have so many rows.
_ROWS = 8
# Noughts are among the codes of a picture, but not that many in a row.
_NOUGHTS = bytes(64)


def ends_well(data: bytes) -> bool:
    """Say whether JPEG, JPEG-LS or JPEG 2000 data have an end, and no run of zeros in place of what comes before it.

    Zeros may follow the end, as may a byte or two of anything.
    """
    # Encapsulated data end with a delimiter of their own.
    data = data.removesuffix(b"\xfe\xff\xdd\xe0\0\0\0\0").rstrip(b"\0")
    at = data.rfind(END)
    return len(data) - 16 <= at and not data[:at].endswith(_NOUGHTS)


def is_filled_up(pixels: np.ndarray) -> bool:
    """Say whether the last rows of what was decoded, (H, W) or (H, W, 3) uint8 as stored, are a decoder's filling.

    Rows of the same grey above a picture are a letterbox's, and so are then those below it.
    """
    if pixels.dtype != np.uint8 or (pixels[-_ROWS:] != _FILL).any():
        return False
    return bool((pixels[:_ROWS] != _FILL).any() or (pixels == _FILL).all())
