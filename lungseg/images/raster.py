# SPDX-License-Identifier: Apache-2.0
"""PNG, JPEG and TIFF, through Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lungseg.errors import LungsegError
from lungseg.images.limits import check_size
from lungseg.images.radiograph import Radiograph

# PNG; JPEG; TIFF and BigTIFF in either byte order.
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
FORMATS = ("PNG", "JPEG", "TIFF")
_DEEP_MODES = ("I", "F")
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0


def read_raster(path: Path) -> Radiograph:
    """Read a PNG, JPEG or TIFF file; its spacing is unknown: the resolution it states is the printer's.

    Raises:
        LungsegError: the file is damaged, of an unfit size or holds several pictures.
    """
    try:
        with _open(path) as image:
            if image.format == "PNG":
                # Loading alone ignores the check sums of the pixel data.
                image.verify()
        with _open(path) as image:
            pixels = _to_grey(ImageOps.exif_transpose(_load(image)))
    except LungsegError:
        raise
    except Exception as error:  # decoders raise whatever a damaged byte leads them to
        raise LungsegError(f"the picture is damaged ({error})", path, "copy or export it again") from error
    return Radiograph(np.ascontiguousarray(pixels, dtype=np.float32))


def _open(path: Path) -> Image.Image:
    """Read the header alone, and refuse by it."""
    with warnings.catch_warnings():
        # Pillow's warning comes at a size that the check below refuses anyway.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(path, formats=FORMATS)
    check_size(*image.size, path)
    pages = getattr(image, "n_frames", 1)
    # A camera's JPEG may carry a preview as a second picture (MPO).
    if pages > 1 and image.format in ("PNG", "TIFF"):
        raise LungsegError(f"the file holds {pages} pictures", path, "save the radiograph alone in a file")
    return image


def _load(image: Image.Image) -> Image.Image:
    image.load()
    return image


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
