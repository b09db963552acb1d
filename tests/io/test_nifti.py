# SPDX-License-Identifier: Apache-2.0
"""What a NIfTI file says of the spacing, the view and the values."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest
from images_support import GREY
from monai.transforms import EnsureChannelFirst, LoadImage, SaveImage
from PIL import Image

from lungseg.data import RadiographReader
from lungseg.io import read_radiograph
from lungseg.io.nifti import encode_nifti


def _read(path, affine, unit="mm", array=GREY.T):
    image = nibabel.Nifti1Image(np.asarray(array), affine)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return read_radiograph(path)


@pytest.mark.parametrize(
    ("affine", "unit", "spacing"),
    [
        (np.diag([-0.1, -0.2, 1, 1]), "mm", (0.2, 0.1)),
        (np.diag([-0.1, -0.2, 1, 1]), "unknown", (0.2, 0.1)),
        (np.diag([0.14, 0.14, 1, 1]), "mm", (0.14, 0.14)),
        (np.diag([-100, -200, 1, 1]), "micron", (0.2, 0.1)),
        (np.diag([-0.0001, -0.0002, 1, 1]), "meter", (0.2, 0.1)),
        # What writers put who know no spacing.
        (np.eye(4), "unknown", None),
        (np.eye(4), "mm", None),
        (np.diag([-1, -1, 1, 1]), "mm", None),
        (None, "unknown", None),
        (None, "mm", None),
        # No spacing of a radiograph.
        (np.diag([-300, -300, 1, 1]), "mm", None),
    ],
    ids=str,
)
def test_spacing_is_told_and_its_plane_is_not(tmp_path, affine, unit, spacing):
    radiograph = _read(tmp_path / "a.nii.gz", affine, unit)
    assert (radiograph.spacing, radiograph.spacing_kind) == (spacing, "unknown")
    np.testing.assert_array_equal(radiograph.pixels, GREY)


def test_spacing_without_a_unit_or_an_orientation_is_not_believed(tmp_path):
    image = nibabel.Nifti1Image(GREY.T, None)
    image.header.set_zooms((0.2, 0.2))
    nibabel.save(image, tmp_path / "a.nii")
    assert read_radiograph(tmp_path / "a.nii").spacing is None
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "a.nii")
    assert read_radiograph(tmp_path / "a.nii").spacing == (0.2, 0.2)


def test_an_unknown_unit_is_none(tmp_path):
    image = nibabel.Nifti1Image(GREY.T, np.diag([-0.1, -0.2, 1, 1]))
    image.header["xyzt_units"] = 5
    nibabel.save(image, tmp_path / "a.nii")
    assert read_radiograph(tmp_path / "a.nii").spacing == (0.2, 0.1)
    labels = (GREY > 100).astype(np.uint8)
    (tmp_path / "labels.nii.gz").write_bytes(encode_nifti(labels, read_radiograph(tmp_path / "a.nii")))
    np.testing.assert_array_equal(read_radiograph(tmp_path / "labels.nii.gz").pixels, labels)


def test_spacing_goes_with_its_axis(tmp_path):
    """The first axis leads to the feet and the second to the left: the picture is stored transposed."""
    affine = np.array([[0, -0.1, 0, 0], [-0.2, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    radiograph = _read(tmp_path / "a.nii", affine, array=GREY)
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.spacing == (0.2, 0.1)


@pytest.mark.parametrize(
    ("directions", "view"),
    [
        # Where x and y of the array lead to, as rows of the affine: right, front and head.
        ([[-0.1, 0, 0], [0, 0, 1], [0, -0.1, 0]], "frontal"),
        ([[0, 0, 1], [-0.1, 0, 0], [0, -0.1, 0]], "lateral"),
        ([[-0.1, 0, 0], [0, -0.1, 0], [0, 0, 1]], None),
    ],
)
def test_the_plane_tells_the_view(tmp_path, directions, view):
    affine = np.eye(4)
    affine[:3, :3] = directions
    radiograph = _read(tmp_path / "a.nii", affine, array=GREY.T[:, :, None])
    assert radiograph.view == view
    np.testing.assert_array_equal(radiograph.pixels, GREY)


def test_values_are_scaled_as_the_header_says(tmp_path):
    image = nibabel.Nifti1Image(GREY.T.astype(np.int16), np.eye(4))
    image.header.set_slope_inter(2, -100)
    nibabel.save(image, tmp_path / "a.nii")
    expected = nibabel.load(tmp_path / "a.nii").get_fdata().T
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.nii").pixels, expected)


def test_big_endian_and_header_extensions(tmp_path):
    image = nibabel.Nifti1Image(GREY.T.astype(">i2"), np.eye(4), nibabel.Nifti1Header(endianness=">"))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"taken lying down" * 20))
    (tmp_path / "a").write_bytes(gzip.compress(image.to_bytes()))
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a").pixels, GREY)


def test_what_monai_saves_is_read_as_it_was(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    image = EnsureChannelFirst()(LoadImage(reader=RadiographReader())(tmp_path / "a.png"))
    save = SaveImage(tmp_path, "saved", output_ext=".nii.gz", resample=False, separate_folder=False, print_log=False)
    save(image)
    radiograph = read_radiograph(tmp_path / "a_saved.nii.gz")
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.spacing is None
