# SPDX-License-Identifier: Apache-2.0
"""DICOM files that people have: of other modalities and body parts, lateral, incomplete, wrongly described."""

from __future__ import annotations

import io
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

from field_kind import FIELD, Kind
from images_support import write_dicom
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage

from lungseg.data import phantom

_PIXELS = phantom(1, (260, 240))[0]


def _predict(*inputs: object) -> list[object]:
    return ["predict", *inputs, "-o", "out", "--device", "cpu"]


def _one(**attributes: object) -> Callable[[Path], list[object]]:
    """Return a maker of a phantom with these attributes, which is named on the command line."""

    def make(folder: Path) -> list[object]:
        write_dicom(folder / "a.dcm", _PIXELS, **attributes)
        return _predict("a.dcm")

    return make


def _real(name: str) -> Callable[[Path], list[object]]:
    return lambda folder: _predict(FIELD / name)


def _flags(doubts: str = "", notes: str = "") -> Callable[[Path], None]:
    """Return a check that the only radiograph has these doubts and notes, and perhaps others."""

    def check(folder: Path) -> None:
        (row,) = _rows(folder)
        assert set(doubts.split()) <= set(row["doubts"]), row
        assert set(notes.split()) <= set(row["notes"]), row

    return check


def _rows(folder: Path) -> list[dict]:
    with open(folder / "out" / "report.json", encoding="utf-8") as file:
        return json.load(file)["files"]


def _study(folder: Path) -> list[object]:
    (folder / "study").mkdir()
    write_dicom(folder / "study" / "chest.dcm", _PIXELS, BodyPartExamined="CHEST")
    for number in range(2):
        write_dicom(folder / "study" / f"ct_{number}.dcm", _PIXELS, SOPClassUID=CTImageStorage, Modality="CT")
    write_dicom(folder / "study" / "hand.dcm", _PIXELS, BodyPartExamined="HAND", ProtocolName="Hand ap")
    return _predict("study")


def _only_the_chest(folder: Path) -> None:
    (row,) = _rows(folder)
    assert Path(row["file"]).name == "chest.dcm"
    assert "other-object" not in row["doubts"]


def _compressed_without_meta(folder: Path) -> list[object]:
    """Write JPEG data of a file that an archive sent without its file meta information."""
    picture = io.BytesIO()
    Image.fromarray(_PIXELS).save(picture, "JPEG", quality=95)
    stored = write_dicom(folder / "whole.dcm", _PIXELS)
    dataset = Dataset()
    dataset.update(stored)
    dataset.PixelData = encapsulate([picture.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dcmwrite(folder / "a.dcm", dataset, implicit_vr=False, little_endian=True)
    return _predict("a.dcm")


def _claiming_jpeg(folder: Path) -> list[object]:
    """Write pixels that are not compressed into a file that says JPEG."""
    write_dicom(folder / "whole.dcm", _PIXELS)
    content = (folder / "whole.dcm").read_bytes()
    stated, claimed = b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.4.50"
    assert stated in content
    at = content.index(b"\x02\0\0\0UL\4\0") + 8
    (length,) = struct.unpack_from("<I", content, at)
    content = content[:at] + struct.pack("<I", length + 2) + content[at + 4 :]
    (folder / "a.dcm").write_bytes(content.replace(stated, claimed))
    return _predict("a.dcm")


def _real_ct_in_folder(folder: Path) -> list[object]:
    (folder / "in").mkdir()
    shutil.copy(FIELD / "ct_slice.dcm", folder / "in")
    write_dicom(folder / "in" / "chest.dcm", _PIXELS)
    return _predict("in")


KINDS: list[Kind] = [
    Kind(
        "slice of a CT series",
        _real("ct_slice.dcm"),
        "It is flagged: the file says CT.",
        said=["the file says CT"],
        check=_flags(doubts="other-object"),
        real=True,
    ),
    Kind(
        "slice of a CT series in a folder",
        _real_ct_in_folder,
        "It is passed over and named.",
        said=["the file says CT: 1: ct_slice.dcm"],
        check=_only_the_chest,
        real=True,
    ),
    Kind(
        "folder with other modalities and body parts",
        _study,
        "Only the chest radiograph is segmented; the others are counted and named.",
        said=["the file says CT: 2: ct_0.dcm, ct_1.dcm", "the file says HAND: 1: hand.dcm"],
        check=_only_the_chest,
    ),
    Kind(
        "DICOM file of another body part",
        _one(BodyPartExamined="KNEE"),
        "It is flagged: the file says KNEE.",
        said=["the file says KNEE"],
        check=_flags(doubts="other-object"),
    ),
    Kind(
        "DICOM file with a lateral series description",
        _one(SeriesDescription="Thorax seitlich"),
        "It is flagged as lateral.",
        said=["this is a lateral view"],
        check=_flags(doubts="lateral"),
    ),
    Kind(
        "DICOM file with a lateral protocol name",
        _one(ProtocolName="CHEST LAT"),
        "It is flagged as lateral.",
        said=["this is a lateral view"],
        check=_flags(doubts="lateral"),
    ),
    Kind(
        "JPEG 2000 without a transfer syntax",
        _real("j2k_without_transfer_syntax.dcm"),
        "It is read; the codec shows in the data.",
        check=_flags(notes="filled-in"),
        real=True,
    ),
    Kind(
        "JPEG without file meta information",
        _compressed_without_meta,
        "It is read; the codec shows in the data.",
        check=_flags(notes="filled-in"),
    ),
    Kind(
        "DICOM file that says JPEG and is not compressed",
        _claiming_jpeg,
        "It is read as it is, with a note.",
        check=_flags(notes="filled-in"),
    ),
    Kind(
        "DICOM file without PhotometricInterpretation",
        _real("no_PhotometricInterpretation.dcm"),
        "It is read as MONOCHROME2, with a note.",
        check=_flags(notes="filled-in"),
        real=True,
    ),
    *(
        Kind(
            f"DICOM file with {name} {'missing' if value is None else repr(value)}",
            _one(**{name: value}),
            "It is read, with a note.",
            check=_flags(notes="filled-in"),
        )
        for name, value in (
            ("PhotometricInterpretation", "monochrome2"),
            ("PhotometricInterpretation", ""),
            ("PixelRepresentation", None),
            ("SamplesPerPixel", None),
            ("BitsAllocated", None),
        )
    ),
]
