# SPDX-License-Identifier: Apache-2.0
"""The inputs of `Predictor.predict` that are not paths become radiographs."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast

import numpy as np
from monai.data import MetaTensor
from monai.transforms import EnsureChannelFirst
from numpy.typing import NDArray
from PIL import Image

from lungseg.data.image_reader import as_monai
from lungseg.io.limits import MAX_BYTES, TOO_LARGE, check_size
from lungseg.io.radiograph import Radiograph
from lungseg.io.raster import brightness
from lungseg.io.reader_child import check_finite
from lungseg.io.reading import read_radiograph
from lungseg.utils.errors import LungsegError, as_lungseg_error, first_line
from lungseg.utils.files import writing_failed

if TYPE_CHECKING:
    from pydicom import Dataset

# As text, because pydicom takes long to import.
Source: TypeAlias = "str | PathLike[str] | IO[bytes] | NDArray[Any] | Image.Image | Dataset | Radiograph"

_SOURCES = "a path, a binary file object, a NumPy array (H, W), a Pillow image, a pydicom Dataset or a Radiograph"
# Kinds of NumPy's types: integers without and with a sign, floating-point numbers.
_REAL = "uif"
_GREY = "convert it to grey values of shape (H, W)"
_BLOCK = 2**20


def name_of(source: Source) -> str:
    """Return the name that errors give an input: its path, or its type if it has none."""
    if isinstance(source, str | PathLike):
        return os.fspath(source)
    for attribute in ("name", "filename"):  # of file objects; of Pillow images and pydicom data sets
        name = getattr(source, attribute, None)
        if isinstance(name, str | PathLike) and os.fspath(name):
            return str(name)
    kinds = {np.ndarray: "the array", Image.Image: "the image", Radiograph: "the radiograph"}
    if _is_dataset(source):
        return "the data set"
    return next((name for kind, name in kinds.items() if isinstance(source, kind)), "the file object")


def check_is_file(path: str | PathLike[str]) -> None:
    """Raise LungsegError where a folder is given instead of a file."""
    if os.path.isdir(os.path.expanduser(path)):
        remedy = "give one of its files, or segment the folder with lungseg.predict_folder"
        raise LungsegError("this is a folder where a file is expected", path, remedy, code="is-folder")


def check_is_several(sources: object) -> None:
    """Raise TypeError where a single radiograph is given instead of several."""
    single = isinstance(sources, str | PathLike) or _is_dataset(sources) or hasattr(sources, "read")
    if single or not isinstance(sources, Iterable):
        raise TypeError(f"{type(sources).__name__} is not a list of radiographs; use predict for a single one")


def radiograph_of(source: Source) -> Radiograph:
    """Read an input that is not a path.

    Raises:
        TypeError: the input is of a type that is not supported.
        LungsegError: the input cannot be used as a radiograph.
    """
    name = name_of(source)
    if isinstance(source, Radiograph):
        return replace(source, pixels=_read_array(source.pixels, name).pixels)
    if isinstance(source, np.ndarray):
        return _read_array(source, name)
    if isinstance(source, Image.Image):
        return _read_image(source, name)
    if _is_dataset(source):
        return _read_dataset(source, name)
    if hasattr(source, "read"):
        return _read_file(cast(IO[bytes], source), name)
    raise TypeError(f"{type(source).__name__} is not a supported input; give {_SOURCES}")


def load(radiograph: Radiograph, name: str) -> MetaTensor:
    """Return a radiograph as the group `load` of `inference.json` returns a file: (1, W, H) float32 with metadata."""
    pixels, meta = as_monai(radiograph, name)
    image = EnsureChannelFirst(channel_dim="no_channel")(MetaTensor.ensure_torch_and_prune_meta(pixels, meta))
    assert isinstance(image, MetaTensor)
    return image


def _is_dataset(source: object) -> TypeGuard[Dataset]:
    """Return whether the input is a data set of pydicom, which the code that made one has imported."""
    pydicom = sys.modules.get("pydicom")
    return pydicom is not None and isinstance(source, pydicom.Dataset)


def _read_array(array: NDArray[Any], name: str) -> Radiograph:
    """Take grey values (H, W) of any real type, bright being dense, or RGB and RGBA of uint8 as from a PNG."""
    if array.dtype.kind not in _REAL:
        remedy = "give one of integers or floating-point numbers"
        raise LungsegError(f"values of type {array.dtype} are not grey values", name, remedy, code="array-unsupported")
    if array.ndim == 3 and array.shape[-1] in (3, 4):
        if array.dtype != np.uint8:
            what = f"colours of type {array.dtype} are not supported"
            raise LungsegError(what, name, f"{_GREY}, or its colours to uint8", code="colours-unsupported")
        return _read_image(Image.fromarray(np.ascontiguousarray(array)), name)
    if array.ndim != 2:
        what = f"an array of shape {array.shape} is not a radiograph"
        raise LungsegError(what, name, "give one radiograph of shape (H, W)", code="array-unsupported")
    check_size(array.shape[1], array.shape[0], name)
    with np.errstate(over="ignore"):
        pixels = np.ascontiguousarray(array, dtype=np.float32)
    check_finite(pixels, name)
    return Radiograph(pixels)


def _read_image(image: Image.Image, name: str) -> Radiograph:
    check_size(*image.size, name)
    try:
        pixels = np.ascontiguousarray(brightness(image, name), dtype=np.float32)
    except Exception as error:  # Pillow reads a file late, and raises any error for a damaged one
        raise as_lungseg_error(error, "the image cannot be read", name) from error
    check_finite(pixels, name)
    return Radiograph(pixels)


def _read_dataset(dataset: Dataset, name: str) -> Radiograph:
    """Read a data set as its file would be read: some decoders run in a process of their own and take files only."""
    with _temporary_file(name) as path:
        try:
            dataset.save_as(path)
        except Exception as error:  # any element can be one that cannot be written
            what = f"the data set cannot be encoded ({error})"
            raise LungsegError(what, name, "read it with pydicom.dcmread", code="dataset-not-encodable") from error
        return _read_named(path, name)


def _read_file(source: IO[bytes], name: str) -> Radiograph:
    """Read a file object once, from its current position to its end."""
    with _temporary_file(name) as path:
        size = 0
        with open(path, "wb") as file:
            while block := _read_block(source, name):
                size += file.write(block)
                if size > MAX_BYTES:
                    what = f"the file has more than {MAX_BYTES} bytes, more than any radiograph"
                    raise LungsegError(what, name, TOO_LARGE, code="too-large")
        return _read_named(path, name)


def _read_named(path: Path, name: str) -> Radiograph:
    """Read a temporary file, and let its radiograph state `name` as its source."""
    radiograph = read_radiograph(path)
    assert radiograph.source is not None
    return replace(radiograph, source=replace(radiograph.source, path=Path(name)))


def _read_block(source: IO[bytes], name: str) -> bytes:
    try:
        block: object = source.read(_BLOCK)
    except UnicodeDecodeError as error:
        raise _text_file(name) from error
    except (OSError, ValueError) as error:  # a ValueError if it is closed
        what = f"the file object cannot be read ({first_line(error)})"
        raise LungsegError(what, name, "open it again", code="not-readable") from error
    if not isinstance(block, bytes):
        raise _text_file(name)
    return block


def _text_file(name: str) -> LungsegError:
    return LungsegError("the file object returns text", name, 'open it with mode "rb"', code="text-file")


@contextmanager
def _temporary_file(name: str) -> Iterator[Path]:
    """Offer a path that only this user may read, until the block ends; errors about it carry `name` instead."""
    with tempfile.TemporaryDirectory(prefix="lungseg-") as folder:
        path = Path(folder) / "radiograph"
        try:
            yield path
        except LungsegError as error:
            if error.where != path:
                raise
            remedy = error.remedy.replace(str(path), name)
            raise type(error)(error.what, name, remedy, code=error.code) from error
        except OSError as error:
            raise writing_failed(error, Path(folder)) from error
