# SPDX-License-Identifier: Apache-2.0
"""Read PNG, JPEG, TIFF, BMP, GIF, WebP and JPEG 2000 files with Pillow."""

from __future__ import annotations

import sys
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from lungseg.io.coded_size import check_coded_size, jpeg_2000_components
from lungseg.io.content import Content
from lungseg.io.foreign import camera_raw
from lungseg.io.jpeg import is_filled_up
from lungseg.io.limits import MAX_PAGES, TOO_LARGE, check_size
from lungseg.io.parts import check_parts
from lungseg.io.radiograph import Radiograph
from lungseg.utils.errors import LungsegError

# Pillow's names; some of its other formats start programs.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000")
# Pillow's names of a JPEG file, and of one with further pictures after the first.
_JPEG = ("JPEG", "MPO")
# Pillow's names of big-endian values, and of the same values in this machine's byte order.
_NATIVE = {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}
_DEEP_MODES = ("I", "F")
# TIFF tags and their values.
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_SAMPLE_FORMAT, _UNSIGNED, _SIGNED = 339, (1,), (2,)
_SUBFILE_TYPE, _PREVIEW, _BITS_PER_SAMPLE = 254, 1, 258
# Pages below a page, and the version of Adobe's format for raw pictures; Canon's has a signature after the header.
_SUB_PAGES, _DNG_VERSION, _CANON = 330, 50706, b"CR\2\0"
_PLANAR_CONFIGURATION, _SEPARATE_PLANES = 284, 2
# If Pillow's cut to 8 bits leaves fewer grey levels, the lungs are not visible.
_MIN_LEVELS = 64
_COPY_AGAIN = "copy or export it again"
_SAVE_GREY = "save it in grey, with 8 or 16 bits"


def read_raster(content: Content) -> Radiograph:
    """Decode a file that Pillow reads. Its spacing is unknown: the resolution in the file is meant for printers.

    The pixels have the type that they were decoded to.

    Raises:
        LungsegError: the file is damaged, too small, too large or holds several pictures.
    """
    path = content.path
    try:
        check_parts(content)
        check_coded_size(content)
        # From memory: Pillow maps a file that it gets by name, and then transposes some uncompressed TIFF files.
        with Image.open(BytesIO(content.data), formats=_FORMATS) as image:
            page = _check_header(image, content)
            if image.format == "PNG":
                # Loading alone ignores the checksums of the pixel data.
                image.verify()
        with Image.open(BytesIO(content.data), formats=_FORMATS) as image:
            if image.format == "TIFF":
                image.seek(page)
            pixels = brightness(image, path)
            if image.format == "JPEG2000":
                pixels = _values_of_jpeg_2000(pixels, image, content)
    except (LungsegError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        what = "the picture claims to be too large for a radiograph"
        raise LungsegError(what, path, TOO_LARGE, code="too-large") from error
    except UnidentifiedImageError as error:
        what = "the picture's header is damaged, or of a rare kind"
        raise LungsegError(what, path, "export it as PNG", code="damaged") from error
    except Exception as error:  # a damaged file makes a decoder raise any exception
        raise LungsegError(f"the picture is damaged ({error})", path, _COPY_AGAIN, code="damaged") from error
    return Radiograph(pixels)


def brightness(image: Image.Image, name: str | PathLike[str]) -> np.ndarray:
    """Return the grey values (H, W) of an open Pillow image, upright, in the units of its file.

    Raises:
        LungsegError: the image is damaged, or its colours cannot be used; `name` leads the sentence.
    """
    if image.format == "TIFF" and isinstance(image, ImageFile.ImageFile):
        _use_native_order(image)
    if image.format in _JPEG and is_filled_up(np.asarray(image)):
        raise LungsegError("the picture is damaged or cut short", name, _COPY_AGAIN, code="damaged")
    deep_colours = _has_deep_colours(image)
    # Not in place: a caller's image stays as it is, and only the original has a TIFF file's tags.
    pixels = _to_grey(ImageOps.exif_transpose(image))
    if deep_colours and np.ptp(pixels) < _MIN_LEVELS:
        what = "the picture's 16-bit colours use little of their range"
        raise LungsegError(what, name, _SAVE_GREY, code="colours-unsupported")
    return _values_of_tiff(pixels, _tiff_tags(image)) if image.format == "TIFF" else pixels


def _check_header(image: ImageFile.ImageFile, content: Content) -> int:
    """Return the number of the page that holds the picture."""
    page, path = 0, content.path
    if image.format == "TIFF":
        page = _only_picture(image, path)
        image.seek(page)
        tags = _tiff_tags(image)
        canon = content.data.startswith(_CANON, 8)
        if canon or _DNG_VERSION in tags or (_SUB_PAGES in tags and tags.get(_SUBFILE_TYPE, 0) & _PREVIEW):
            raise camera_raw(content)
        if tags.get(_PLANAR_CONFIGURATION) == _SEPARATE_PLANES and max(tags.get(_BITS_PER_SAMPLE, (8,))) > 8:
            what = "the picture's 16-bit colours are stored in separate planes"
            raise LungsegError(what, path, _SAVE_GREY, code="colours-unsupported")
    # The JPEG file of a camera may contain a preview as a second picture.
    elif image.format not in _JPEG and getattr(image, "is_animated", False):
        # Counting the pictures of a GIF file takes as long as reading them.
        count = "several" if image.format == "GIF" else f"{image.n_frames}"  # type: ignore[attr-defined]
        raise several_pictures(count, path)
    check_size(*image.size, path)
    return page


def _only_picture(image: ImageFile.ImageFile, path: Path) -> int:
    """Return the number of the only page of a TIFF file that is not a preview of another one."""
    found: list[int] = []
    for page in range(MAX_PAGES + 1):
        try:
            image.seek(page)
        except EOFError:
            break
        # A page that is alone is the picture, whatever it states.
        if not _tiff_tags(image).get(_SUBFILE_TYPE, 0) & _PREVIEW:
            found.append(page)
    else:
        raise several_pictures(f"more than {MAX_PAGES}", path)
    if page > 1 and len(found) != 1:
        raise several_pictures(f"{len(found)}", path)
    return found[0] if found else 0


def several_pictures(count: str, path: Path) -> LungsegError:
    """Return the error for a file that holds more than one radiograph."""
    what = f"the file holds {count} pictures"
    return LungsegError(what, path, "save the radiograph alone in a file", code="several-pictures")


def _tiff_tags(image: Image.Image) -> Any:
    """Return the tags of the current page of a TIFF file, a mapping by number."""
    return image.tag_v2  # type: ignore[attr-defined]


def _use_native_order(image: ImageFile.ImageFile) -> None:
    """Make Pillow take deep big-endian values as they are: libtiff has already swapped their bytes."""
    if sys.byteorder == "little":
        image.tile = [_native_tile(tile) if tile.codec_name == "libtiff" else tile for tile in image.tile]


def _native_tile(tile: Any) -> Any:
    return tile._replace(args=(_NATIVE.get(tile.args[0], tile.args[0]), *tile.args[1:]))


def _has_deep_colours(image: Image.Image) -> bool:
    """Return whether the picture has colours that Pillow will cut to 8 bits when it decodes the file."""
    tiles: list[Any] = list(image.tile) if isinstance(image, ImageFile.ImageFile) else []
    modes = [str(tile[3][0] if isinstance(tile[3], tuple) else tile[3]) for tile in tiles]
    return image.mode in ("RGB", "RGBA", "LA") and any(";16" in mode for mode in modes)


def _to_grey(image: Image.Image) -> np.ndarray:
    """Return (H, W) brightness: deep grey values as they are, colours as their luma (0 to 255)."""
    if image.mode.split(";")[0] in _DEEP_MODES:
        return np.asarray(image)
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
        grey = np.asarray(image.convert("RGB").convert("L"))
        # A constant alpha has no meaning. Otherwise transparent pixels are outside the picture, hence black.
        return grey if alpha.min() == alpha.max() else grey * (alpha / np.float32(255))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB").convert("L"))


def _values_of_jpeg_2000(pixels: np.ndarray, image: Image.Image, content: Content) -> np.ndarray:
    """Undo Pillow's changes of deep grey values: shifted to the upper bits, and the sign to the range from 0."""
    components = jpeg_2000_components(content)
    if components is None or components.bits <= 8:
        return pixels
    if image.mode != "I;16":
        if np.ptp(pixels) < _MIN_LEVELS:
            what = "the picture's deep colours use little of their range"
            raise LungsegError(what, content.path, _SAVE_GREY, code="colours-unsupported")
        return pixels
    bits = min(components.bits, 16)
    values = (pixels >> (16 - bits)).astype(np.int32)
    return values - 2 ** (bits - 1) if components.signed else values


def _values_of_tiff(pixels: np.ndarray, tags: Any) -> np.ndarray:
    """Apply the sign of the values, and invert deep values if white is zero; Pillow inverts only 8-bit values."""
    if pixels.dtype == np.uint8:
        return pixels.view(np.int8) if tags.get(_SAMPLE_FORMAT) == _SIGNED else pixels
    if pixels.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED:
        pixels = pixels.view(np.uint32)
    if tags.get(_PHOTOMETRIC) != _WHITE_IS_ZERO:
        return pixels
    top = np.iinfo(pixels.dtype).max if pixels.dtype == np.uint16 else pixels.max()
    return np.asarray(top - pixels)
