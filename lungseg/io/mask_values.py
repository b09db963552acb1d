# SPDX-License-Identifier: Apache-2.0
"""Decode mask files to the values that they store."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lungseg.io.content import Content
from lungseg.io.foreign import foreign_file
from lungseg.io.formats import HEAD_BYTES, format_of
from lungseg.io.limits import check_size
from lungseg.io.nifti import read_nifti
from lungseg.io.parts import check_parts
from lungseg.utils.errors import LungsegError

# Pillow's names; some of its other formats start programs.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP")
_WITH_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")
# Colours that an error lists.
_COLOURS = 6
_Read = TypeVar("_Read")
_AGAIN = "copy or export the mask again"


def decode_mask(content: Content) -> np.ndarray:
    """Return the values of a mask file, (H, W), any real dtype, in the orientation of `lungseg.io.read_radiograph`.

    Colours must be grey, or have one channel that is not empty. In a palette of coloured labels the indices are used.
    Where the colour is the same everywhere and the opacity is not, the opacity is the mask.

    Raises:
        LungsegError: the file is damaged, too small, too large or, with the code "mask-coloured", in several colours.
    """
    if format_of(content.data[:HEAD_BYTES]) == "nifti":
        return read_nifti(content).pixels
    values, alpha = _opened(content, lambda image: (_values(image), _opacity(image)))
    if alpha is not None and (alpha != alpha[0, 0]).any() and (values == values[0, 0]).all():
        return alpha
    if values.ndim == 2:
        return values.astype(np.uint8) if values.dtype == bool else values
    used = np.flatnonzero(values.any(axis=(0, 1)))
    if used.size != 1 and (values != values[..., :1]).any():
        seen, counts = np.unique(decode_colours(content), return_counts=True)
        shown = ", ".join(f"#{colour:06x}" for colour in seen[np.argsort(-counts)][:_COLOURS])
        what = f"the mask is in {seen.size} colours ({shown}{', ...' if seen.size > _COLOURS else ''})"
        remedy = "say which are lungs, with --labels right=#RRGGBB,left=#RRGGBB, or give a label map 0/1/2"
        raise LungsegError(what, content.path, remedy, code="mask-coloured")
    return np.asarray(values[..., used[0] if used.size else 0])


def decode_colours(content: Content) -> np.ndarray:
    """Return the colours of a mask file, (H, W) uint32 of the form 0xRRGGBB; a pixel that is transparent is black.

    Raises:
        LungsegError: the file is damaged, too small, too large, or not a picture with 8 bits.
    """
    colours = _opened(content, lambda image: np.asarray(image.convert("RGBA")))
    red, green, blue, alpha = (colours[..., channel].astype(np.uint32) for channel in range(4))
    return np.where(alpha > 0, red << 16 | green << 8 | blue, np.uint32(0))


def _opened(content: Content, read: Callable[[Image.Image], _Read]) -> _Read:
    """Return the result of `read` for the picture, turned as it is to be shown."""
    try:
        check_parts(content)
        # From memory, for the reason in lungseg.io.raster.
        with Image.open(BytesIO(content.data), formats=_FORMATS) as image:
            check_size(*image.size, content.path)
            # Loading alone ignores the checksums of the pixel data of a PNG.
            image.verify()
        with Image.open(BytesIO(content.data), formats=_FORMATS) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return read(image)
    except (LungsegError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise foreign_file(content) from error
    except Exception as error:  # a damaged file makes a decoder raise any exception
        what = f"the mask cannot be read ({error})"
        raise LungsegError(what, content.path, _AGAIN, code="damaged") from error


def _values(image: Image.Image) -> np.ndarray:
    """Return (H, W), or (H, W, channels) without the opacity."""
    if image.mode == "P":
        return _palette_values(image)
    values = np.asarray(image)
    return values[..., :-1] if image.mode in _WITH_ALPHA else values


def _opacity(image: Image.Image) -> np.ndarray | None:
    """Return the opacity (H, W) uint8, if the picture states it."""
    if image.mode in _WITH_ALPHA:
        return np.asarray(image)[..., -1]
    return np.asarray(image.convert("RGBA"))[..., -1] if "transparency" in image.info else None


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
