# SPDX-License-Identifier: Apache-2.0
"""An asymmetric, non-square picture, and DICOM files around it."""

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid
from pydicom.uid import ImplicitVRLittleEndian as Implicit

_Y, _X = np.mgrid[:48, :70]
# No flip, turn or transposition leaves it as it is.
GREY16 = (900 * _Y + 300 * _X + 50 * (_X // 9) ** 2 * (_Y > 20)).astype(np.uint16)
GREY = (GREY16 >> 8).astype(np.uint8)


# What GDCM compresses, by the names of its transfer syntaxes: with or without loss, for grey of 8 or 16 bits.
COMPRESSED = {
    "RLELossless": 16,
    "JPEGBaselineProcess1": 8,
    "JPEGLosslessProcess14": 16,
    "JPEGLosslessProcess14_1": 16,
    "JPEGLSLossless": 16,
    "JPEGLSNearLossless": 16,
    "JPEG2000Lossless": 16,
    "JPEG2000": 16,
}
LOSSY = ("JPEGBaselineProcess1", "JPEGLSNearLossless", "JPEG2000")


def write_dicom(path, pixels: np.ndarray, syntax=ExplicitVRLittleEndian, **attributes) -> Dataset:
    """Write (H, W) or (H, W, 3) integers as a computed radiograph; an attribute of None is left out."""
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    dataset.Modality = "CR"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.is_little_endian, dataset.is_implicit_VR = order == "<", syntax == Implicit
    dataset.save_as(path, write_like_original=False)
    return dataset


def compress(path, syntax: str) -> None:
    """Compress the pixel data of a DICOM file, in place, as one of `COMPRESSED`."""
    gdcm = pytest.importorskip("gdcm")
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change(), syntax
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


def only_frame(path) -> bytes:
    """Return the compressed data of a DICOM file with one frame; pydicom 2 has another name for it."""
    from pydicom import dcmread, encaps

    pixels = dcmread(path).PixelData
    if hasattr(encaps, "generate_frames"):
        return next(encaps.generate_frames(pixels, number_of_frames=1))
    return next(encaps.generate_pixel_data_frame(pixels, 1))


def write_without_meta(path, implicit: bool = False) -> None:
    """Leave the elements of a DICOM file alone, as a fetch from an archive may."""
    from pydicom import dcmread, dcmwrite

    alone = Dataset()
    alone.update(dcmread(path))
    try:
        dcmwrite(path, alone, implicit_vr=implicit, little_endian=True)
    except TypeError:  # pydicom 2
        alone.is_implicit_VR, alone.is_little_endian = implicit, True
        dcmwrite(path, alone)
