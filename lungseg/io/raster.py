# SPDX-License-Identifier: Apache-2.0
"""PNG, JPEG and TIFF, through Pillow."""

from __future__ import annotations

import sys
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lungseg.io.jpeg import is_filled_up
from lungseg.io.limits import TOO_LARGE, check_size
from lungseg.io.radiograph import Radiograph
from lungseg.utils.errors import LungsegError

_FORMATS = ("PNG", "JPEG", "TIFF")
# What Pillow calls a JPEG file, and one with further pictures behind the first.
_JPEG = ("JPEG", "MPO")
# Big-endian values and the same ones in this machine's order, in Pillow's words.
_NATIVE = {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}
_DAMAGED = "copy or export it again"
_DEEP_MODES = ("I", "F")
# Tags of TIFF, and their values.
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_SAMPLE_FORMAT, _UNSIGNED, _SIGNED = 339, (1,), (2,)
_KIND_OF_PAGE, _DEPTHS = 254, 258
_PLANES, _APART = 284, 2
_SAVE_GREY = "save it in grey, of 8 or 16 bits"
# Fewer grey levels than this left by the cut to 8 bits are too few to see a lung by.
_LEAST_LEVELS = 64


def read_raster(path: Path) -> Radiograph:
    """Read a PNG, JPEG or TIFF file; its spacing is unknown: the resolution it states is the printer's.

    Raises:
        LungsegError: the file is damaged, of an unfit size or holds several pictures.
    """
    try:
        # Given a name, Pillow maps the file into memory: it then turns uncompressed TIFFs the wrong way, and a
        # file that shrinks meanwhile ends the process.
        with open(path, "rb") as file, Image.open(file, formats=_FORMATS) as image:
            page = _check_header(image, path)
            if image.format == "PNG":
                # Loading alone ignores the check sums of the pixel data.
                image.verify()
        with open(path, "rb") as file, Image.open(file, formats=_FORMATS) as image:
            if image.format == "TIFF":
                image.seek(page)
            pixels = brightness(image, path)
    except LungsegError:
        raise
    except Image.DecompressionBombError as error:
        raise LungsegError("the picture claims to be too large for a radiograph", path, TOO_LARGE) from error
    except UnidentifiedImageError as error:
        raise LungsegError("the picture's header is damaged, or of a rare kind", path, "export it as PNG") from error
    except Exception as error:  # decoders raise whatever a damaged byte leads them to
        raise LungsegError(f"the picture is damaged ({error})", path, _DAMAGED) from error
    return Radiograph(np.ascontiguousarray(pixels, dtype=np.float32))


def brightness(image: Image.Image, name: str | PathLike[str]) -> np.ndarray:
    """Return the grey values (H, W) of an open Pillow image, upright, in the units of its file.

    Raises:
        LungsegError: the image is damaged, or its colours cannot be used; `name` leads the sentence.
    """
    if image.format == "TIFF":
        _in_native_order(image)
    if image.format in _JPEG and is_filled_up(np.asarray(image)):
        raise LungsegError("the picture is damaged or cut short", name, _DAMAGED)
    deep_colours = _has_deep_colours(image)
    # Pillow keeps a TIFF's tags in the original only, and the original belongs to the caller.
    pixels = _to_grey(ImageOps.exif_transpose(image))
    if deep_colours and np.ptp(pixels) < _LEAST_LEVELS:
        raise LungsegError("the picture's colours of 16 bits use little of their range", name, _SAVE_GREY)
    return _values_of_tiff(pixels, image.tag_v2) if image.format == "TIFF" else pixels


def _check_header(image: Image.Image, path: Path) -> int:
    """Return the number of the page that holds the picture."""
    # A camera's JPEG may carry a preview as a second picture.
    pages = [0] if image.format in _JPEG else list(range(getattr(image, "n_frames", 1)))
    if image.format == "TIFF":
        pages = [page for page in pages if not _is_reduced(image, page)] if len(pages) > 1 else pages
        image.seek(pages[0] if pages else 0)
        if image.tag_v2.get(_PLANES) == _APART and max(image.tag_v2.get(_DEPTHS, (8,))) > 8:
            raise LungsegError("the picture's colours of 16 bits lie in planes apart", path, _SAVE_GREY)
    if len(pages) != 1:
        raise LungsegError(f"the file holds {len(pages)} pictures", path, "save the radiograph alone in a file")
    check_size(*image.size, path)
    return pages[0]


def _is_reduced(image: Image.Image, page: int) -> bool:
    """Say whether a page is a preview of another one."""
    image.seek(page)
    return bool(image.tag_v2.get(_KIND_OF_PAGE, 0) & 1)


def _in_native_order(image: Image.Image) -> None:
    """Tell Pillow that libtiff has turned the bytes of a big-endian file's deep values round already."""
    if sys.byteorder == "little":
        image.tile = [
            tile._replace(args=(_NATIVE.get(tile.args[0], tile.args[0]), *tile.args[1:]))
            if tile.codec_name == "libtiff"
            else tile
            for tile in image.tile
        ]


def _has_deep_colours(image: Image.Image) -> bool:
    """Say whether Pillow, which has no deep colours, is going to cut the picture's to 8 bits."""
    modes = [str(tile[3][0] if isinstance(tile[3], tuple) else tile[3]) for tile in image.tile]
    return image.mode in ("RGB", "RGBA", "LA") and any(";16" in mode for mode in modes)


def _to_grey(image: Image.Image) -> np.ndarray:
    """Return (H, W) brightness: deep grey values as they are, colours as their luma (0 to 255)."""
    if image.mode.split(";")[0] in _DEEP_MODES:
        return np.asarray(image)
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
        grey = np.asarray(image.convert("RGB").convert("L"))
        # One alpha everywhere says nothing; else what is transparent is outside the picture, hence black.
        return grey if alpha.min() == alpha.max() else grey * (alpha / np.float32(255))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB").convert("L"))


def _values_of_tiff(pixels: np.ndarray, tags) -> np.ndarray:
    """Obey the signs of values, and do for deep grey values what Pillow does for the shallower ones alone."""
    if pixels.dtype == np.uint8:
        return pixels.view(np.int8) if tags.get(_SAMPLE_FORMAT) == _SIGNED else pixels
    if pixels.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED:
        pixels = pixels.view(np.uint32)
    if tags.get(_PHOTOMETRIC) != _WHITE_IS_ZERO:
        return pixels
    top = np.iinfo(pixels.dtype).max if pixels.dtype == np.uint16 else pixels.max()
    return top - pixels
