# SPDX-License-Identifier: Apache-2.0
"""Outlines as data: where they lie, how they are kept in a picture, and where R and L belong."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lungseg.data.phantoms import phantom
from lungseg.io.marks import mark_size, place_marks
from lungseg.report.outlines import find_outlines
from lungseg.report.thumbnails import encode_thumbnail, read_drawing


def rings(path: str) -> list[np.ndarray]:
    """Return the corners (N, 2) of each part of a path."""
    steps = [re.findall(r"-?\d+", part) for part in path.split("M") if part]
    return [np.cumsum(np.array(numbers, int).reshape(-1, 2), axis=0) for numbers in steps]


def filled(path: str, shape: tuple[int, int]) -> np.ndarray:
    """Return the region (H, W) bool that a path goes around; a part that is drawn later is a hole."""
    unit = max(shape) / 1000
    picture = Image.new("1", shape[::-1])
    for number, ring in enumerate(sorted(rings(path), key=lambda ring: -np.ptp(ring[:, 0]))):
        ImageDraw.Draw(picture).polygon([tuple(point) for point in (ring * unit - 0.5).tolist()], fill=not number)
    return np.asarray(picture)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.mark.parametrize("factor", [1, 3, 20])
def test_a_region_drawn_from_its_outline_is_the_region(factor):
    labels = np.asarray(phantom(3)[1]).astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)
    drawing = find_outlines(labels)
    for name, label in (("right lung", 1), ("left lung", 2)):
        assert dice(filled(drawing.outlines[name], labels.shape), labels == label) > 0.97
        # A page of ten thousand radiographs has two of them for each.
        assert len(drawing.outlines[name]) < 1000


def test_an_outline_has_the_pictures_coordinates():
    labels = np.zeros((400, 200), np.uint8)
    labels[100:200, 40:80] = 1
    labels[130:160, 50:60] = 0
    drawing = find_outlines(labels)
    assert (drawing.width, drawing.height) == (500, 1000)
    outer, hole = rings(drawing.outlines["right lung"])
    # A thousandth is .4 pixels.
    np.testing.assert_allclose([outer.min(axis=0), outer.max(axis=0)], [(100, 250), (200, 500)], atol=2)
    np.testing.assert_allclose([hole.min(axis=0), hole.max(axis=0)], [(125, 325), (150, 400)], atol=2)
    assert set(drawing.outlines) == {"right lung"}


def test_heart_and_lines_are_outlines_too():
    labels = np.zeros((100, 100), np.uint8)
    heart = np.zeros((100, 100), bool)
    heart[40:60, 30:70] = True
    drawing = find_outlines(labels, heart, (((30.0, 50.0), (70.0, 50.0)), ((10.0, 70.0), (90.0, 70.0))))
    assert list(drawing.outlines) == ["heart", "width of the heart", "width of the chest"]
    assert drawing.outlines["width of the chest"] == "M100 700l800 0"
    assert [layer["dashed"] for layer in drawing.layers()] == [False, False, True]
    reference = drawing.layers(", reference", colour="#fff", dashed=True)
    assert reference[0] == {
        **{"name": "heart, reference", "colour": "#fff", "dashed": True},
        "path": drawing.outlines["heart"],
    }


@pytest.mark.parametrize("pixels", [0, 1, 2, 5])
def test_regions_of_a_few_pixels_have_outlines(pixels):
    labels = np.zeros((30, 50), np.uint8)
    labels[7, 9 : 9 + pixels] = 255
    drawing = find_outlines(labels)
    assert bool(drawing.outlines) == bool(pixels)
    assert drawing.marks == {}


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [(60, 90), (1500, 1000)])
def test_letters_lie_beside_their_lung_and_in_the_picture(turns, size):
    height, width = size
    labels = np.zeros(size, np.uint8)
    labels[height // 4 : 3 * height // 4, width // 4 : 2 * width // 5] = 1
    labels[height // 4 : 3 * height // 4, 3 * width // 5 : 3 * width // 4] = 2
    labels = np.rot90(labels, turns)
    marks = place_marks(labels)
    centres = {letter: np.argwhere(labels == label).mean(axis=0) for letter, label in (("R", 1), ("L", 2))}
    for letter, other in (("R", "L"), ("L", "R")):
        place = np.array(marks[letter][::-1])
        assert np.hypot(*(place - centres[letter])) < np.hypot(*(place - centres[other]))
        assert labels[tuple(place)] == 0
        assert (place >= mark_size(labels.shape) // 2).all()
        assert (place <= np.array(labels.shape) - mark_size(labels.shape) // 2).all()


def test_a_single_lung_has_its_letter_on_its_side():
    labels = np.zeros((100, 100), np.uint8)
    labels[20:80, 40:60] = 2
    ((letter, (column, _)),) = place_marks(labels).items()
    assert letter == "L"
    assert column > 60


def test_a_picture_keeps_its_drawing(tmp_path):
    image, labels = phantom(1)
    drawing = find_outlines(labels)
    file = tmp_path / "a.jpg"
    file.write_bytes(encode_thumbnail(image, drawing))
    found = read_drawing(file)
    assert found["outlines"] == drawing.outlines
    assert {text: tuple(place) for text, place in found["marks"].items()} == drawing.marks
    with Image.open(file) as picture:
        assert (picture.mode, picture.size) == ("L", image.shape[::-1])


@pytest.mark.parametrize(
    "comment",
    [
        b"",
        b"made by another program",
        b"lungseg outlines 1 {",
        b"lungseg outlines 1 []",
        b'lungseg outlines 1 {"width":"1","height":1,"outlines":{},"marks":{}}',
        b'lungseg outlines 1 {"width":1,"height":1,"outlines":{"heart":[1]},"marks":{}}',
        b'lungseg outlines 1 {"width":1,"height":1,"outlines":{},"marks":{"R":4}}',
        b"lungseg outlines 1 " + b"[" * 20000,
    ],
)
def test_a_picture_without_a_sound_drawing_has_none(tmp_path, comment):
    file = tmp_path / "a.jpg"
    Image.new("L", (9, 9)).save(file, comment=comment)
    assert read_drawing(file) is None


def test_a_file_that_is_not_a_picture_has_no_drawing(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8")
    assert read_drawing(tmp_path / "a.jpg") is None
    assert read_drawing(tmp_path / "none.jpg") is None
