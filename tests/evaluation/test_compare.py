# SPDX-License-Identifier: Apache-2.0
"""Comparisons: the same cases alone, exact differences, refusals in words, and the page."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from browser_support import Browser, needs_browser
from errors_support import fails
from PIL import Image
from report_support import HOSTILE

from lungseg.evaluation.compare import compare
from lungseg.evaluation.measured import short_names
from lungseg.evaluation.records import MeasuredCase, append_case
from lungseg.report.evaluation import picture_file
from lungseg.report.outlines import find_outlines
from lungseg.report.verdict import describe_pair
from lungseg.utils.errors import UsageError

DICE = {"a": [0.90, 0.80, 0.70], "b": [0.92, 0.81, 0.76]}


def write_table(folder: Path, rows: list[dict]) -> Path:
    """Write the table of an evaluation, as all versions have it."""
    folder.mkdir(parents=True)
    with open(folder / "cases.csv", "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, ["name", "set", "extent", "file", "dice", "iou", "hd95_px", "note"])
        writer.writeheader()
        for row in rows:
            writer.writerow({"set": "other", "extent": "visible", "file": "/secret/x.png", "note": "", **row})
    return folder


def rows(dice: list[float], names: list[str] | None = None, **more) -> list[dict]:
    names = names or [f"case {number}" for number in range(len(dice))]
    return [
        {"name": name, "dice": value, "iou": value - 0.1, "hd95_px": 10 * (1 - value), **more}
        for name, value in zip(names, dice, strict=True)
    ]


def write_evaluation(folder: Path, cases: list[dict], inputs: str = "0", shift: int = 0) -> Path:
    """Write an evaluation of this version, with pictures whose lungs are shifted."""
    write_table(folder, cases)
    labels = np.zeros((64, 80), np.uint8)
    labels[10:50, 10:30], labels[12:48, 45:65] = 1, 2
    drawn = [asdict(find_outlines(one)) for one in (np.roll(labels, shift, axis=0), labels)]
    content = io.BytesIO()
    Image.fromarray(np.full((64, 80), 90, np.uint8)).save(content, "JPEG")
    for place, case in enumerate(cases):
        row = {"set": "other", "extent": "visible", "file": "/secret/x.png", "note": "", **case}
        number = f"{inputs}{place}"
        file = picture_file(folder, case["name"])
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content.getvalue())
        picture = {"prediction": drawn[0], "reference": drawn[1]}
        append_case(folder, MeasuredCase(case["name"], number, "s", "l", row, picture))
    return folder


@pytest.fixture
def two(tmp_path) -> list[Path]:
    return [write_evaluation(tmp_path / name, rows(dice), shift=n) for n, (name, dice) in enumerate(DICE.items())]


def test_differences_are_exact_and_in_words(two, tmp_path):
    result = compare(tmp_path / "out", two)
    (pair,) = result["pairs"]
    figures = pair["metrics"]["dice"]
    assert figures["mean"] == pytest.approx(0.03)
    assert (figures["better"], figures["worse"], figures["same"]) == (3, 0, 0)
    assert pair["metrics"]["hd95_px"]["mean"] == pytest.approx(-0.3)
    assert pair["metrics"]["hd95_px"]["better"] == 3
    assert pair["sentence"].startswith("b is better than a by 0.0300 Dice (95 % interval 0.0100 to 0.0600) on 3 cases")
    assert result["warnings"] == []
    assert json.loads((tmp_path / "out/comparison.json").read_text()) == result
    with open(tmp_path / "out/comparison.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["name"] for line in table] == ["case 0", "case 1", "case 2"]
    assert [float(line["dice: b - a"]) for line in table] == pytest.approx([0.02, 0.01, 0.06])
    assert [float(line["hd95_px: a"]) for line in table] == pytest.approx([1, 2, 3])


def test_sentences():
    def said(mean, low, high, n=56, same=0):
        figures = {"n": n, "same": same, "mean": mean, "ci_low": low, "ci_high": high}
        return describe_pair("A", "B", {"dice": figures})

    assert (
        said(0.004, 0.001, 0.007) == "B is better than A by 0.0040 Dice (95 % interval 0.0010 to 0.0070) on 56 cases."
    )
    assert said(-0.004, -0.007, -0.001).startswith("B is worse than A by 0.0040 Dice (95 % interval 0.0010 to 0.0070)")
    assert said(0.001, -0.002, 0.004).startswith(
        "No difference in Dice is shown between B and A (+0.0010, 95 % interval"
    )
    assert said(0.0, 0.0, 0.0, same=56) == "B and A have the same Dice on 56 cases."
    assert said(0.02, None, None, n=1).endswith("on 1 case: one case says nothing about others.")
    assert said(0.004, 0.001, 0.007, n=5).endswith("on 5 cases; so few cases make the interval too narrow.")


def test_only_cases_of_both_with_the_same_references_are_compared(tmp_path):
    one = write_evaluation(tmp_path / "one", rows([0.9, 0.8, 0.7], ["x", "y", "z"]))
    other = write_evaluation(tmp_path / "other", rows([0.9, 0.6, 0.5, 0.4], ["x", "y", "u", "v"]))
    result = compare(tmp_path / "out", [one, other])
    assert result["cases"] == 2
    assert [part["left_out"] for part in result["compared"]] == [1, 2]
    assert [warning[:21] for warning in result["warnings"]] == ["1 of the 3 cases of o", "2 of the 4 cases of o"]

    changed = write_evaluation(tmp_path / "changed", rows([0.9], ["y"]))
    with fails("references-differ"):
        compare(tmp_path / "out", [one, changed])
    with fails("no-common-case"):
        compare(tmp_path / "out", [one, write_table(tmp_path / "third", rows([0.5], ["w"]))])


def test_cases_with_other_references_are_left_out(tmp_path):
    one = write_evaluation(tmp_path / "one", rows([0.9, 0.8], ["x", "y"]))
    other = write_evaluation(tmp_path / "other", rows([0.9, 0.7, 0.6], ["x", "z", "y"]))
    result = compare(tmp_path / "out", [one, other])
    assert result["cases"] == 1
    assert "1 cases are left out, because their images or references are not the same in all (y)." in result["warnings"]


def test_lungs_to_another_extent_are_not_compared(tmp_path):
    one = write_table(tmp_path / "one", rows([0.9, 0.8]))
    full = write_table(tmp_path / "full", rows([0.9, 0.8], extent="full"))
    with fails("references-differ"):
        compare(tmp_path / "out", [one, full])


def test_evaluations_of_earlier_versions_are_compared_without_pictures(tmp_path):
    folders = [write_table(tmp_path / name, rows(dice)) for name, dice in DICE.items()]
    result = compare(tmp_path / "out", folders)
    assert result["pairs"][0]["metrics"]["dice"]["mean"] == pytest.approx(0.03)
    assert "does not say which references it used" in result["warnings"][0]
    page = (tmp_path / "out/index.html").read_text()
    assert "Cases that differ most" not in page
    assert "data:image" not in page


def test_up_to_four_are_compared_with_each_other_and_more_with_the_first(tmp_path):
    folders = [write_table(tmp_path / f"m{n}", rows([0.9, 0.8, 0.7 - n / 50])) for n in range(5)]
    pairs = compare(tmp_path / "out", folders[:3])["pairs"]
    assert [(pair["first"], pair["second"]) for pair in pairs] == [("m0", "m1"), ("m0", "m2"), ("m1", "m2")]
    pairs = compare(tmp_path / "out", folders)["pairs"]
    assert [(pair["first"], pair["second"]) for pair in pairs] == [("m0", f"m{n}") for n in range(1, 5)]


def test_the_folds_of_a_cross_validation_are_one(tmp_path):
    for n in (1, 2):
        write_evaluation(
            tmp_path / f"five/fold-{n}/evaluation", rows([0.9 - n / 10] * 2, [f"{n}a", f"{n}b"]), inputs=str(n)
        )
    (tmp_path / "five/folds.json").write_text("{}")
    (tmp_path / "five/cases.csv").write_text("name\n")
    other = write_table(tmp_path / "other", rows([0.8, 0.7], ["1a", "2b"]))
    result = compare(tmp_path / "out", [tmp_path / "five", other])
    assert result["cases"] == 2
    assert result["pairs"][0]["metrics"]["dice"]["same"] == 2


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        (["shipped", "open"], ["shipped", "open"]),
        (["/r/mine", "/r/yours/evaluation"], ["mine", "yours"]),
        (["/r/one/run", "/r/two/run", "shipped"], ["one/run", "two/run", "shipped"]),
        (["/r/mine", "/r/mine/evaluation"], ["r/mine (1)", "r/mine (2)"]),
        (["/r/best.pt", "/r/mine/model.pt"], ["best", "mine"]),
        (["shipped", "/r/shipped"], ["shipped", "r/shipped"]),
    ],
)
def test_names_are_short_and_told_apart(choices, expected):
    assert short_names(choices) == expected
    with fails("same-twice", UsageError):
        short_names([*choices, choices[0]])


def test_refusals(command, two, run_folder, tmp_path):
    one, other = two
    (tmp_path / "empty").mkdir()
    damaged = write_table(tmp_path / "damaged", [])
    for things, status, said in (
        ([one], 2, "name two evaluations"),
        ([one, one], 2, "given twice"),
        ([one, tmp_path / "empty"], 2, "not an evaluation"),
        ([one, tmp_path / "missing"], 2, "not an evaluation"),
        ([one, run_folder], 2, "tiny has to be measured first"),
        ([one, damaged], 1, "has no case"),
    ):
        refused = command("compare", *things, "-o", tmp_path / "out")
        assert refused.status == status, refused.err
        assert said in refused.sentence
    (other / "cases.csv").write_bytes(b"\xff\xfe")
    assert command("compare", one, other, "-o", tmp_path / "out").status == 1


def test_runs_are_measured_and_go_on(command, run_folder, dataset, tmp_path):
    changed = tmp_path / "other" / "tiny"
    shutil.copytree(run_folder, changed)
    weights = torch.load(changed / "model.pt", weights_only=True)
    generator = torch.Generator().manual_seed(0)
    noisy = {
        name: one + 0.05 * torch.randn(one.shape, generator=generator) if one.is_floating_point() else one
        for name, one in weights.items()
    }
    torch.save(noisy, changed / "model.pt")
    call = ("compare", run_folder, changed, "--data", dataset, "--split", "all", "-o", tmp_path / "out")
    done = command(*call)
    assert done.status == 0, done.err
    names = [f"{run_folder.parent.name}/tiny", "other/tiny"]
    result = json.loads((tmp_path / "out/comparison.json").read_text())
    assert [one["name"] for one in result["compared"]] == names
    assert result["cases"] == 12
    assert result["pairs"][0]["sentence"] in done.out
    # Both saw nine of the twelve.
    assert sum("was trained on 9 of the 12 cases" in warning for warning in result["warnings"]) == 2
    page = (tmp_path / "out/index.html").read_text()
    assert "Cases that differ most" in page
    assert str(tmp_path) not in page
    assert str(run_folder.parent.parent) not in page
    again = command(*call)
    assert again.out.count("12 of 12 cases are finished and kept") == 2
    assert json.loads((tmp_path / "out/comparison.json").read_text()) == result


@needs_browser
def test_the_page_in_a_browser(tmp_path):
    folders = []
    for number, dice in enumerate(([0.9, 0.8, 0.7], [0.5, 0.85, 0.71])):
        folder = tmp_path / f"m{number}"
        folders.append(write_evaluation(folder, rows(dice, ["first", "second", "third"]), shift=6 * number))
    compare(tmp_path / "out", folders)
    browser = Browser(tmp_path / "profile")
    try:
        browser.open((tmp_path / "out/index.html").as_uri())
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        tiles = "return [...document.querySelectorAll('.tile > span:last-child')].map(one => one.textContent)"
        assert browser.run(tiles)[:2] == ["m0: Dice 0.9000", "m1: Dice 0.5000"]
        assert browser.run("return document.querySelectorAll('.tile svg path').length") == 3 * 2 * 2 * 2
        browser.click(".tile")
        title = "return document.querySelector('#viewer .title').textContent"
        assert browser.run(title) == "first"
        browser.press("ArrowRight")
        assert browser.run(title) == "second"
        layers = "return [...document.querySelectorAll('#viewer .layers label')].map(one => one.textContent)"
        assert browser.run(layers) == ["reference", "m0", "m1"]
        browser.press("Escape")
        # The difference in Dice, the smallest first.
        browser.run("document.querySelectorAll('table.sortable th button')[4].click()")
        cells = "return [...document.querySelectorAll('table.sortable tbody tr')].map(row => row.cells[4].textContent)"
        assert browser.run(cells) == ["\N{MINUS SIGN}0.4000", "+0.0100", "+0.0500"]
        browser.click("table.sortable tbody tr:nth-child(2) .open")
        assert browser.run(title) == "third"
        assert browser.errors() == []
    finally:
        browser.close()


def test_hostile_names_are_harmless(tmp_path):
    folders = [write_table(tmp_path / name, rows(dice, [HOSTILE, "=1+1", "c"])) for name, dice in DICE.items()]
    compare(tmp_path / "out", folders)
    page = (tmp_path / "out/index.html").read_text()
    assert "<script>document.title" not in page
    with open(tmp_path / "out/comparison.csv", newline="", errors="surrogateescape") as file:
        assert "'=1+1" in [line["name"] for line in csv.DictReader(file)]
