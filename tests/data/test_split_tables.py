# SPDX-License-Identifier: Apache-2.0
"""Lists as a table that a person writes: CSV with the columns name and split."""

from __future__ import annotations

import json
import shutil

import pytest
from command_support import TINY
from data_support import kaggle
from errors_support import fails

from lungseg.data import datalist
from lungseg.data.splits import SECTIONS, read_split

NAMES = [f"case{number}" for number in range(6)]
EXPECTED = {"train": NAMES[:3], "validation": NAMES[3:4], "test": NAMES[4:]}


@pytest.fixture
def folder(tmp_path):
    return kaggle(tmp_path / "data", *NAMES)


def sections_of(folder, file) -> dict:
    listed = {section: datalist(folder, section, splits_file=file) for section in SECTIONS}
    return {section: [case["name"] for case in cases] for section, cases in listed.items()}


def rows(words=("train", "val", "test"), write="{0},{1}") -> str:
    """Return a line for each case."""
    sections = [words[0]] * 3 + [words[1]] + [words[2]] * 2
    return "".join(write.format(name, word) + "\n" for name, word in zip(NAMES, sections, strict=True))


TABLES = {
    "plain": "name,split\n" + rows(),
    "words": "Image,Set\n" + rows(("Training", "valid", "TESTING")),
    "dev": "id,subset\n" + rows(("train", "dev", "test")),
    "semicolons": "file;split\n" + rows(write="{0}.png;{1}"),
    "tabs": "Image_ID\tage\tsplit\n" + rows(write="{0}\t40\t{1}"),
    "paths": "\ufefffilename,split\r\n" + rows(write="data/CXR_png/{0}.png,{1}").replace("\n", "\r\n"),
    "folders of Windows": "split,path\n" + rows(write="{1},C:\\data\\CXR_png\\{0}.png") + "\n,\n",
    "quotes": "name,split\n" + rows(write='"{0}", {1} '),
}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_states_the_lists(folder, tmp_path, table):
    file = tmp_path / "lists.csv"
    file.write_text(TABLES[table], "utf-8", newline="")
    assert sections_of(folder, file) == EXPECTED


WRONG = {
    "another word": ("name,split\n" + rows(("train", "holdout", "test")), "line 5 has the split 'holdout'"),
    "no word": ("name,split\n" + rows(("train", "", "test")), "line 5 has the split ''"),
    "no header": (rows(), "first line"),
    "no list": ("name,age\n" + rows(), "first line"),
    "twice": ("name,split\n" + rows() + "case1,test\n", "in the lines 3 and 8"),
    "twice by its path": ("name,split\n" + rows() + "x/case1.png,test\n", "case1 is in it twice"),
    "no name": ("name,split\n" + rows() + ",test\n", "line 8 names no image"),
    "short": ("name,age,split\n" + rows(), "line 2 has 2 columns"),
    "empty": ("", "first line"),
    "binary": ("\0\1", "first line"),
}


@pytest.mark.parametrize("table", WRONG)
def test_a_table_that_is_wrong_is_refused_in_words(folder, tmp_path, table):
    content, words = WRONG[table]
    file = tmp_path / "lists.csv"
    file.write_text(content, "utf-8")
    with fails("split-invalid") as caught:
        datalist(folder, "train", splits_file=file)
    assert str(caught.value).startswith(f"{file}: ")
    assert words in str(caught.value)


def test_names_that_are_not_those_of_the_data_set_are_refused(folder, tmp_path):
    file = tmp_path / "lists.csv"
    file.write_text("name,split\n" + rows() + "stranger,test\n")
    with fails("split-outdated") as caught:
        datalist(folder, "train", splits_file=file)
    assert "stranger" in str(caught.value)
    file.write_text("name,split\n" + rows().replace("case5,test\n", ""))
    with fails("split-outdated") as caught:
        datalist(folder, "train", splits_file=file)
    assert "case5" in str(caught.value)


def test_a_file_that_could_be_several_cases_is_refused(folder, tmp_path):
    for kind in ("CXR_png", "masks"):
        for place in ("one", "two"):
            target = folder / kind / place / "same.png"
            target.parent.mkdir()
            shutil.copy(folder / kind / "case0.png", target)
    file = tmp_path / "lists.csv"
    file.write_text("name,split\n" + rows() + "same,test\n")
    with fails("split-invalid") as caught:
        datalist(folder, "train", splits_file=file)
    assert "same could be one/same and two/same" in str(caught.value)
    file.write_text("name,split\n" + rows() + "one/same.png,test\ntwo/same.png,train\n")
    assert sections_of(folder, file)["test"] == [*NAMES[4:], "one/same"]


def test_a_table_is_written_that_can_be_read(folder, tmp_path):
    kaggle(folder, *NAMES, "=case,6")
    file = tmp_path / "new" / "lists.csv"
    first = sections_of(folder, file)
    assert file.read_text().startswith("name,split\n")
    assert read_split(file) == first
    assert sections_of(folder, file) == first


def test_commands_take_a_table(command, folder, tmp_path):
    file, run, out = tmp_path / "lists.csv", tmp_path / "run", tmp_path / "figures"
    file.write_text(TABLES["semicolons"])
    data = ("--data", folder, "--splits", file)
    done = command("train", *data, "-o", run, "--config", *TINY, "epochs=1")
    assert done.status == 0, done.err
    assert {name: names for name, names in read_split(run / "splits.json").items() if name in EXPECTED} == EXPECTED
    done = command("evaluate", *data, "--weights", run, "-o", out)
    assert done.status == 0, done.err
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["overall"]["n"], list(summary["sets"])) == (2, ["data"])
    file.write_text(WRONG["another word"][0])
    done = command("train", *data, "-o", tmp_path / "other", "--config", *TINY)
    assert done.status == 1
    assert "holdout" in done.sentence
