# SPDX-License-Identifier: Apache-2.0
"""Formats of pictures, packed files, and the files that come with, or instead of, radiographs."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from field_kind import Kind
from images_support import write_dicom
from PIL import Image
from pydicom.uid import MediaStorageDirectoryStorage

from lungseg.data import phantom

SIZE = (200, 240)
GREY, LABELS = phantom(3, SIZE)
DEEP = phantom(3, SIZE, bits=16)[0]
TWELVE = (DEEP >> 4).astype(np.uint16)


def picture(kind: str, array: np.ndarray = GREY, **options: object) -> bytes:
    """Return the bytes of a picture in one of Pillow's formats."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def lungs_of(folder: Path, name: str) -> np.ndarray:
    """Return the label map that `predict` wrote."""
    with Image.open(folder / "out" / "labels" / f"{name}.png") as image:
        return np.asarray(image)


def has_lungs(*names: str, labels: np.ndarray = LABELS) -> Callable[[Path], None]:
    """Return a check of the results with these names, and of no others: both lungs lie where they should."""

    def check(folder: Path) -> None:
        found = {path.stem for path in (folder / "out" / "labels").iterdir()}
        assert found == set(names), found
        for name in names:
            lungs = lungs_of(folder, name)
            assert lungs.shape == labels.shape
            for side in (1, 2):
                both = (lungs == side).sum() + (labels == side).sum()
                dice = 2 * ((lungs == side) & (labels == side)).sum() / both
                assert dice > 0.85, (name, side, dice)

    return check


def _written(**files: bytes | Callable[[Path], object]) -> Callable[[Path], Sequence[object]]:
    """Return a maker of a folder `in` with these files (`__` in a name is a dot), and the command for it."""

    def make(folder: Path) -> Sequence[object]:
        for name, content in files.items():
            path = folder / "in" / name.replace("__", ".")
            path.parent.mkdir(exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                content(path)
        return ["predict", "in", "-o", "out", "--save", "labels"]

    return make


def _alone(name: str, content: bytes | Callable[[Path], object]) -> Callable[[Path], Sequence[object]]:
    """Return a maker of one file, and the command that names it."""

    def make(folder: Path) -> Sequence[object]:
        (folder / "in").mkdir()
        if isinstance(content, bytes):
            (folder / "in" / name).write_bytes(content)
        else:
            content(folder / "in" / name)
        return ["predict", Path("in", name), "-o", "out"]

    return make


def _dicom(array: np.ndarray = DEEP, **attributes: object) -> Callable[[Path], object]:
    return lambda path: write_dicom(path, array, **attributes)


def _gzipped_dicom(path: Path) -> None:
    write_dicom(path, DEEP)
    path.write_bytes(gzip.compress(path.read_bytes()))


def _collimated(outside: int, **attributes: object) -> Callable[[Path], object]:
    """Return a function that writes a phantom in the middle of a larger picture, with a shutter around it."""
    array = np.full((SIZE[1] + 120, SIZE[0] + 160), outside, np.uint16)
    array[60:-60, 80:-80] = DEEP
    # Unsteady, as scattered rays are.
    rows, columns = np.mgrid[: array.shape[0], : array.shape[1]]
    array = np.where(array == outside, array - (rows * 7 + columns * 13) % 5000, array).astype(np.uint16)
    edges = {"LeftVertical": 81, "RightVertical": SIZE[0] + 80, "UpperHorizontal": 61, "LowerHorizontal": SIZE[1] + 60}
    stated = {"ShutterShape": "RECTANGULAR", **{f"Shutter{edge}Edge": at for edge, at in edges.items()}}
    return _dicom(array, **{**stated, **attributes})


def _bitmap(path: Path) -> None:
    dataset = _collimated(60000, ShutterShape="BITMAP", ShutterOverlayGroup=0x6000)(path)
    hidden = np.pad(np.zeros(DEEP.shape, np.uint8), ((60, 60), (80, 80)), constant_values=1)
    elements = {0x10: ("US", hidden.shape[0]), 0x11: ("US", hidden.shape[1]), 0x40: ("CS", "G"), 0x50: ("SS", [1, 1])}
    elements |= {0x100: ("US", 1), 0x102: ("US", 0), 0x3000: ("OW", np.packbits(hidden, bitorder="little").tobytes())}
    for element, (kind, value) in elements.items():
        dataset.add_new((0x6000, element), kind, value)
    dataset.save_as(path, enforce_file_format=True)


def _zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("study/a.png", picture("PNG"))


def _tarred(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("a.png")
        entry.size = len(picture("PNG"))
        archive.addfile(entry, io.BytesIO(picture("PNG")))


def _dicomdir(path: Path) -> None:
    write_dicom(path, GREY, SOPClassUID=MediaStorageDirectoryStorage, PixelData=None, Rows=None, Columns=None)


def _refused(name: str, kind: str, content: bytes | Callable[[Path], object], *said: str) -> Kind:
    return Kind(kind, _alone(name, content), "refused with the sentence that helps", status=1, said=said)


_FORMATS = Kind(
    "BMP, GIF, WebP and JPEG 2000",
    _written(
        a__bmp=picture("BMP"),
        b__gif=picture("GIF"),
        c__webp=picture("WEBP", lossless=True),
        d__jp2=picture("JPEG2000", TWELVE),
        e__j2k=picture("JPEG2000", no_jp2=True),
        f__JP2=picture("JPEG2000", np.stack([GREY] * 3, axis=-1)),
        g__bmp=picture("BMP", np.stack([GREY] * 3, axis=-1)),
    ),
    "read as PNG is",
    check=has_lungs(*"abcdefg"),
)
_PACKED = Kind(
    "gzipped DICOM and PNG",
    _written(a__dcm__gz=_gzipped_dicom, b__png__gz=gzip.compress(picture("PNG"))),
    "read; the names of the results lose both endings",
    check=has_lungs("a", "b"),
)
_COMPANIONS = Kind(
    "archives and other companions in a folder",
    _written(
        a__png=picture("PNG"),
        study__zip=_zipped,
        export=_zipped,
        old__tgz=_tarred,
        report__pdf=b"%PDF-1.7\n",
        DICOMDIR=_dicomdir,
        **{"~$report__docx": bytes(165), ".___a__png": b"\0\5\x16\7"},
    ),
    "archives are named with the command that unpacks them; the others are skipped",
    said=["skipped archives.*export.*old.tgz.*study.zip", "(unzip|tar -xf) .*, then lungseg predict in/", "1 ok"],
    check=has_lungs("a"),
)
_ONLY_ARCHIVES = Kind(
    "a folder of archives",
    _written(study__zip=_zipped),
    "wrong use, with the command that unpacks it",
    status=2,
    said=["unzip in/study.zip -d in/study, then lungseg predict in/study"],
)
_MOVING = [picture(kind, save_all=True, append_images=[Image.fromarray(255 - GREY)]) for kind in ("GIF", "WEBP")]
_HTML = b"<!DOCTYPE html>\n<html><title>Sign in</title></html>"
_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"

_CIRCLE = {"CenterOfCircularShutter": [180, 180], "RadiusOfCircularShutter": 145}
_OCTAGON = [61, 120, 61, 240, 100, 280, 260, 280, 300, 240, 300, 120, 260, 81, 100, 81]
_SHUTTERS = Kind(
    "display shutters around a bright outside",
    _written(
        rectangle__dcm=_collimated(60000),
        circle__dcm=_collimated(60000, ShutterShape=["RECTANGULAR", "CIRCULAR"], **_CIRCLE),
        polygon__dcm=_collimated(60000, ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=_OCTAGON),
        bitmap__dcm=_bitmap,
        dark__dcm=_collimated(5000),
    ),
    "the outside is black, and the lungs are found inside",
    check=has_lungs("rectangle", "circle", "polygon", "bitmap", "dark", labels=np.pad(LABELS, ((60, 60), (80, 80)))),
)
_BROKEN_SHUTTERS = Kind(
    "broken display shutters",
    _written(
        point__dcm=_dicom(ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=[100, 100]),
        odd__dcm=_dicom(ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=[1, 1, 99, 1, 99]),
        outside__dcm=_dicom(ShutterShape="CIRCULAR", CenterOfCircularShutter=[5000, 5000], RadiusOfCircularShutter=9),
        edges__dcm=_dicom(ShutterShape="RECTANGULAR", ShutterLeftVerticalEdge=20),
    ),
    "ignored: the whole picture is segmented",
    check=has_lungs("point", "odd", "outside", "edges"),
)

KINDS: list[Kind] = [
    _FORMATS,
    _PACKED,
    _SHUTTERS,
    _BROKEN_SHUTTERS,
    _COMPANIONS,
    _ONLY_ARCHIVES,
    _refused("a.gif", "an animated GIF", _MOVING[0], "several pictures; save the radiograph alone"),
    _refused("a.webp", "an animated WebP", _MOVING[1], "2 pictures; save the radiograph alone"),
    _refused("study.zip", "a ZIP archive", _zipped, "unzip .*study.zip -d .*study, then lungseg predict .*study"),
    _refused("study", "a ZIP archive without ending", _zipped, "unzip .*study -d .*, then lungseg predict "),
    _refused("scan.dcm", "a ZIP archive named .dcm", _zipped, "unzip .*scan.dcm -d .*, then lungseg predict "),
    _refused("a.tar.gz", "a tar archive", _tarred, "tar -xf .*a.tar.gz -C .*a, then lungseg predict "),
    _refused("a.7z", "a 7z archive", b"7z\xbc\xaf\x27\x1c" + bytes(99), "7z x .*a.7z -o.*a, then lungseg predict "),
    _refused("DICOMDIR", "a DICOMDIR", _dicomdir, "DICOMDIR.*lungseg predict .*in"),
    _refused("a.pdf", "a PDF document", b"%PDF-1.7\n", "PDF document.*pdfimages"),
    _refused("a.heic", "a HEIC picture", b"\0\0\0\x18ftypheic" + bytes(99), "HEIC.*heif-convert"),
    _refused("a.avif", "an AVIF picture", picture("AVIF"), "AVIF.*avifdec"),
    _refused("a.svg", "an SVG drawing", b'<?xml version="1.0"?>\n<svg width="9"></svg>', "SVG.*export it as PNG"),
    _refused("a.raf", "a raw picture of a camera", b"FUJIFILMCCD-RAW " + bytes(99), "raw picture.*16-bit TIFF"),
    _refused("a.dng", "a raw picture with a preview", picture("TIFF", tiffinfo={50706: b"\1\4\0\0"}), "raw picture"),
    _refused("a.png", "a web page named .png", _HTML, "web page.*download it again"),
    _refused("a.dcm", "a text file named .dcm", b"patient,view\n1,PA\n", "text file"),
    _refused("._a.png", "a file of macOS beside a picture", b"\0\5\x16\7\0\2\0\0" + bytes(99), "macOS.*without ._"),
    _refused("a.png", "a Git LFS pointer", _LFS, "Git LFS pointer.*git lfs pull"),
    _refused("a.png", "an empty file", b"", "the file is empty; copy or export it again"),
    _refused("~$a.docx", "a lock file of an Office program", b"\5Alice" + bytes(159), "lock file.*Office"),
]
