# SPDX-License-Identifier: Apache-2.0
"""Every problem of a data set is reported with its file."""

from __future__ import annotations

import numpy as np
import pytest
from data_support import LOPSIDED, REAL, image_of, kaggle, labels_of, mask_of, needs_real_data, save
from errors_support import fails
from PIL import Image

from lungseg.cli.main import main
from lungseg.data import check_data as check_layout
from lungseg.data import draw_contact_sheet, find_data, problems


def check_data(folder):
    return check_layout(find_data(folder))


def replace_mask(folder, name, array):
    save(folder / "masks" / f"{name}.png", array)


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def text(path):
    path.write_text("this is text")


def one_lung(folder):
    replace_mask(folder, "a", (labels_of() == 1).astype(np.uint8))


DEFECTS = {
    "truncated image": (lambda f: cut(f / "CXR_png/a.png"), "CXR_png/a.png", problems.UNREADABLE, True),
    "text as image": (lambda f: text(f / "CXR_png/a.png"), "CXR_png/a.png", problems.UNREADABLE, True),
    "empty image": (lambda f: (f / "CXR_png/a.png").write_bytes(b""), "CXR_png/a.png", problems.UNREADABLE, True),
    "truncated mask": (lambda f: cut(f / "masks/a.png"), "masks/a.png", problems.UNREADABLE, True),
    "size": (
        lambda f: replace_mask(f, "a", np.pad(mask_of(), ((0, 0), (4, 4)))),
        "masks/a.png",
        problems.SIZE_MISMATCH,
        True,
    ),
    "empty mask": (lambda f: replace_mask(f, "a", 0 * mask_of()), "masks/a.png", problems.EMPTY_MASK, True),
    "grey mask": (lambda f: replace_mask(f, "a", image_of()), "masks/a.png", problems.NOT_A_MASK, True),
    "one lung": (one_lung, "masks/a.png", problems.ONE_LUNG, True),
    "touching": (
        lambda f: replace_mask(f, "a", np.pad(np.full((60, 76), 255, np.uint8), 10)),
        "masks/a.png",
        problems.LATERALITY_IMPLAUSIBLE,
        False,
    ),
    "mask alone": (
        lambda f: save(f / "masks/z.png", mask_of()),
        "masks/z.png",
        problems.MASK_WITHOUT_IMAGE,
        True,
    ),
    "same pixels": (
        lambda f: save(f / "CXR_png/copy.tif", image_of()),
        "CXR_png/copy.tif",
        problems.DUPLICATE_IMAGE,
        False,
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_reported_once_with_its_file(tmp_path, defect):
    spoil, file, kind, excluded = DEFECTS[defect]
    folder = kaggle(tmp_path, "a", "b")
    spoil(folder)
    result = check_data(folder)
    (problem,) = result.problems
    assert (problem.file, problem.kind, problem.excluded) == (folder / file, kind, excluded)
    assert len(result.excluded_cases) == excluded
    assert "b" not in result.excluded_cases
    line = next(line for line in str(result).splitlines() if file in line)
    assert kind in line
    assert problem.sentence in line
    assert ("[unusable]" in line) == excluded


def test_duplicate_names_are_problems(tmp_path):
    folder = kaggle(tmp_path, "a", "b")
    save(folder / "masks/a_mask.png", mask_of())
    result = check_data(folder)
    assert [problem.kind for problem in result.problems] == [problems.DUPLICATE_NAME] * 2
    assert result.excluded_cases == ["a"]
    assert (result.images, result.masks, len(result.pairs)) == (2, 3, 1)


def test_equal_names_in_sub_folders_are_told_apart(tmp_path):
    folder = kaggle(tmp_path, "1")
    save(folder / "masks/old/1.png", mask_of())
    cut(save(folder / "CXR_png/older/1.png", image_of()))
    result = check_data(folder)
    result.check_usable()
    assert result.excluded_cases == ["old/1", "older/1"]
    assert draw_contact_sheet(result, tmp_path / "sheet.png") == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 2 * 200


def test_a_sound_data_set_has_no_problem(tmp_path):
    result = check_data(kaggle(tmp_path, "a", "b"))
    assert not result.problems
    assert str(result).splitlines()[-1].strip() == "0 problems"


def test_no_image(tmp_path):
    (tmp_path / "CXR_png").mkdir()
    save(tmp_path / "masks/a.png", mask_of())
    with fails("no-pictures"):
        check_data(tmp_path)


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ({}, "no image has a mask; name each mask as its image"),
        ({"a_dk": mask_of(), "b_dk": mask_of()}, "no image has a mask; give --mask-suffix _dk"),
        ({"a": 0 * mask_of(), "b": image_of()}, "none of the 2 pairs of image and mask can be used; fix"),
    ],
)
def test_nothing_usable_is_an_error(command, tmp_path, masks, words):
    for name in "ab":
        save(tmp_path / "data/images" / f"{name}.png", image_of())
    (tmp_path / "data/masks").mkdir()
    for name, mask in masks.items():
        save(tmp_path / "data/masks" / f"{name}.png", mask)
    done = command("check-data", tmp_path / "data", "-o", tmp_path / "sheet.png")
    assert done.status == 1
    assert words in done.sentence
    assert (tmp_path / "sheet.png").exists()


def test_unusable_cases_come_with_a_remedy(tmp_path):
    folder = kaggle(tmp_path, *"abcdef")
    replace_mask(folder, "a", np.pad(mask_of(), ((0, 0), (4, 4))))
    replace_mask(folder, "b", image_of())
    replace_mask(folder, "c", np.stack([mask_of(), image_of(), image_of(1)], axis=2))
    cut(folder / "masks/d.png")
    cut(folder / "CXR_png/e.png")
    lines = [line for line in str(check_data(folder)).splitlines() if "[unusable]" in line]
    assert len(lines) == 5
    for line in lines:
        assert "; " in line
        assert line.count("label map") <= 2
        assert line.count("neither") <= 1


def test_contact_sheet_shows_problems_first(tmp_path):
    folder = kaggle(tmp_path / "data", *"abcdefghijklm")
    replace_mask(folder, "m", 0 * mask_of())
    cut(folder / "CXR_png/k.png")
    result = check_data(folder)
    assert draw_contact_sheet(result, tmp_path / "sheet.png", count=12) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.mode == "RGB"
        picture = np.asarray(sheet)
    width = picture.shape[1] // 10
    alarm = (picture.astype(int) == (255, 120, 90)).all(axis=2)
    assert alarm[: picture.shape[0] // 2, : 2 * width].any()
    assert not alarm[:, 2 * width :].any()
    first = (tmp_path / "sheet.png").read_bytes()
    assert draw_contact_sheet(result, tmp_path / "sheet.png", count=12) == 0
    assert (tmp_path / "sheet.png").read_bytes() == first
    assert draw_contact_sheet(result, tmp_path / "sheet.png", count=1) == 1


def test_contact_sheet_without_a_single_pair(tmp_path):
    save(tmp_path / "CXR_png/a.png", image_of())
    (tmp_path / "masks").mkdir()
    assert draw_contact_sheet(check_data(tmp_path), tmp_path / "sheet.png") == 0
    assert (tmp_path / "sheet.png").exists()


def test_no_contact_sheet_where_no_case_can_be_pictured(tmp_path, capsys):
    for name in ("images/a.png", "images/a.jpg", "masks/a.png"):
        save(tmp_path / name, image_of())
    assert main(["check-data", str(tmp_path), "-o", str(tmp_path / "sheet.png")]) == 1
    assert "Contact sheet" not in capsys.readouterr().out
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.slow
@needs_real_data
def test_the_public_collection():
    result = check_data(REAL / "Lung Segmentation")
    lines = [line.strip() for line in str(result).splitlines()]
    assert lines[1:4] == ["800 images", "704 masks", "704 pairs"]
    assert lines[4].startswith("96 images without a mask")
    assert lines[5] == "0 masks without an image"
    assert result.union_only == list(LOPSIDED)
    assert len(result.problems) == len(LOPSIDED)
    assert not result.excluded_cases
