# SPDX-License-Identifier: Apache-2.0
"""Read and write NIfTI files that hold one picture, with nibabel.

The format describes volumes, and libraries do not agree on how to store a radiograph in it. All of them use the first
axis as x. If a file states an orientation, the picture is turned as radiological viewers show it: the patient's left is
on the right of the picture, the feet (or the back, in an axial slice) are at the bottom. ITK writes such files. MONAI
and plain nibabel write no orientation, or positive spacings without an origin, which do not describe the picture: these
files are read as they are stored, from the top left corner.
"""

from __future__ import annotations

import gzip
import math
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.orientations import io_orientation

from lungseg.io.colour import luma
from lungseg.io.content import Content
from lungseg.io.limits import check_size, plausible_spacing
from lungseg.io.radiograph import Radiograph, SourceFile, View
from lungseg.utils.errors import LungsegError

_COPY_AGAIN = "copy or export it again"
_ALONE = "save the radiograph alone in a file"
# By the code of the unit in the lower bits of its field; other codes are unknown units.
_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_BITS = 0b111
# The code of the intent "label".
_LABEL_INTENT = 1002
# Extensions of the header, which are small, may come before the picture.
_MAX_OFFSET = 2**20
# By the direction that the slice axis has: left to right, back to front, feet to head.
_VIEWS: tuple[View | None, ...] = ("lateral", "frontal", None)


def read_nifti(content: Content) -> Radiograph:
    """Decode a NIfTI file, gzipped or not, with one picture: 2-D, or 3-D with one slice in any plane.

    The spacing is unknown if it is 1 x 1, the default of writers, or if the file states neither a unit nor an
    orientation. Its kind is always unknown: NIfTI cannot state the plane of the detector.

    Raises:
        LungsegError: the file is damaged, too small or too large, holds several pictures, or has its pixels in another
            file.
    """
    path = content.path
    try:
        pixels, header = _load(content)
        axes, flips, view = _layout(pixels.shape[:3], header)
        spacing = _spacing(header, axes)
    except (LungsegError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes a decoder raise any exception
        raise LungsegError(f"the NIfTI file is damaged ({error})", path, _COPY_AGAIN, code="damaged") from error
    x, y = axes
    slice_axis = 3 - x - y
    # (H, W), or (H, W, colours).
    picture = np.flip(np.moveaxis(pixels, (y, x, slice_axis), (0, 1, 2))[:, :, 0], flips)
    grey = luma(picture) if picture.ndim == 3 else picture
    source = SourceFile(path, content.sha256, "nifti", header.binaryblock)
    return Radiograph(grey, spacing, "unknown", view, source=source)


def _lay_as_stored(picture: np.ndarray, header: Nifti1Header, path: Path) -> np.ndarray:
    """Turn `picture`, (H, W), back into the axes of the file `path`, the inverse of `read_nifti`; without colours."""
    (x, y), flips, _ = _layout(_single_picture(header, path)[:3], header)
    stored = np.moveaxis(np.flip(picture, flips)[:, :, None], (0, 1, 2), (y, x, 3 - x - y))
    shape = header.get_data_shape()
    return stored.reshape(shape if math.prod(shape) == stored.size else stored.shape)


def _parse_header(head: bytes) -> Nifti1Header:
    kind = Nifti2Header if head[4:6] == b"n+" or head[4:6] == b"ni" else Nifti1Header
    return kind(head[: kind.sizeof_hdr])  # type: ignore[no-untyped-call]


def _load(source: Content) -> tuple[np.ndarray, Nifti1Header]:
    """Return the pixels, (X, Y, Z) or (X, Y, Z, colours), and the header. Never inflate more than the header states."""
    path, stored = source.path, BytesIO(source.data)
    with gzip.open(stored) if source.data.startswith(b"\x1f\x8b") else stored as file:
        head = file.read(540)
        if head[344:347] != b"n+1" and head[4:7] != b"n+2":
            if head[344:347] == b"ni1" or head[4:7] == b"ni2":
                what = "the NIfTI file has its pixels in another file"
                raise LungsegError(what, path, "save both as one .nii file", code="pixels-elsewhere")
            what = "this is not a NIfTI file, although it is compressed like one"
            raise LungsegError(what, path, "unpack it first", code="unknown-format")
        header = _parse_header(head)
        shape = _single_picture(header, path)
        offset, size = header.get_data_offset(), header.get_data_dtype().itemsize * math.prod(header.get_data_shape())
        if not 0 <= offset <= _MAX_OFFSET:
            what = "the NIfTI file is damaged (the position of its pixels is not possible)"
            raise LungsegError(what, path, _COPY_AGAIN, code="damaged")
        content = head + file.read(offset + size - len(head))
        if len(content) < offset + size:
            raise LungsegError("the NIfTI file is cut short", path, _COPY_AGAIN, code="damaged")
        # Python compares the checksum at the end of a gzip stream.
        file.read(1)
    pixels = header.data_from_fileobj(BytesIO(content))
    if pixels.dtype.kind == "c":
        what = "the NIfTI file holds complex numbers"
        raise LungsegError(what, path, "save their magnitude", code="complex-values")
    if pixels.dtype.names:
        pixels = np.stack([pixels[name] for name in pixels.dtype.names[:3]], axis=-1)
    return pixels.reshape(shape), header


def _single_picture(header: Nifti1Header, path: Path) -> tuple[int, ...]:
    """Return the shape of the pixels, (X, Y, Z) or (X, Y, Z, colours), where X, Y or Z is 1."""
    stored = header.get_data_shape()
    shape: tuple[int, ...] = (*stored, 1, 1)[: max(3, len(stored))]
    space, others = shape[:3], shape[3:]
    colours: tuple[int, ...] = ()
    if header.get_data_dtype().names:
        colours = (3,)
    elif others[:1] == (1,) and others[1:] in ((3,), (4,)):  # ITK's colours
        colours, others = others[1:], ()
    if math.prod(others) != 1:
        what = f"the NIfTI file holds {math.prod(others)} pictures"
        raise LungsegError(what, path, _ALONE, code="several-pictures")
    if 1 not in space:
        what = "the NIfTI file holds a volume of {} x {} x {} voxels".format(*space)
        raise LungsegError(what, path, _ALONE, code="several-pictures")
    width, height = sorted(space)[1:]
    check_size(width, height, path)
    return space + colours


def _orientation_is_stated(header: Nifti1Header) -> bool:
    return bool(header["sform_code"] > 0 or header["qform_code"] > 0)


def _layout(shape: tuple[int, ...], header: Nifti1Header) -> tuple[tuple[int, int], tuple[int, ...], View | None]:
    """Return the axes x and y, the axes of the picture to reverse (0 rows, 1 columns), and the view."""
    affine = header.get_best_affine()
    flat = shape.index(1)
    first, second = (axis for axis in range(3) if axis != flat)
    directions = io_orientation(affine)
    plain = flat == 2 and (affine[:3, :2] >= 0).all() and not affine[2, :2].any() and not affine[:3, 3].any()
    if not _orientation_is_stated(header) or plain or np.isnan(directions).any():
        return (first, second), (), None
    # On the screen, x and y lead to the left, the back or the feet: the negative directions.
    x, y = sorted((first, second), key=lambda axis: directions[axis, 0])
    flips = tuple(position for position, axis in enumerate((y, x)) if directions[axis, 1] > 0)
    return (x, y), flips, _VIEWS[int(directions[flat, 0])]


def _spacing(header: Nifti1Header, axes: tuple[int, int]) -> tuple[float, float] | None:
    column, row = voxel_sizes(header.get_best_affine())[list(axes)]
    unit = _MILLIMETRES.get(int(header["xyzt_units"]) & _UNIT_BITS)
    if np.allclose((row, column), 1) or (unit is None and not _orientation_is_stated(header)):
        return None
    # In the precision of the affine, 0.14 is 0.14000000059604645.
    return plausible_spacing(float(f"{mm * (unit or 1.0):.6g}") for mm in (row, column))


def encode_nifti(labels: np.ndarray, radiograph: Radiograph, extent: str = "visible") -> bytes:
    """Return the bytes of a .nii.gz file of uint8 labels.

    The labels of a NIfTI file have its axes and its affine. The labels of another file have x as axis 0 and y as axis
    1, with the affine of a picture that ITK reads (x to the patient's left): viewers built on ITK show them over a PNG
    or a DICOM file alike. Without a spacing the pixel is the unit, and no unit is stated.

    Args:
        labels: (H, W) uint8: 0 background, 1 right lung, 2 left lung, 3 heart.
        radiograph: the radiograph that was segmented; the kind of its spacing is stated in the header's description.
        extent: of the lungs, "visible" or "full"; stated there too.
    """
    source, kind = radiograph.source, radiograph.spacing_kind
    is_nifti = source is not None and source.format == "nifti"
    image = _like(labels, source) if source and is_nifti else _new(labels, radiograph.spacing)
    image.header.set_intent(_LABEL_INTENT, name="lungs")
    image.header["descrip"] = f"1 right lung, 2 left lung, 3 heart; {extent} extent; spacing: {kind}".encode()
    # Without a time stamp, the same labels give the same file.
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def _like(labels: np.ndarray, source: SourceFile) -> nibabel.Nifti1Image:
    header = _parse_header(source.header)
    volume = _lay_as_stored(labels, header, source.path)
    header.set_data_dtype(np.uint8)
    header["cal_min"], header["cal_max"] = 0, 0
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    return kind(volume, header.get_best_affine(), header)  # type: ignore[no-untyped-call]


def _new(labels: np.ndarray, spacing: tuple[float, float] | None) -> nibabel.Nifti1Image:
    row, column = spacing or (1.0, 1.0)
    image = nibabel.Nifti1Image(labels.T, np.diag([-column, -row, 1.0, 1.0]))
    image.header.set_xyzt_units("mm" if spacing else "unknown")
    return image
