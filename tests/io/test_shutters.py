# SPDX-License-Identifier: Apache-2.0
"""Display shutters blacken what is outside, exactly; broken ones are ignored."""

from __future__ import annotations

import time

import numpy as np
import pytest
from images_support import write_dicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from lungseg.io import read_radiograph
from lungseg.io.dicom.shutters import apply_shutters

HEIGHT, WIDTH = 40, 60
# Bright outside, as collimators are in a negative; the picture itself begins at 700.
PIXELS = np.full((HEIGHT, WIDTH), 4000, np.uint16)
PIXELS[10:30, 15:50] = 700 + np.arange(35) * 20
ROWS, COLUMNS = np.mgrid[1 : HEIGHT + 1, 1 : WIDTH + 1]

RECTANGLE = {
    "ShutterLeftVerticalEdge": 16,
    "ShutterRightVerticalEdge": 50,
    "ShutterUpperHorizontalEdge": 11,
    "ShutterLowerHorizontalEdge": 30,
}
IN_RECTANGLE = (COLUMNS >= 16) & (COLUMNS <= 50) & (ROWS >= 11) & (ROWS <= 30)
CIRCLE = {"CenterOfCircularShutter": [20, 33], "RadiusOfCircularShutter": 10}
IN_CIRCLE = (ROWS - 20) ** 2 + (COLUMNS - 33) ** 2 <= 100
# A right triangle: rows and columns of its corners.
POLYGON = {"VerticesOfThePolygonalShutter": [11, 16, 30, 16, 30, 35]}
IN_POLYGON = (ROWS <= 30) & (COLUMNS >= 16) & (COLUMNS - 16 <= ROWS - 11)
ALL = POLYGON | RECTANGLE | {"CenterOfCircularShutter": [20, 33], "RadiusOfCircularShutter": 15}
IN_LARGER = (ROWS - 20) ** 2 + (COLUMNS - 33) ** 2 <= 225


def _overlay(hidden: np.ndarray, origin=(1, 1), group: int = 0x6002, big: bool = False) -> dict:
    bits = np.packbits(hidden.ravel(), bitorder="little")
    bits = np.pad(bits, (0, bits.size % 2))
    data = bits.view("<u2").byteswap().tobytes() if big else bits.tobytes()
    elements = {0x10: ("US", hidden.shape[0]), 0x11: ("US", hidden.shape[1]), 0x40: ("CS", "G")}
    elements |= {0x50: ("SS", list(origin)), 0x100: ("US", 1), 0x102: ("US", 0), 0x3000: ("OW", data)}
    return {(group, element): value for element, value in elements.items()}


def _read(path, pixels=PIXELS, elements=None, **attributes):
    dataset = write_dicom(path, pixels, **attributes)
    for tag, (kind, value) in (elements or {}).items():
        dataset.add_new(tag, kind, value)
    dataset.save_as(path, write_like_original=False)
    return read_radiograph(path).pixels


@pytest.mark.parametrize(
    ("shape", "attributes", "shown"),
    [
        ("RECTANGULAR", RECTANGLE, IN_RECTANGLE),
        (" rectangular ", RECTANGLE, IN_RECTANGLE),
        ("RECTANGULAR", RECTANGLE | {"ShutterLeftVerticalEdge": -5, "ShutterRightVerticalEdge": 999}, None),
        ("CIRCULAR", CIRCLE, IN_CIRCLE),
        ("CIRCULAR", CIRCLE | {"PixelSpacing": [0.2, 0.1]}, 4 * (ROWS - 20) ** 2 + (COLUMNS - 33) ** 2 <= 100),
        ("POLYGONAL", POLYGON, IN_POLYGON),
        (["RECTANGULAR", "CIRCULAR"], RECTANGLE | CIRCLE, IN_RECTANGLE & IN_CIRCLE),
        (["POLYGONAL", "CIRCULAR", "RECTANGULAR"], ALL, IN_POLYGON & IN_LARGER & IN_RECTANGLE),
    ],
)
@pytest.mark.parametrize("inverted", [False, True])
def test_what_a_shutter_hides_is_black(tmp_path, shape, attributes, shown, inverted):
    if shown is None:
        shown = (ROWS >= 11) & (ROWS <= 30)
    stored = 65535 - PIXELS if inverted else PIXELS
    photometric = "MONOCHROME1" if inverted else "MONOCHROME2"
    options = {"PhotometricInterpretation": photometric, "ShutterPresentationValue": 65535}
    pixels = _read(tmp_path / "a.dcm", stored, ShutterShape=shape, **attributes, **options)
    np.testing.assert_array_equal(pixels, np.where(shown, PIXELS, PIXELS[shown].min()))


@pytest.mark.parametrize("big", [False, True])
def test_a_bitmap_hides_its_ones(tmp_path, big):
    options = {"syntax": ExplicitVRBigEndian} if big else {}
    options |= {"ShutterShape": "BITMAP", "ShutterOverlayGroup": 0x6002}
    pixels = _read(tmp_path / "a.dcm", elements=_overlay(~IN_CIRCLE, big=big), **options)
    np.testing.assert_array_equal(pixels, np.where(IN_CIRCLE, PIXELS, 700 + 20 * 7))
    # An overlay that covers a part of the picture only, and reaches beyond it.
    corner = np.ones((15, 20), bool)
    pixels = _read(tmp_path / "b.dcm", elements=_overlay(corner, (-4, -9), big=big), **options)
    np.testing.assert_array_equal(pixels, np.where((ROWS <= 10) & (COLUMNS <= 10), 700, PIXELS))


def test_colours_and_pictures_that_are_black_outside_already_have_shutters_too(tmp_path):
    black = np.where(IN_RECTANGLE, PIXELS, 0).astype(np.uint16)
    pixels = _read(tmp_path / "a.dcm", black, ShutterShape="RECTANGULAR", **RECTANGLE)
    np.testing.assert_array_equal(pixels[IN_RECTANGLE], PIXELS[IN_RECTANGLE])
    colours = np.stack([(PIXELS >> 4).astype(np.uint8)] * 3, axis=-1)
    pixels = _read(tmp_path / "b.dcm", colours, ShutterShape="CIRCULAR", **CIRCLE)
    assert pixels[~IN_CIRCLE].max() == pixels.min()


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ("RECTANGULAR", {"ShutterLeftVerticalEdge": 16, "ShutterRightVerticalEdge": 50}),
        ("RECTANGULAR", RECTANGLE | {"ShutterLeftVerticalEdge": 50, "ShutterRightVerticalEdge": 16}),
        ("RECTANGULAR", RECTANGLE | {"ShutterLeftVerticalEdge": 0, "ShutterRightVerticalEdge": 0}),
        ("RECTANGULAR", RECTANGLE | {"ShutterUpperHorizontalEdge": 900, "ShutterLowerHorizontalEdge": 1200}),
        ("RECTANGULAR", RECTANGLE | {"ShutterLeftVerticalEdge": [16, 17]}),
        ("CIRCULAR", {"CenterOfCircularShutter": [20, 33]}),
        ("CIRCULAR", CIRCLE | {"RadiusOfCircularShutter": 0}),
        ("CIRCULAR", CIRCLE | {"RadiusOfCircularShutter": 2}),
        ("CIRCULAR", CIRCLE | {"CenterOfCircularShutter": [2000, 3000]}),
        ("CIRCULAR", CIRCLE | {"CenterOfCircularShutter": 20}),
        ("POLYGONAL", {"VerticesOfThePolygonalShutter": [11, 16]}),
        ("POLYGONAL", {"VerticesOfThePolygonalShutter": [11, 16, 30, 16, 30]}),
        ("POLYGONAL", {"VerticesOfThePolygonalShutter": [11, 16, 11, 16, 11, 16]}),
        ("POLYGONAL", {"VerticesOfThePolygonalShutter": [11, 16, 20, 16, 30, 16]}),
        ("POLYGONAL", {"VerticesOfThePolygonalShutter": [111, 160, 300, 160, 300, 350]}),
        ("POLYGONAL", {"VerticesOfThePolygonalShutter": [11, 16, 30, 16, 2**30, 35]}),
        ("POLYGONAL", {"VerticesOfThePolygonalShutter": [11, 16, 30, 16, 30, 35] * 4000}),
        ("POLYGONAL", {}),
        ("BITMAP", {}),
        ("BITMAP", {"ShutterOverlayGroup": 0x6002}),
        ("BITMAP", {"ShutterOverlayGroup": 0x7FE0}),
        ("STAR", {}),
    ],
)
def test_a_broken_shutter_is_ignored_with_a_note(tmp_path, shape, attributes):
    dataset = write_dicom(tmp_path / "a.dcm", PIXELS, ShutterShape=shape, **attributes)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.dcm").pixels, PIXELS)
    _, notes = apply_shutters(PIXELS, dataset)
    assert len(notes) == 1
    assert notes[0].startswith("no display shutter (" if shape == "STAR" else f"no {shape.lower()} display shutter (")
    # The others are used.
    dataset = write_dicom(tmp_path / "a.dcm", PIXELS, ShutterShape=[shape, "CIRCULAR"], **(CIRCLE | attributes))
    if shape != "CIRCULAR":
        pixels = read_radiograph(tmp_path / "a.dcm").pixels
        np.testing.assert_array_equal(pixels, np.where(IN_CIRCLE, PIXELS, PIXELS[IN_CIRCLE].min()))


def test_a_bitmap_that_is_cut_short_is_ignored(tmp_path):
    elements = _overlay(~IN_CIRCLE)
    elements[0x6002, 0x3000] = ("OW", b"\xff" * 20)
    pixels = _read(tmp_path / "a.dcm", elements=elements, ShutterShape="BITMAP", ShutterOverlayGroup=0x6002)
    np.testing.assert_array_equal(pixels, PIXELS)


def test_no_shutter_leaves_the_pixels_as_they_are():
    pixels, notes = apply_shutters(PIXELS, Dataset())
    assert pixels is PIXELS
    assert notes == []


def test_a_large_polygon_takes_no_time():
    angles = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    vertices = np.rint(np.stack([2500 + 2400 * np.sin(angles), 2000 + 1900 * np.cos(angles)], axis=-1))
    dataset = Dataset()
    dataset.ShutterShape = "POLYGONAL"
    dataset.VerticesOfThePolygonalShutter = [int(value) for value in vertices.ravel()]
    began = time.process_time()
    pixels, notes = apply_shutters(np.ones((5000, 4000), np.float32), dataset)
    assert not notes
    assert pixels.shape == (5000, 4000)
    assert time.process_time() - began < 5
