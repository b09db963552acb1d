# SPDX-License-Identifier: Apache-2.0
"""Complete DICOM headers whose attributes of pixels are missing, empty or not valid and have one sensible value.

The pixel data decide where they can: compressed data state their codec, size and depth; others have a length.
"""

from __future__ import annotations

import re
import struct

from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.multival import MultiValue
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
)

from lungseg.io.dicom.codestream import JPEG_LOSSLESS, Frame, frame_of, is_bare, is_encapsulated, rle_bytes, syntax_of
from lungseg.io.dicom.file import native_syntax
from lungseg.io.dicom.header import first_number

# Syntaxes whose data the same decoders take; JPEG 2000 has more, with these beginnings.
_FAMILIES = ((JPEGBaseline8Bit, JPEGExtended12Bit), (JPEG_LOSSLESS, JPEGLosslessSV1), tuple(JPEGLSTransferSyntaxes))
_JPEG_2000 = ("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20")
_GREY, _UNUSUAL = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"), ("HSV", "ARGB", "CMYK")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
# By their letters and digits alone, as people write them.
_PHOTOMETRIC = {re.sub(r"[ _]", "", name): name for name in (*_GREY, *_COLOURS, *_UNUSUAL)}
_SAMPLES, _ALLOCATED = (1, 3, 4), (1, 8, 16, 32, 64)


def complete(dataset: Dataset) -> str:
    """Fill in what the pixels need, in place, and return what was assumed: "PhotometricInterpretation MONOCHROME2".

    The wrong polarity cannot be excluded where the file does not state it: the product's own check stays in charge.

    Args:
        dataset: a parsed file. Nothing is changed without pixel data, or where several values are possible.

    Raises:
        Exception: pydicom may raise any exception on damaged data.
    """
    data = dataset.get("PixelData")
    if not isinstance(data, bytes) or not data:
        return ""
    completion = _Completion(dataset)
    try:
        completion.settle(data)
    except struct.error:
        # The data are cut short, as their decoder will report.
        return ""
    return ", ".join(f"{name} {value}" for name, value in completion.assumed.items())


class _Completion:
    """The attributes of one file.

    Attributes:
        assumed: name -> value of those that were set.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.assumed: dict[str, object] = {}

    def settle(self, data: bytes) -> None:
        """Set all attributes that pixels need."""
        compressed = self._settle_syntax(data)
        frame, segments = None, 0
        if compressed:
            frame = frame_of(self.dataset.PixelData)
            segments = 0 if frame else rle_bytes(self.dataset.PixelData)
        if frame:
            self._set("Rows", self._whole("Rows") or frame.height)
            self._set("Columns", self._whole("Columns") or frame.width)
        depth = segments if compressed else self._bytes_per_pixel(len(data))
        samples = self._settle_samples(frame, depth)
        self._settle_photometric(samples)
        self._settle_bits(frame, depth, samples or 1)

    def _settle_syntax(self, data: bytes) -> bool:
        """Set the transfer syntax that the data show, if it contradicts the stated one; return if they are compressed.

        Data without items around them get one.
        """
        stated = UID(str(self.dataset.file_meta.get("TransferSyntaxUID") or ""))
        compression_stated = not stated.is_private and stated.is_transfer_syntax and stated.is_encapsulated
        if len(data) - self._native_bytes() in (0, 1):
            if compression_stated and not is_encapsulated(data) and not is_bare(data):
                self._set_syntax(native_syntax(self.dataset))
                return False
            if not compression_stated:
                return False
        if is_bare(data):
            self.dataset.PixelData = data = encapsulate([data])
            self.dataset["PixelData"].is_undefined_length = True
        if not is_encapsulated(data):
            return False
        found = syntax_of(data)
        if found and not _agree(stated, found):
            self._set_syntax(found)
        return True

    def _settle_samples(self, frame: Frame | None, depth: int) -> int | None:
        samples, allocated, photometric = (
            self._whole("SamplesPerPixel"),
            self._whole("BitsAllocated"),
            self._photometric(),
        )
        # As many as the length of the data gives.
        fitting = 8 * depth // allocated if allocated in _ALLOCATED and allocated else 0
        meant = (1 if photometric in _GREY else 3) if photometric else None
        if samples not in _SAMPLES:
            if frame:
                samples = frame.components
            elif fitting in (1, 3):
                samples = fitting
            else:
                samples = meant or (3 if depth in (3, 6) else 1)
        elif fitting in (1, 3) and fitting == meant and not frame:
            samples = fitting
        self._set("SamplesPerPixel", samples)
        if samples == 3:
            planar = self._whole("PlanarConfiguration")
            self._set("PlanarConfiguration", planar if planar in (0, 1) else 0)
        return samples

    def _settle_photometric(self, samples: int | None) -> None:
        """Set the interpretation: with one sample grey, or colours of a palette if there is one; with three colours."""
        name, text = self._photometric(), self._photometric_text()
        if not name or (name not in _UNUSUAL and (name in _GREY) != (samples == 1)):
            if samples == 1 and "RedPaletteColorLookupTableData" in self.dataset and not text:
                name = "PALETTE COLOR"
            elif samples == 1:
                shape = str(self.dataset.get("PresentationLUTShape") or "").strip().upper()
                name = "MONOCHROME1" if shape == "INVERSE" else "MONOCHROME2"
            elif samples == 3 and (not text or name):
                # Programs that compress with this syntax convert colours to luminance and chrominance.
                lossy = self.dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
                name = "YBR_FULL_422" if lossy else "RGB"
        if name:
            self._set("PhotometricInterpretation", name)

    def _settle_bits(self, frame: Frame | None, depth: int, samples: int) -> None:
        allocated = self._whole("BitsAllocated")
        if allocated not in _ALLOCATED:
            allocated = (8 if frame.bits <= 8 else 16) if frame else 8 * depth // samples
        if not allocated or allocated not in _ALLOCATED:
            return
        self._set("BitsAllocated", allocated)
        stored, highest = self._whole("BitsStored"), self._whole("HighBit")
        if not stored or not 0 < stored <= allocated:
            if highest is not None and 0 <= highest < allocated:
                stored = highest + 1
            else:
                stored = frame.bits if frame and frame.bits <= allocated else allocated
        self._set("BitsStored", stored)
        self._set("HighBit", highest if highest is not None and stored <= highest + 1 <= allocated else stored - 1)
        sign = self._whole("PixelRepresentation")
        self._set("PixelRepresentation", sign if sign in (0, 1) else int(frame.signed) if frame else 0)

    def _native_bytes(self) -> int:
        """Return the length that the header states for pixels that are not compressed; 0 if it does not."""
        sizes = (self._whole(name) or 0 for name in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated"))
        rows, columns, samples, allocated = sizes
        return rows * columns * samples * allocated // 8 if allocated in _ALLOCATED else 0

    def _bytes_per_pixel(self, length: int) -> int:
        """Return the quotient of the length of the data and the number of pixels; 0 if there is a rest."""
        pixels = (self._whole("Rows") or 0) * (self._whole("Columns") or 0)
        # Data of odd length are padded with a byte.
        return length // pixels if pixels > 1 and length % pixels in (0, 1) else 0

    def _photometric_text(self) -> str:
        value = self.dataset.get("PhotometricInterpretation")
        return str((value[0] if isinstance(value, MultiValue) and value else value) or "").strip()

    def _photometric(self) -> str | None:
        return _PHOTOMETRIC.get(re.sub(r"[^A-Z0-9]", "", self._photometric_text().upper()))

    def _whole(self, name: str) -> int | None:
        number = first_number(self.dataset, name)
        return int(number) if number is not None and number.is_integer() and number >= 0 else None

    def _set(self, name: str, value: object) -> None:
        """Set an attribute that does not have this value yet."""
        if value is not None and self.dataset.get(name) != value:
            setattr(self.dataset, name, value)
            self.assumed[name] = value

    def _set_syntax(self, syntax: UID) -> None:
        self.dataset.file_meta.TransferSyntaxUID = syntax
        self.assumed["TransferSyntaxUID"] = syntax.name


def _agree(stated: UID, found: UID) -> bool:
    """Return whether the decoders of a stated syntax take data of the syntax that was found."""
    if found == JPEG2000:
        return stated.startswith(_JPEG_2000)
    return stated == found or any(stated in family and found in family for family in _FAMILIES)
