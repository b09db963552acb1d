# SPDX-License-Identifier: Apache-2.0
"""Decode mask files to the values that they store."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lungseg.io.coded_size import check_coded_size
from lungseg.io.content import Content
from lungseg.io.foreign import foreign_file
from lungseg.io.formats import HEAD_BYTES, format_of
from lungseg.io.limits import check_size
from lungseg.io.nifti import read_nifti
from lungseg.io.parts import check_parts
from lungseg.utils.errors import LungsegError

# Pillow's names; some of its other formats start programs.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP", "JPEG2000")
_AGAIN = "copy or export the mask again"


def decode_mask(content: Content) -> np.ndarray:
    """Return the values of a mask file, (H, W), any real dtype, in the orientation of `lungseg.io.read_radiograph`.

    Colours must be grey, or have one channel that is not empty. In a palette of coloured labels the indices are used.

    Raises:
        LungsegError: the file is damaged, too small, too large or, with the code "mask-coloured", in several colours.
    """
    if format_of(content.data[:HEAD_BYTES]) == "nifti":
        return read_nifti(content).pixels
    try:
        check_parts(content)
        check_coded_size(content)
        # From memory, for the reason in lungseg.io.raster.
        with Image.open(BytesIO(content.data), formats=_FORMATS) as image:
            check_size(*image.size, content.path)
            # Loading alone ignores the checksums of the pixel data of a PNG.
            image.verify()
        with Image.open(BytesIO(content.data), formats=_FORMATS) as image:
            ImageOps.exif_transpose(image, in_place=True)
            values = _palette_values(image) if image.mode == "P" else np.asarray(image)
            alpha = image.mode in ("LA", "PA", "RGBA")
    except (LungsegError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise foreign_file(content) from error
    except Exception as error:  # a damaged file makes a decoder raise any exception
        what = f"the mask cannot be read ({error})"
        raise LungsegError(what, content.path, _AGAIN, code="damaged") from error
    if values.ndim == 2:
        return values.astype(np.uint8) if values.dtype == bool else values
    colours = values[..., :-1] if alpha else values
    used = np.flatnonzero(colours.any(axis=(0, 1)))
    if used.size != 1 and (colours != colours[..., :1]).any():
        remedy = "give a binary mask, a label map 0/1/2 or a pair of masks"
        raise LungsegError("the mask is in several colours", content.path, remedy, code="mask-coloured")
    return np.asarray(colours[..., used[0] if used.size else 0])


def _palette_values(image: Image.Image) -> np.ndarray:
    """Return the values (H, W) of a picture with a palette: its greys or its indices.

    The brighter one of two colours is white: programs number them in any order. More than three greys are shades.
    Otherwise the indices are labels, and the colours only distinguish them.
    """
    numbers, shown = np.asarray(image), np.asarray(image.convert("L"))
    used, places = np.unique(numbers, return_index=True)
    first, *others = shown.flat[places].tolist()
    if len(others) == 1 and first != others[0]:
        return np.where(shown == max(first, *others), np.uint8(255), np.uint8(0))
    colours = np.asarray(image.convert("RGB"))
    return shown if len(used) > 3 and (colours == colours[..., :1]).all() else numbers
