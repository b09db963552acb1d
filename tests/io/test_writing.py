# SPDX-License-Identifier: Apache-2.0
"""Pictures that lungseg writes can be read by other programs."""

import numpy as np
import pytest
from images_support import GREY, GREY16
from PIL import Image
from scipy.ndimage import minimum_filter

from lungseg.io import draw_overlay, encode_png, read_radiograph, write_png
from lungseg.io.marks import mark_size, place_marks
from lungseg.io.overlay import COLOURS
from lungseg.utils.errors import UsageError

MASK = np.where(GREY > 99, 255, 0).astype(np.uint8)
COLOUR = np.stack([GREY, 255 - GREY, MASK], axis=-1)


@pytest.mark.parametrize(
    "array",
    [GREY, MASK, GREY16, COLOUR, GREY.T, COLOUR[::-1, ::2], GREY[:1, :1], GREY16.astype(">u2")],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_png_round_trip(tmp_path, array):
    write_png(tmp_path / "new" / "a.png", array)
    with Image.open(tmp_path / "new" / "a.png") as image:
        image.verify()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), array)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "array", [GREY.astype(float), GREY > 9, GREY16[:, :, None], COLOUR.astype(np.uint16), GREY[:0]]
)
def test_an_array_that_png_cannot_hold_is_refused(tmp_path, array):
    with pytest.raises(UsageError) as caught:
        write_png(tmp_path / "a.png", array)
    assert caught.value.code == "array-unsupported"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(16, 16), (400, 300), (300, 400)])
def test_overlay_outlines_each_lung_in_its_colour(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, dtype=np.uint8)
    height, width = shape
    labels[height // 4 : height // 2, width // 8 : width // 3] = 1
    labels[height // 4 : height // 2, width // 2 : 7 * width // 8] = 2
    image = (x + 2 * y).astype(np.uint16) * 40
    picture = draw_overlay(image, labels)
    assert (picture.shape, picture.dtype) == ((*shape, 3), np.uint8)
    grey = (picture == picture[:, :, :1]).all(axis=-1)
    # Beside the lungs there are only the letters.
    for column, row in place_marks(labels).values():
        reach = mark_size(shape)
        grey[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach] = True
    assert grey[labels == 0].all()
    top = height // 4
    red, _, blue = picture[top, width // 5].astype(int)
    assert blue > red  # right lung, on the left of the picture
    red, _, blue = picture[top, 2 * width // 3].astype(int)
    assert blue < red
    with_reference = draw_overlay(image, labels, np.roll(labels, 3, axis=0))
    assert (with_reference != picture).any()


@pytest.mark.parametrize("side", [200, 600, 1500])
def test_an_outline_is_as_thick_as_the_picture_is_large(side):
    y, x = np.mgrid[:side, :side]
    # Round, with a hole, and cut off by the picture's edge.
    lung = (np.hypot(y - side / 2, x) < side / 3) & (np.hypot(y - side / 2, x - side / 8) > side / 30)
    coloured = np.ptp(draw_overlay(np.zeros((side, side)), 3 * lung.astype(np.uint8)), axis=2) > 0
    within = minimum_filter(lung, size=2 * max(1, round(side / 300)) + 1, mode="constant", cval=0)
    np.testing.assert_array_equal(coloured, lung & ~within)


def test_overlay_of_nothing_is_the_picture():
    labels = np.zeros(GREY.shape, dtype=np.uint8)
    for image in (GREY, GREY * 0, GREY16.astype(np.float32) - 9000):
        picture = draw_overlay(image, labels)
        assert (picture == picture[:, :, :1]).all()
    assert draw_overlay(GREY, labels).std() > 50


def test_a_palette_is_kept(tmp_path):
    palette = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(encode_png(GREY, palette))
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette[GREY])


def test_an_overlay_can_be_read_back(tmp_path):
    write_png(tmp_path / "a.png", draw_overlay(GREY, np.where(GREY > 99, 1, 2)))
    assert read_radiograph(tmp_path / "a.png").pixels.shape == GREY.shape


def test_measured_lines_are_drawn_with_strokes_at_their_ends():
    image, labels = np.zeros((300, 300)), np.zeros((300, 300), np.uint8)
    plain = draw_overlay(image, labels)
    drawn = draw_overlay(image, labels, lines=[((50.0, 100.5), (200.0, 100.5)), ((20.0, 200.5), (280.0, 200.5))])
    changed = (drawn != plain).any(axis=2)
    columns = np.flatnonzero(changed[98:103].any(axis=0))
    assert abs(columns[0] - 50) <= 1
    assert abs(columns[-1] - 200) <= 1
    assert (drawn[100, 60:190] == COLOURS[3]).all()
    assert changed[97, 48:52].any()  # a stroke
    assert len(np.unique(drawn[200, 30:270])) == 2  # dashes


def test_the_outline_of_the_heart_is_that_of_all_of_it():
    labels, heart = np.zeros((300, 300), np.uint8), np.zeros((300, 300), bool)
    heart[100:200, 100:200] = True
    labels[100:150, 100:200] = 3
    drawn = draw_overlay(np.zeros((300, 300)), labels, heart=heart)
    assert (drawn[199, 100:200] == COLOURS[3]).all()
    assert not drawn[150, 110:190].any()
