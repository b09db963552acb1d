# SPDX-License-Identifier: Apache-2.0
"""Right and left are found where possible, else the union is kept; unusable masks are refused by name."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from data_support import LOPSIDED, REAL, image_of, labels_of, mask_of, needs_real_data, save
from errors_support import fails
from monai.transforms import LoadImage
from PIL import Image, ImageFilter

from lungseg.data import LungLabelReader, datalist, phantom, read_label
from lungseg.data.label_files import read_values
from lungseg.data.labels import ACROSS, SIDE_UNKNOWN, SWAPPED, TOUCHING, MaskError, from_lungs, from_values
from lungseg.data.labels import LOPSIDED as LOPSIDED_REASON
from lungseg.data.problems import (
    EMPTY_MASK,
    INVERTED_MASK,
    LATERALITY_UNKNOWN,
    NOT_A_MASK,
    NOT_SIDE_BY_SIDE,
    ONE_LUNG,
    SIZE_MISMATCH,
    UNREADABLE,
)
from lungseg.io import read_radiograph
from lungseg.io.nifti import encode_nifti
from lungseg.utils.errors import UsageError


def boxes(*rows_columns_values, shape=(100, 120)):
    array = np.zeros(shape, np.uint8)
    for rows, columns, value in rows_columns_values:
        array[slice(*rows), slice(*columns)] = value
    return array


RIGHT, LEFT = ((20, 80), (10, 50)), ((20, 80), (70, 110))


@pytest.mark.parametrize("value", [1, 255])
def test_components_of_a_binary_mask_are_the_sides(value):
    labels = labels_of()
    found = from_values((labels > 0).astype(np.uint8) * np.uint8(value))
    assert np.array_equal(found.labels, labels)
    assert found.labels.dtype == np.uint8
    assert found.union_reason is None


@pytest.mark.parametrize("white", [0, 1])
def test_a_palette_of_two_colours_is_looked_through(tmp_path, white):
    image = Image.fromarray(np.where(mask_of() > 0, white, 1 - white).astype(np.uint8))
    image.putpalette([255, 255, 255, 0, 0, 0] if white == 0 else [0, 0, 0, 200, 40, 40])
    image.save(tmp_path / "mask.png")
    assert np.array_equal(read_label(tmp_path / "mask.png").labels, labels_of())


def test_shades_of_a_palette_are_looked_through(tmp_path):
    large = np.kron(mask_of(), np.ones((6, 6), np.uint8))
    smooth = Image.fromarray(large).filter(ImageFilter.GaussianBlur(0.5))
    # The numbers run the other way than the greys.
    numbers = Image.fromarray(255 - np.asarray(smooth))
    numbers.putpalette(np.repeat(np.arange(255, -1, -1), 3).tolist())
    numbers.save(tmp_path / "mask.png")
    save(tmp_path / "grey.png", np.asarray(smooth))
    assert np.array_equal(*(read_label(tmp_path / name).labels for name in ("mask.png", "grey.png")))


@pytest.mark.parametrize("palette", [[0, 0, 0, 255, 0, 0, 0, 255, 0], [0, 0, 0, 90, 90, 90, 255, 255, 255]])
def test_the_colours_of_labels_do_not_count(tmp_path, palette):
    image = Image.fromarray(labels_of())
    image.putpalette(palette)
    image.save(tmp_path / "labels.png")
    assert np.array_equal(read_label(tmp_path / "labels.png").labels, labels_of())


@pytest.mark.parametrize("mask", [255 - mask_of(), np.full((10, 10), 255, np.uint8)])
def test_a_mask_with_black_lungs_is_refused(mask):
    with fails(INVERTED_MASK, MaskError):
        from_values(mask)
    with fails(INVERTED_MASK, MaskError):
        from_lungs(mask, mask)


def test_specks_go_with_the_nearer_lung():
    mask = boxes((*RIGHT, 255), (*LEFT, 255), ((5, 7), (40, 42), 255), ((90, 92), (64, 68), 255))
    labels = from_values(mask).labels
    assert np.array_equal(labels > 0, mask > 0)
    assert (labels[5, 40], labels[91, 65]) == (1, 2)


def test_a_label_map_is_taken_as_it_is():
    labels = labels_of()
    assert np.array_equal(from_values(labels).labels, labels)


def test_touching_lungs_of_a_label_map_keep_their_sides():
    labels = boxes(((20, 80), (10, 60), 1), ((20, 80), (60, 110), 2))
    assert np.array_equal(from_values(labels).labels, labels)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (boxes(((20, 80), (10, 110), 255)), TOUCHING),
        (boxes((*RIGHT, 255), ((20, 40), (90, 110), 255)), LOPSIDED_REASON),
        (boxes((*RIGHT, 2), (*LEFT, 1)), SWAPPED),
        (boxes((*RIGHT, 2), ((50, 55), (70, 75), 3)), SWAPPED),
        (boxes((*RIGHT, 1), (*LEFT, 1), ((50, 55), (55, 60), 3)), ACROSS),
    ],
)
def test_only_the_union_is_believed(values, reason):
    found = from_values(values)
    assert found.union_reason == reason
    assert np.array_equal(found.labels, np.where(np.isin(values, [0, 3]), 0, SIDE_UNKNOWN))


def test_sides_that_a_person_painted_are_kept():
    """The doubt about one lung with most of the area is for binary masks."""
    collapsed = boxes((*RIGHT, 1), ((20, 40), (90, 110), 2))
    found = from_values(collapsed)
    assert (found.union_reason, found.remark) == (None, None)
    assert np.array_equal(found.labels, collapsed)
    right, left = (collapsed == 1) * np.uint8(255), (collapsed == 2) * np.uint8(255)
    assert np.array_equal(from_lungs(right, left).labels, collapsed)


def test_lungs_of_a_label_map_may_lie_one_above_the_other():
    labels = boxes(((5, 45), (30, 90), 1), ((55, 95), (35, 90), 2))
    found = from_values(labels)
    assert np.array_equal(found.labels, labels)
    assert (found.union_reason, found.remark.kind) == (None, NOT_SIDE_BY_SIDE)


@pytest.mark.parametrize(("place", "side"), [(RIGHT, 1), (LEFT, 2)])
def test_a_label_map_may_hold_one_lung(tmp_path, place, side):
    """The other one was removed, or is opaque."""
    alone = boxes((*place, side))
    with_heart = boxes((*place, side), ((40, 60), (56, 64), 3))
    pair = [save(tmp_path / f"{lung}.png", (alone == lung).astype(np.uint8) * 255) for lung in (1, 2)]
    stated = read_label(save(tmp_path / "stated" / "a.png", alone), "right=1,left=2")
    for found in (stated, from_values(with_heart), read_label(tuple(pair))):
        assert np.array_equal(found.labels, alone)
        assert (found.union_reason, found.remark.kind) == (None, ONE_LUNG)
    # Without a statement, the other files show whether it is a label map.
    path = save(tmp_path / "maps" / "b.png", alone)
    with fails(ONE_LUNG, MaskError) as caught:
        read_label(path)
    assert "--labels right=1,left=2" in caught.value.remedy
    save(tmp_path / "maps" / "a.png", boxes((*RIGHT, 1), (*LEFT, 2)))
    assert np.array_equal(read_label(path).labels, alone)
    save(tmp_path / "masks" / "a.png", boxes((*RIGHT, 255), (*LEFT, 255)))
    with fails(ONE_LUNG, MaskError):
        read_label(save(tmp_path / "masks" / "b.png", alone))


def test_a_few_pixels_of_a_side_are_pointed_out():
    labels = boxes((*RIGHT, 1), ((5, 7), (5, 7), 2))
    found = from_values(labels)
    assert np.array_equal(found.labels, labels)
    assert (found.remark.kind, "0.2%" in found.remark.sentence) == (ONE_LUNG, True)


def test_a_heart_in_a_label_map_is_not_lung():
    found = from_values(boxes((*RIGHT, 1), (*LEFT, 2), ((40, 60), (52, 68), 3)))
    assert found.union_reason is None
    assert np.array_equal(found.labels, boxes((*RIGHT, 1), (*LEFT, 2)))


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (boxes(), EMPTY_MASK),
        (boxes((*RIGHT, 255)), ONE_LUNG),
        (boxes((*RIGHT, 1), shape=(100, 121)), ONE_LUNG),
        (boxes((*LEFT, 2)), ONE_LUNG),
        (boxes(((5, 45), (30, 90), 255), ((55, 95), (35, 90), 255)), LATERALITY_UNKNOWN),
        (boxes((*RIGHT, 100), (*LEFT, 200)), NOT_A_MASK),
        (np.arange(256, dtype=np.uint8).reshape(16, 16), NOT_A_MASK),
        (boxes((*RIGHT, 1), (*LEFT, 255)), NOT_A_MASK),
        (boxes((*RIGHT, 128), (*LEFT, 255)), NOT_A_MASK),
        (boxes((*RIGHT, 255))[:12], UNREADABLE),
    ],
)
def test_a_mask_without_two_lungs_is_refused(tmp_path, values, code):
    path = save(tmp_path / "case 7.png", values)
    with fails(code, MaskError) as caught:
        read_label(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.remedy or code == EMPTY_MASK
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.code) == (str(caught.value), code)


def test_separate_lungs():
    right, left = boxes((*RIGHT, 255)), boxes((*LEFT, 1))
    assert np.array_equal(from_lungs(right, left).labels, boxes((*RIGHT, 1), (*LEFT, 2)))
    assert from_lungs(left, right).union_reason == SWAPPED
    with fails(NOT_A_MASK, MaskError):
        from_lungs(right, right)
    with fails(SIZE_MISMATCH, MaskError):
        from_lungs(right, left[:50])
    assert from_lungs(boxes(), right).union_reason == SWAPPED
    with fails(EMPTY_MASK, MaskError):
        from_lungs(boxes(), boxes())


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_pixel_formats_of_a_mask(tmp_path, mode):
    mask = Image.fromarray(mask_of())
    if mode == "I;16":
        mask = Image.fromarray(mask_of().astype(np.uint16) * 257)
    mask.convert(mode).save(tmp_path / "mask.png") if mode != "I;16" else mask.save(tmp_path / "mask.png")
    assert np.array_equal(read_label(tmp_path / "mask.png").labels, labels_of())


def large_mask():
    """A mask of 512 x 410 pixels, 0/255, and its label map."""
    labels = phantom(4, (512, 410))[1]
    return (labels > 0).astype(np.uint8) * 255, labels


def test_masks_with_shades_are_cut_at_half(tmp_path):
    mask, labels = large_mask()
    Image.fromarray(mask).save(tmp_path / "mask.jpg", quality=60)
    Image.fromarray(mask).convert("RGB").save(tmp_path / "colours.jpg", quality=60)
    smooth = Image.fromarray(mask).filter(ImageFilter.GaussianBlur(0.6))
    smooth.save(tmp_path / "smooth.png")
    save(tmp_path / "deep.png", np.asarray(smooth).astype(np.uint16) * 257)
    for name in ("mask.jpg", "colours.jpg", "smooth.png", "deep.png"):
        found = read_label(tmp_path / name).labels
        assert set(np.unique(found)) == {0, 1, 2}
        assert np.mean(found != labels) < 0.001, name


def test_lungs_apart_may_have_shades(tmp_path):
    _, labels = large_mask()
    pair = []
    for side in (1, 2):
        pair.append(tmp_path / f"{side}.jpg")
        Image.fromarray((labels == side).astype(np.uint8) * 255).save(pair[-1], quality=60)
    assert np.mean(read_label(tuple(pair)).labels != labels) < 0.001


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_colour_on_black_is_a_mask(tmp_path, channel):
    colours = np.zeros((*mask_of().shape, 3), np.uint8)
    colours[..., channel] = mask_of()
    assert np.array_equal(read_label(save(tmp_path / "a.png", colours)).labels, labels_of())


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_mask_is_laid_as_its_image(tmp_path, orientation, name):
    tags = Image.Exif()
    tags[0x0112] = orientation
    for folder, values in (("images", labels_of() * 100), ("masks", labels_of())):
        (tmp_path / folder).mkdir()
        Image.fromarray(values).save(tmp_path / folder / name, exif=tags)
    image = read_radiograph(tmp_path / "images" / name).pixels
    assert np.array_equal(read_values(tmp_path / "masks" / name), image / 100)
    assert not np.array_equal(image / 100, labels_of())


def test_label_maps_as_nifti(tmp_path):
    picture, labels = tmp_path / "a.png", labels_of()
    save(picture, image_of())
    (tmp_path / "a.nii.gz").write_bytes(encode_nifti(labels, read_radiograph(picture)))
    found = read_label(tmp_path / "a.nii.gz").labels
    assert (found.dtype, np.array_equal(found, labels)) == (np.uint8, True)
    (tmp_path / "b.nii.gz").write_bytes(b"\x1f\x8b no such thing")
    with fails(UNREADABLE, MaskError):
        read_label(tmp_path / "b.nii.gz")


@pytest.mark.safety("claimed-size")
def test_a_mask_that_claims_to_be_huge_is_not_decoded(tmp_path):
    Image.new("1", (10_000, 8_100)).save(tmp_path / "huge.png")
    with fails(UNREADABLE, MaskError) as caught:
        read_label(tmp_path / "huge.png")
    assert "10000 x 8100" in str(caught.value)


def test_a_coloured_picture_is_no_mask(tmp_path):
    path = save(tmp_path / "a.png", np.stack([mask_of(), image_of(), image_of(1)], axis=2))
    with fails(NOT_A_MASK, MaskError):
        read_label(path)


@pytest.mark.parametrize("content", [b"", b"no picture at all", None, "cut"])
def test_damaged_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "bad.png"
    if content == "cut":
        save(path, image_of())
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif content is not None:
        path.write_bytes(content)
    with fails(UNREADABLE, MaskError) as caught:
        read_label(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_monai_reads_labels_with_x_first(tmp_path):
    labels = labels_of()
    path = save(tmp_path / "a b.png", mask_of())
    loaded = LoadImage(reader=LungLabelReader(), dtype=np.uint8, image_only=True)(path)
    assert loaded.shape == labels.shape[::-1]
    assert np.array_equal(np.asarray(loaded), labels.T)
    assert loaded.meta["filename_or_obj"] == str(path)
    assert loaded.affine.shape == (4, 4)


def test_monai_reads_a_pair_of_lungs(tmp_path):
    labels = labels_of()
    pair = [save(tmp_path / f"{side}.png", (labels == side).astype(np.uint8)) for side in (1, 2)]
    loaded = LoadImage(reader=LungLabelReader(), image_only=True)(pair)
    assert np.array_equal(np.asarray(loaded), labels.T)


def test_monai_does_not_try_another_reader_when_a_mask_is_refused(tmp_path):
    path = save(tmp_path / "alone.png", boxes((*RIGHT, 255)))
    load = LoadImage(reader=LungLabelReader(), image_only=True)
    with fails(ONE_LUNG, MaskError):
        load(path)
    with fails("several-files", UsageError):
        load([path, path, path])


@needs_real_data
def test_real_masks_give_the_published_sides():
    """In the published map of CHNCXR_0511_1 one pixel inside the left lung says right."""
    differences = {}
    for item in datalist(REAL / "Lung Segmentation", "all")[::4] + [
        i for i in datalist(REAL / "Lung Segmentation", "all") if "0511" in i["name"]
    ]:
        with Image.open(REAL / "left_right_labels" / f"{item['name']}.png") as reference:
            differing = np.count_nonzero(read_label(item["label"]).labels != np.asarray(reference))
        if differing:
            differences[item["name"]] = differing
    assert differences.pop("CHNCXR_0511_1") == 1
    assert set(differences) <= set(LOPSIDED)


@needs_real_data
@pytest.mark.parametrize("name", LOPSIDED)
def test_implausible_borders_of_the_public_collection(name):
    with Image.open(REAL / "left_right_labels" / f"{name}.png") as reference:
        union = np.asarray(reference) > 0
    found = read_label(REAL / "Lung Segmentation" / "masks" / f"{name}_mask.png")
    assert found.union_reason == LOPSIDED_REASON
    assert np.array_equal(found.labels, np.where(union, SIDE_UNKNOWN, 0))
    assert read_label(REAL / "left_right_labels" / f"{name}.png").union_reason is None
