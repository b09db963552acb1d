# SPDX-License-Identifier: Apache-2.0
"""Read the raw radiographs of the JSRT database: files `JPCLN001.IMG` and the like, without any header.

Shiraishi et al. 2000, doi 10.2214/ajr.174.1.1740071: 2048 x 2048 pixels of 0.175 mm, 4096 grey values of 16 bits each,
the higher byte first. The values grow with the density of the film, so that lungs have the largest ones.
"""

from __future__ import annotations

import numpy as np

from lungseg.io.content import Content
from lungseg.io.radiograph import Radiograph
from lungseg.utils.errors import LungsegError

ENDING = ".img"
_SIDE, _MM, _LARGEST = 2048, 0.175, 4095


def is_jsrt(content: Content) -> bool:
    """Return whether a file is a raw radiograph, by its name and its size."""
    return content.path.name.lower().endswith(ENDING) and len(content.data) == 2 * _SIDE * _SIDE


def read_jsrt(content: Content) -> Radiograph:
    """Decode a raw radiograph; see :func:`is_jsrt`.

    Raises:
        LungsegError: its values do not have 12 bits in this order, so that it is a file of another kind.
    """
    values = np.frombuffer(content.data, ">u2").reshape(_SIDE, _SIDE)
    if values.max() > _LARGEST:
        what = "this is not a raw radiograph of the JSRT database (12 bits, the higher byte first)"
        raise LungsegError(what, content.path, "export it as PNG, TIFF or DICOM", code="unknown-format")
    return Radiograph(_LARGEST - values.astype(np.uint16), (_MM, _MM), "detector")
