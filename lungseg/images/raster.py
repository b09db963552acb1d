# SPDX-License-Identifier: Apache-2.0
"""PNG, JPEG and TIFF, through Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lungseg.errors import LungsegError
from lungseg.images.limits import TOO_LARGE, check_size
from lungseg.images.radiograph import Radiograph

_FORMATS = ("PNG", "JPEG", "TIFF")
_DAMAGED = "copy or export it again"
_DEEP_MODES = ("I", "F")
# Tags of TIFF, and their values.
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_SAMPLE_FORMAT, _UNSIGNED = 339, (1,)


def read_raster(path: Path) -> Radiograph:
    """Read a PNG, JPEG or TIFF file; its spacing is unknown: the resolution it states is the printer's.

    Raises:
        LungsegError: the file is damaged, of an unfit size or holds several pictures.
    """
    try:
        # Given a name, Pillow maps the file into memory: it then turns uncompressed TIFFs the wrong way, and a
        # file that shrinks meanwhile ends the process.
        with open(path, "rb") as file, Image.open(file, formats=_FORMATS) as image:
            _refuse_by_header(image, path)
            if image.format == "PNG":
                # Loading alone ignores the check sums of the pixel data.
                image.verify()
        with open(path, "rb") as file, Image.open(file, formats=_FORMATS) as image:
            ImageOps.exif_transpose(image, in_place=True)
            pixels = _to_grey(image)
            if image.format == "TIFF" and pixels.dtype != np.uint8:
                pixels = _deep_tiff(pixels, image.tag_v2)
    except LungsegError:
        raise
    except Image.DecompressionBombError as error:
        raise LungsegError("the picture claims to be too large for a radiograph", path, TOO_LARGE) from error
    except UnidentifiedImageError as error:
        raise LungsegError("the picture's header is damaged, or of a rare kind", path, "export it as PNG") from error
    except Exception as error:  # decoders raise whatever a damaged byte leads them to
        raise LungsegError(f"the picture is damaged ({error})", path, _DAMAGED) from error
    return Radiograph(np.ascontiguousarray(pixels, dtype=np.float32))


def _refuse_by_header(image: Image.Image, path: Path) -> None:
    check_size(*image.size, path)
    pages = getattr(image, "n_frames", 1)
    # A camera's JPEG may carry a preview as a second picture (MPO).
    if pages > 1 and image.format in ("PNG", "TIFF"):
        raise LungsegError(f"the file holds {pages} pictures", path, "save the radiograph alone in a file")


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


def _deep_tiff(pixels: np.ndarray, tags) -> np.ndarray:
    """Do for deep grey values what Pillow does for the shallower ones alone."""
    if pixels.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED:
        pixels = pixels.view(np.uint32)
    if tags.get(_PHOTOMETRIC) != _WHITE_IS_ZERO:
        return pixels
    top = np.iinfo(pixels.dtype).max if pixels.dtype == np.uint16 else pixels.max()
    return top - pixels
