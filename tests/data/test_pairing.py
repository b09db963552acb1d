# SPDX-License-Identifier: Apache-2.0
"""Images and references are matched one to one, in every layout, and nothing is lost."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from data_support import REAL, image_of, kaggle, labels_of, mask_of, needs_real_data, save
from errors_support import fails

from lungseg.data import check_data, datalist, find_data, pair_by_name, read_label
from lungseg.data.naming import Naming
from lungseg.data.problems import DUPLICATE_NAME, MASK_WITHOUT_IMAGE, ONE_LUNG
from lungseg.utils.errors import UsageError


def names(pairing):
    return [case.name for case in pairing.pairs]


def test_mask_names_may_have_the_suffix_or_not(tmp_path):
    folder = kaggle(tmp_path / "a folder", "plain")
    save(folder / "CXR_png/other.png", image_of())
    save(folder / "masks/other_mask.png", mask_of())
    pairing = find_data(folder).pair()
    assert names(pairing) == ["other", "plain"]
    assert pairing.pairs[0].label.name == "other_mask.png"
    assert not pairing.problems


def test_extensions_may_differ_and_be_capitals(tmp_path):
    save(tmp_path / "CXR_png/a.PNG", image_of())
    save(tmp_path / "masks/a.tif", mask_of())
    assert names(find_data(tmp_path).pair()) == ["a"]


def test_an_image_whose_name_ends_in_the_suffix(tmp_path):
    folder = kaggle(tmp_path, "a_mask", "b")
    assert names(find_data(folder).pair()) == ["a_mask", "b"]


def test_what_has_no_partner_is_listed(tmp_path):
    folder = kaggle(tmp_path, "a")
    save(folder / "CXR_png/image_alone.png", image_of())
    save(folder / "masks/mask_alone_mask.png", mask_of())
    pairing = find_data(folder).pair()
    assert names(pairing) == ["a"]
    assert [path.name for path in pairing.images_without_mask] == ["image_alone.png"]
    assert [path.name for path in pairing.masks_without_image] == ["mask_alone_mask.png"]
    assert [problem.kind for problem in pairing.problems] == [MASK_WITHOUT_IMAGE]
    assert (pairing.images, pairing.masks) == (2, 2)


@pytest.mark.parametrize("twin", ["CXR_png/a.jpg", "masks/a.tif", "masks/a_mask.png"])
def test_duplicate_names_are_told_and_none_is_used(tmp_path, twin):
    folder = kaggle(tmp_path, "a", "b")
    save(folder / twin, mask_of())
    pairing = find_data(folder).pair()
    assert names(pairing) == ["b"]
    assert {problem.kind for problem in pairing.problems} == {DUPLICATE_NAME}
    assert folder / twin in [problem.file for problem in pairing.problems]
    assert all(problem.excluded and problem.name == "a" for problem in pairing.problems)
    assert not pairing.images_without_mask
    assert not pairing.masks_without_image


def test_sub_folders_keep_equal_names_apart(tmp_path):
    for sub in ("one", "two"):
        save(tmp_path / "images" / sub / "a.png", image_of())
        save(tmp_path / "masks" / sub / "a.png", mask_of())
    pairing = pair_by_name(tmp_path / "images", tmp_path / "masks")
    assert names(pairing) == ["one/a", "two/a"]
    assert all(case.image.parent.name == case.label.parent.name for case in pairing.pairs)


@pytest.mark.parametrize("masks", ["labels/final", "labels"])
def test_masks_within_the_folder_of_images_are_no_images(tmp_path, masks):
    save(tmp_path / "a.png", image_of())
    save(tmp_path / masks / "a.png", mask_of())
    pairing = pair_by_name(tmp_path, tmp_path / masks)
    assert (names(pairing), pairing.images, pairing.masks) == (["a"], 1, 1)
    assert not pairing.images_without_mask
    # And the other way round.
    assert names(pair_by_name(tmp_path / masks, tmp_path)) == ["a"]


def test_dicom_and_nifti_are_paired_whatever_their_endings(tmp_path):
    dicom = bytes(128) + b"DICM"
    for name in ("a.dcm", "b.dicom", "c", "1.2.840.7", "d.nii", "e.NII.GZ", "f.docx", "DICOMDIR"):
        (tmp_path / "images" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "images" / name).write_bytes(dicom)
    (tmp_path / "images" / "README").write_text("notes")
    for name in ("a", "b_mask", "c", "1.2.840.7", "d", "e"):
        save(tmp_path / "masks" / f"{name}.png", mask_of())
    pairing = find_data(tmp_path).pair()
    assert names(pairing) == ["1.2.840.7", "a", "b", "c", "d", "e"]
    assert pairing.images == 6


@pytest.mark.parametrize(("suffix", "option"), [("_dk", "--mask-suffix _dk"), ("-jw", "--mask-suffix=-jw")])
def test_the_suffix_that_would_pair_is_named(tmp_path, suffix, option):
    folder = kaggle(tmp_path, "p1", "p11", suffix=suffix)
    save(folder / "masks/stray.png", mask_of())
    with fails("no-pairs") as caught:
        datalist(folder, "train")
    assert option in caught.value.remedy
    with fails("no-pairs") as caught:
        check_data(find_data(folder)).check_usable()
    assert option in caught.value.remedy
    given = find_data(folder, mask_suffix=suffix)
    assert names(given.pair()) == ["p1", "p11"]


def test_hidden_files_of_other_systems_are_no_images(tmp_path):
    folder = kaggle(tmp_path, "a")
    (folder / "CXR_png/._a.png").write_bytes(b"resource fork")
    assert find_data(folder).pair().images == 1


def test_images_and_masks_may_lie_in_one_folder(tmp_path):
    for name in ("a.png", "a_mask.png", "b.png", "c_mask.png"):
        save(tmp_path / name, image_of())
    pairing = pair_by_name(tmp_path, tmp_path)
    assert [(case.image.name, case.label.name) for case in pairing.pairs] == [("a.png", "a_mask.png")]
    assert [path.name for path in pairing.images_without_mask] == ["b.png", "c_mask.png"]
    with fails("no-pairs", UsageError):
        pair_by_name(tmp_path, tmp_path, Naming(mask_suffix="_lungs"))


def test_two_folders_with_a_suffix_rule(tmp_path):
    save(tmp_path / "x rays/a.png", image_of())
    save(tmp_path / "drawn/a-lungs.png", mask_of())
    given = {"images": tmp_path / "x rays", "masks": tmp_path / "drawn", "mask_suffix": "-lungs"}
    assert names(find_data(**given).pair()) == ["a"]
    (item,) = datalist(None, "all", **given)
    assert item["label"].endswith("a-lungs.png")


def test_separate_lungs_are_merged(tmp_path):
    labels = labels_of()
    for name in ("a", "right_only"):
        save(tmp_path / f"CXR_png/{name}.png", image_of())
        save(tmp_path / f"ManualMask/rightMask/{name}.png", (labels == 1).astype(np.uint8) * 255)
    save(tmp_path / "ManualMask/leftMask/a.png", (labels == 2).astype(np.uint8) * 255)
    pairing = find_data(tmp_path).pair()
    assert names(pairing) == ["a"]
    assert [(p.kind, p.file.name, p.excluded) for p in pairing.problems] == [(ONE_LUNG, "right_only.png", True)]
    assert not pairing.images_without_mask
    (item,) = datalist(tmp_path, "all")
    assert [path.split("/")[-2] for path in item["label"]] == ["rightMask", "leftMask"]
    assert np.array_equal(read_label(item["label"]).labels, labels)


@pytest.mark.parametrize("left", ["left lung", "Left", "left_lungs", "left-masks"])
def test_lungs_in_folders_of_their_own_within_the_masks(tmp_path, left):
    save(tmp_path / "images/a.png", image_of())
    for lung, folder in ((2, left), (1, re.sub("(?i)left", "right", left)), (3, "heart")):
        save(tmp_path / "masks" / folder / "a.gif", (labels_of() == lung).astype(np.uint8) * 255)
    (item,) = datalist(tmp_path, "all")
    assert np.array_equal(read_label(item["label"]).labels, labels_of())


@pytest.mark.parametrize("ending", ["gif", "BMP"])
def test_masks_of_old_formats_are_paired(tmp_path, ending):
    save(tmp_path / "images/a.png", image_of())
    save(tmp_path / f"masks/a_mask.{ending}", mask_of())
    (item,) = datalist(tmp_path, "all")
    assert np.array_equal(read_label(item["label"]).labels, labels_of())


def test_labels_of_something_else_do_not_hide_the_masks(tmp_path):
    folder = kaggle(tmp_path, "a")
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text("0 0.5 0.5 0.1 0.1")
    assert find_data(folder).kind == "masks"


def test_label_maps_are_preferred_to_masks(tmp_path):
    folder = kaggle(tmp_path, "a")
    save(folder / "left_right_labels/a.png", labels_of())
    assert find_data(folder).kind == "label maps"
    assert "left_right_labels" in datalist(folder, "all")[0]["label"]


def test_a_data_set_is_found_below_the_folder_given(tmp_path):
    kaggle(tmp_path / "downloads/Lung Segmentation", "a")
    assert find_data(tmp_path).folder.name == "Lung Segmentation"


def test_several_data_sets_are_ambiguous(tmp_path):
    kaggle(tmp_path / "one", "a")
    kaggle(tmp_path / "two", "a")
    with fails("several-data-sets") as caught:
        find_data(tmp_path)
    assert '"one", "two"' in str(caught.value)


def test_no_data_set(tmp_path):
    with fails("not-found"):
        find_data(tmp_path / "nowhere")
    with fails("no-pictures"):
        find_data(tmp_path)
    save(tmp_path / "a.png", image_of())
    with fails("layout-unknown"):
        find_data(tmp_path)
    with fails("data-set-unclear", UsageError):
        find_data(tmp_path, images=tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    folder = kaggle(tmp_path, "a")
    (folder / "masks").chmod(0)
    try:
        with fails("not-permitted"):
            find_data(folder).pair()
    finally:
        (folder / "masks").chmod(0o755)


@needs_real_data
def test_the_public_collection():
    pairing = find_data(REAL / "Lung Segmentation").pair()
    counts = (pairing.images, pairing.masks, len(pairing.pairs))
    assert counts == (800, 704, 704)
    assert (len(pairing.images_without_mask), len(pairing.masks_without_image)) == (96, 0)
    assert not pairing.problems
    assert all(case.label.stem in (case.name, f"{case.name}_mask") for case in pairing.pairs)
    assert len({case.label for case in pairing.pairs}) == 704
