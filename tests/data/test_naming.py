# SPDX-License-Identifier: Apache-2.0
"""Names of images and masks that differ are matched by rules, and the rules are found in the names."""

from __future__ import annotations

import shlex

import pytest
from data_support import image_of, kaggle, mask_of, save

from lungseg.data import datalist, find_data, pair_by_name
from lungseg.data.naming import Naming, guess_naming, masks_by_word


@pytest.mark.parametrize(
    ("images", "masks", "options"),
    [
        (["img_1", "img_2", "img_10"], ["mask_1", "mask_2", "mask_10"], "--image-prefix img_ --mask-prefix mask_"),
        (["case_001_0000", "case_002_0000"], ["case_001", "case_002"], "--image-suffix _0000"),
        (["p1", "p11", "p111"], ["p1_seg", "p11_seg", "stray"], "--mask-suffix _seg"),
        (["1-xray", "2-xray"], ["1-lungs", "2-lungs"], "--image-suffix=-xray --mask-suffix=-lungs"),
        (["a/x1", "b/x1"], ["a/m-x1", "b/m-x1"], "--mask-prefix m-"),
        (["1", "2"], ["1 a", "2 a"], "--mask-suffix ' a'"),
        (["one", "two"], ["1", "2"], None),
        (["1", "2"], [], None),
    ],
)
def test_the_rule_is_found_in_the_names(images, masks, options):
    guess = guess_naming(images, masks)
    assert (guess and guess.options()) == options


def test_words_are_found_as_words():
    assert masks_by_word({"a_mask", "maskA", "Lung-Mask 3", "unmasked", "p1", "2_SEG"}) == {
        "a_mask",
        "Lung-Mask 3",
        "2_SEG",
    }


def test_another_channel_is_not_the_image(tmp_path):
    for name in ("a_0000", "a_0001", "b_0000", "b"):
        save(tmp_path / f"imagesTr/{name}.png", image_of())
    for name in ("a", "b"):
        save(tmp_path / f"labelsTr/{name}.png", mask_of())
    pairing = pair_by_name(tmp_path / "imagesTr", tmp_path / "labelsTr", Naming(image_suffix="_0000"))
    assert [(case.name, case.label.stem) for case in pairing.pairs] == [("a_0000", "a"), ("b_0000", "b")]
    assert [path.stem for path in pairing.images_without_mask] == ["a_0001", "b"]
    assert not pairing.problems


def test_two_files_with_one_name_but_for_the_affixes(tmp_path):
    for name in ("img_a", "img_b"):
        save(tmp_path / f"images/{name}.png", image_of())
    for name in ("mask_a", "a", "mask_b"):
        save(tmp_path / f"masks/{name}.png", mask_of())
    naming = Naming(image_prefix="img_", mask_prefix="mask_")
    pairing = pair_by_name(tmp_path / "images", tmp_path / "masks", naming)
    assert [case.name for case in pairing.pairs] == ["img_b"]
    assert [problem.file.stem for problem in pairing.problems] == ["a", "mask_a"]
    assert not pairing.images_without_mask


def test_usual_words_need_no_option_but_the_own_names_go_first(tmp_path):
    folder = kaggle(tmp_path, "img_1", "mask_1")
    assert [case.name for case in find_data(folder).pair().pairs] == ["img_1", "mask_1"]


def test_the_options_name_both(tmp_path):
    save(tmp_path / "images/x1k.png", image_of())
    save(tmp_path / "masks/y1z.png", mask_of())
    stated = {"image_prefix": "x", "image_suffix": "k", "mask_prefix": "y", "mask_suffix": "z"}
    (case,) = datalist(tmp_path, "all", **stated)
    assert (case["name"], case["label"]) == ("x1k", str(tmp_path / "masks/y1z.png"))


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{}.png", "masks/{}_kd.png"),
        ("images/{}-a.png", "masks/b {}.png"),
        ("pictures of/P{}.png", "lung outlines/my_mask_{}.png"),
        ("{}.png", "{}-lungmask by me.png"),
    ],
)
def test_the_command_that_is_proposed_works(command, tmp_path, monkeypatch, image, mask):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 3):
        save(tmp_path / "my data" / image.format(number), image_of(number))
        save(tmp_path / "my data" / mask.format(number), mask_of(number))
    refused = command("check-data", "my data")
    assert refused.status
    printed = (refused.out + refused.err).splitlines()
    (line,) = [line[line.index("lungseg check-data") :] for line in printed if "lungseg check-data" in line]
    done = command(*shlex.split(line.rstrip("."))[1:])
    assert (done.status, "3 pairs" in done.out) == (0, True), line
