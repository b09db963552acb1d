# SPDX-License-Identifier: Apache-2.0
"""Read a label map in the NRRD format, as 3D Slicer writes it, without a library that opens the files it names.

The format: https://teem.sourceforge.net/nrrd/format.html. Only what one picture needs is read: its values lie in the
file itself, raw or compressed with gzip.
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from lungseg.io.limits import MAX_SIDE
from lungseg.utils.errors import LungsegError

MAGIC = b"NRRD"
_LONGEST_HEADER = 2**16
_FIELD = re.compile(r"([^:=]+): (.*)")
_TYPES = {
    name: dtype
    for dtype, names in {
        "i1": "signed char;int8;int8_t",
        "u1": "uchar;unsigned char;uint8;uint8_t",
        "i2": "short;short int;signed short;signed short int;int16;int16_t",
        "u2": "ushort;unsigned short;unsigned short int;uint16;uint16_t",
        "i4": "int;signed int;int32;int32_t",
        "u4": "uint;unsigned int;uint32;uint32_t",
        "i8": "longlong;long long;long long int;signed long long;signed long long int;int64;int64_t",
        "u8": "ulonglong;unsigned long long;unsigned long long int;uint64;uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split(";")
}
_RAW, _GZIP = ("raw",), ("gzip", "gz")
_ORDERS = {"little": "<", "big": ">"}
# The signs of the axes in the space of NIfTI, right-anterior-superior.
_SPACES = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
_VECTOR = re.compile(r"\(([^()]*)\)")


@dataclass(frozen=True)
class NrrdImage:
    """The content of a file.

    Attributes:
        values: (X, Y, Z), any real dtype; Z is 1 for a picture of two dimensions.
        affine: (4, 4), from the voxel to millimetres in the space of NIfTI.
    """

    values: NDArray[np.generic]
    affine: NDArray[np.float64]


def read_nrrd(path: Path, pixels: int) -> NrrdImage:
    """Read a file whose values lie in itself.

    Args:
        path: the file.
        pixels: the number that it must have, so that no more is ever unpacked.

    Raises:
        LungsegError: it names other files (nrrd-detached), has another number of pixels (label-map-size), has a type or
            an encoding that is not read (nrrd-unsupported), or is damaged (nrrd-damaged).
    """
    with open(path, "rb") as file:
        fields = _read_header(file)
        sizes = [_whole(size) for size in fields.get("sizes", "").split()]
        if len(sizes) != _whole(fields.get("dimension")) or not 2 <= len(sizes) <= 3:
            raise _unsupported("it does not hold one picture")
        if not all(1 <= size <= MAX_SIDE for size in sizes):
            raise _unsupported("it does not hold one picture")
        if math.prod(sizes) != pixels:
            what = f"the label map has {' x '.join(map(str, sizes))} pixels"
            raise LungsegError(what, remedy="draw on the radiograph itself", code="label-map-size")
        dtype, encoding = _dtype(fields), fields.get("encoding", "").lower()
        content = _read_values(file, encoding, pixels * dtype.itemsize)
    values = np.frombuffer(content, dtype).reshape(sizes, order="F")
    return NrrdImage(values.reshape((*sizes, 1)[:3]), _affine(fields, len(sizes)))


def _read_header(file: BinaryIO) -> dict[str, str]:
    """Return the fields of the header, by their names in lower case, and leave `file` at the first value."""
    lines: list[str] = []
    left = _LONGEST_HEADER
    while line := file.readline(left).decode("utf-8", errors="replace"):
        left -= len(line)
        if not line.endswith("\n") or left <= 0:
            break
        line = line.rstrip("\r\n")
        if not line:
            return _fields(lines)
        lines.append(line)
    raise _damaged("its header does not end")


def _fields(lines: list[str]) -> dict[str, str]:
    if not lines[0].startswith(MAGIC.decode()):
        raise _damaged("it does not begin as one")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        # Comments, and the keys of other programs ("key:=value").
        if line.startswith("#") or not (found := _FIELD.fullmatch(line)):
            continue
        name = found[1].strip().lower()
        if name in fields:
            raise _damaged(f"it states {name} twice")
        fields[name] = found[2].strip()
    for name in ("data file", "datafile"):
        if name in fields:
            what, remedy = "the NRRD file has its values in another file", "save both as one .nrrd file"
            raise LungsegError(what, remedy=remedy, code="nrrd-detached")
    for name in ("line skip", "lineskip", "byte skip", "byteskip"):
        if _whole(fields.get(name, "0")) != 0:
            raise _unsupported(f"it has a {name}")
    return fields


def _dtype(fields: dict[str, str]) -> np.dtype[np.generic]:
    kind = _TYPES.get(fields.get("type", "").lower())
    if kind is None:
        raise _unsupported("its type is not known")
    order = _ORDERS.get(fields.get("endian", "little").lower())
    if order is None:
        raise _damaged("its order of bytes is not known")
    return np.dtype(order + kind)


def _read_values(file: BinaryIO, encoding: str, size: int) -> bytes:
    """Return `size` bytes of values; more are never read or unpacked."""
    if encoding in _RAW:
        content, rest = file.read(size), file.read(1)
    elif encoding in _GZIP:
        unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        # What a compressor adds at most.
        packed = file.read(size + size // 100 + 2**16)
        try:
            content = unpacking.decompress(packed, size)
            rest = unpacking.decompress(unpacking.unconsumed_tail, 1)
        except zlib.error as error:
            raise _damaged("its compressed values are not readable") from error
        if not unpacking.eof:
            raise _damaged("its values are cut short, or more than it states")
    else:
        raise _unsupported("its encoding is not raw or gzip")
    if len(content) != size or rest:
        raise _damaged("its values are fewer or more than it states")
    return content


def _affine(fields: dict[str, str], dimension: int) -> NDArray[np.float64]:
    """Return the affine; without a space, that of a picture that ITK reads (x to the patient's left)."""
    space = fields.get("space", "left-posterior-superior").lower()
    if space not in _SPACES and "space directions" in fields:
        raise _unsupported("its space is not known")
    affine = np.eye(4)
    for axis, vector in enumerate(_directions(fields, dimension)):
        affine[: len(vector), axis] = vector
    origin = _vectors(fields.get("space origin", ""))
    if origin and len(origin[0]) <= 3:
        affine[: len(origin[0]), 3] = origin[0]
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise _damaged("its directions are not those of a picture")
    affine[:3] *= np.reshape(_SPACES.get(space, (-1, -1, 1)), (3, 1))
    return affine


def _directions(fields: dict[str, str], dimension: int) -> list[list[float]]:
    if "space directions" in fields:
        directions = _vectors(fields["space directions"])
        if len(directions) != dimension or not all(1 <= len(vector) <= 3 for vector in directions):
            raise _damaged("its directions are not those of a picture")
        return directions
    spacings = _numbers(fields, "spacings") if "spacings" in fields else [1.0] * dimension
    if len(spacings) != dimension:
        raise _damaged("its spacings are not those of a picture")
    # NaN stands for "not known".
    known = [one if math.isfinite(one) and one > 0 else 1.0 for one in spacings]
    return [[0.0] * axis + [one] for axis, one in enumerate(known)]


def _vectors(text: str) -> list[list[float]]:
    try:
        return [[float(number) for number in vector.split(",")] for vector in _VECTOR.findall(text)]
    except ValueError as error:
        raise _damaged("its directions are not numbers") from error


def _numbers(fields: dict[str, str], name: str) -> list[float]:
    try:
        return [float(number) for number in fields.get(name, "").split()]
    except ValueError as error:
        raise _damaged(f"its {name} are not numbers") from error


def _whole(text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError as error:
        raise _damaged("a number of its header is not one") from error


def _damaged(reason: str) -> LungsegError:
    return LungsegError(f"the NRRD file is damaged: {reason}", remedy="export it again", code="nrrd-damaged")


def _unsupported(reason: str) -> LungsegError:
    what, remedy = f"this kind of NRRD file is not read: {reason}", "save one picture with raw or gzip encoding"
    return LungsegError(what, remedy=remedy, code="nrrd-unsupported")
