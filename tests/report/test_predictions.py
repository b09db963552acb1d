# SPDX-License-Identifier: Apache-2.0
"""The views of predict's results: `report.csv`, `report.json`, and `report.html` as a parser and a browser see it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image
from report_support import HOSTILE, RUN, SHOWN, failure, row, thumbnail

import lungseg
from lungseg.inference.predict import predict
from lungseg.report.gallery import MOST_EMBEDDED, gallery_context
from lungseg.report.histogram import histogram
from lungseg.report.page import page_parts
from lungseg.report.predictions import reporting, write_reports
from lungseg.utils.errors import LungsegError
from lungseg.utils.text import restore_cell


class Page(HTMLParser):
    """The page taken apart: the elements with their attributes, and the rows that the script makes cards of."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(self.text)
        assert not self.open
        (data,) = (attrs for attrs in self.attributes("script") if attrs.get("id") == "rows")
        self.columns = data["data-columns"].split()
        cards = json.loads(re.search(r'id="rows">(.*?)</script>', self.text, re.DOTALL)[1])
        self.rows = [card | dict(zip(self.columns, card.pop("cells"), strict=True)) for card in cards]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def attributes(self, tag: str) -> list[dict]:
        return [attrs for kind, attrs in self.elements if kind == tag]

    @property
    def bars(self) -> list[dict]:
        return [attrs for attrs in self.attributes("g") if attrs.get("class") == "bar"]


@pytest.fixture(scope="module")
def results(dataset, run_folder, tmp_path_factory) -> Path:
    """What predict wrote of twelve phantoms and an empty file."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(dataset / "CXR_png", folder / "in")
    (folder / "in" / "empty.png").touch()
    predict([folder / "in"], folder / "out", run_folder, "cpu", command=["lungseg", "predict"])
    return folder / "out"


@pytest.fixture(scope="module")
def csv_rows(results) -> list[dict]:
    with (results / "report.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_manifest_says_how_the_results_were_made(results, run_folder):
    manifest = json.loads((results / "report.json").read_text())
    assert manifest["lungseg"] == lungseg.__version__
    weights = run_folder / "model.pt"
    assert manifest["weights"] == {"file": str(weights), "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    assert manifest["device"] == "cpu"
    assert manifest["command"] == ["lungseg", "predict"]
    assert manifest["versions"]["numpy"] == np.__version__
    assert {"python", "torch", "monai", "pydicom"} <= set(manifest["versions"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", manifest["started"])
    assert manifest["seconds"] > 0
    assert "stopped" not in manifest


def test_the_manifest_has_each_file_of_the_table(results, csv_rows):
    manifest = json.loads((results / "report.json").read_text())
    assert len(manifest["files"]) == len(csv_rows) == manifest["count"]["files"] == 13
    assert manifest["count"]["failed"] == 1
    for line, entry in zip(csv_rows, manifest["files"], strict=True):
        assert list(line) == list(entry)
        entry |= {kind: " ".join(entry[kind]) for kind in ("doubts", "notes")}
        assert line == {key: "" if value is None else str(value) for key, value in entry.items()}
        assert entry["status"] == "failed" or entry["seconds"] > 0


def test_the_table_measures_the_label_maps(results, csv_rows):
    for line in csv_rows:
        if line["status"] != "failed":
            with Image.open(results / "labels" / f"{line['name']}.png") as picture:
                labels = np.asarray(picture)
            assert (int(line["image_height"]), int(line["image_width"])) == labels.shape
            assert int(line["right_px"]) == np.count_nonzero(labels == 1)
            rows, columns = np.nonzero(labels == 1)
            box = [int(line[f"right_{key}"]) for key in "xywh"] if rows.size else []
            assert box == ([columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1] if rows.size else [])


def test_every_column_is_documented(csv_rows):
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    assert [column for column in csv_rows[0] if f"| `{column}`" not in page and f", `{column}`" not in page] == []


def test_the_page_shows_each_file_with_its_picture(results, csv_rows):
    page = Page(results / "report.html")
    assert {card["title"]: card["status"] for card in page.rows} == {
        Path(line["file"]).name: line["status"] for line in csv_rows
    }
    for card in page.rows:
        if card["status"] == "failed":
            assert card["reason"] == "the file is empty; copy or export it again."
            assert "picture" not in card
            continue
        with Image.open(io.BytesIO(base64.b64decode(card["picture"]))) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "L", (96, 72))
        assert (card["drawing"]["width"], card["drawing"]["height"]) == (1000, 750)
        assert card["drawing"]["marks"].keys() <= {"R", "L"}
        assert (results / os.fsdecode(unquote_to_bytes(card["overlay"]))).is_file()


def test_the_page_needs_no_other_file(results):
    page = Page(results / "report.html")
    links = [attrs[key] for _, attrs in page.elements for key in ("src", "href") if key in attrs]
    assert links == ["#controls"]
    assert "http" not in page.text
    assert page.text.count("Not a medical device") == 1


def test_a_second_run_that_skips_everything_leaves_the_same_page(results, run_folder):
    before = Page(results / "report.html").rows
    rows = predict([results.parent / "in"], results, run_folder, "cpu")
    assert len(rows) == 13
    assert Page(results / "report.html").rows == before


@pytest.mark.safety("stopped-run")
def test_a_run_that_is_interrupted_reports_what_it_did(dataset, run_folder, tmp_path, monkeypatch):
    # So few files are handed out ahead that some are left, however fast the worker is.
    monkeypatch.setattr("lungseg.utils.parallel._AHEAD", 2)

    def done(index, total, row):
        if index == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict([dataset / "CXR_png"], tmp_path, run_folder, "cpu", on_result=done, workers=1)
    manifest = json.loads((tmp_path / "report.json").read_text())
    assert manifest["stopped"] == "interrupted"
    with (tmp_path / "report.csv").open(newline="", encoding="utf-8") as file:
        names = [line["name"] for line in csv.DictReader(file)]
    assert 3 <= len(names) < 12
    assert [entry["name"] for entry in manifest["files"]] == names
    page = Page(tmp_path / "report.html")
    assert len(page.rows) == len(names)
    assert "not finished: interrupted" in page.text


def test_an_error_is_recorded_and_goes_on(tmp_path):
    rows = [row(1)]

    def work():
        with reporting(tmp_path, rows, RUN):
            rows.append(row(2))
            raise LungsegError("there is no room left", tmp_path, "free some", code="test")

    with pytest.raises(LungsegError) as stopped:
        work()
    assert stopped.value.code == "test"
    manifest = json.loads((tmp_path / "report.json").read_text())
    assert manifest["stopped"] == f"{tmp_path}: there is no room left; free some."
    assert len(manifest["files"]) == 2


def test_a_report_that_cannot_be_written_does_not_hide_why_the_run_stopped(tmp_path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(KeyboardInterrupt), reporting(tmp_path, [], RUN):
        raise KeyboardInterrupt
    with pytest.raises(LungsegError), reporting(tmp_path, [], RUN):
        pass


def test_worst_quality_comes_first_and_failures_last(tmp_path):
    rows = [
        failure(0),
        row(1, quality=0.97),
        row(2, quality=0.41, status="flagged", doubts="low-quality"),
        row(3),
        row(4, status="flagged", doubts="no-lung"),
        row(5, quality=0.88),
        row(6, status="flagged", doubts="lateral unusual-shape", notes="tilted"),
    ]
    write_reports(tmp_path, rows, RUN)
    order = [int(card["title"][5:8]) for card in Page(tmp_path / "report.html").rows]
    assert order == [6, 4, 2, 5, 1, 3, 0]


@pytest.mark.safety("hidden-characters")
def test_hostile_names_are_shown_and_not_obeyed(tmp_path):
    rows = [row(1, file=f"in/{HOSTILE}.png", name=HOSTILE, status="flagged", doubts="no-lung", reason="<b>no"), row(2)]
    for folder in ("thumbnails", "overlays"):
        (tmp_path / folder / HOSTILE).parent.mkdir(parents=True)
    thumbnail(tmp_path, HOSTILE)
    (tmp_path / "overlays" / f"{HOSTILE}.png").touch()
    run = {**RUN, "stopped": HOSTILE}
    write_reports(tmp_path, rows, run)
    page = Page(tmp_path / "report.html")
    assert page.rows[0]["title"] == f"{SHOWN}.png"
    assert page.rows[0]["name"] == SHOWN
    assert os.fsdecode(unquote_to_bytes(page.rows[0]["overlay"])) == f"overlays/{HOSTILE}.png"
    assert page.rows[0]["picture"]
    assert len(page.attributes("script")) == 2
    assert "<b>" not in page.text
    assert "\u202e" not in page.text
    assert json.loads((tmp_path / "report.json").read_text())["files"][0]["name"] == HOSTILE


@pytest.mark.safety("csv-formula")
def test_names_that_are_formulas_are_texts_in_the_table(tmp_path):
    formulas = ['=HYPERLINK("http:,evil","x").png', "@SUM(1+1).png", "+a.png", "-b.png"]
    rows = [
        row(number, file=name, name=name, reason=name, left_right_ratio=-1.5) for number, name in enumerate(formulas)
    ]
    write_reports(tmp_path, rows, RUN)
    with (tmp_path / "report.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for column in ("file", "name", "reason"):
        assert [line[column] for line in lines] == [f"'{name}" for name in formulas]
        assert [restore_cell(line[column]) for line in lines] == formulas
    assert {line["left_right_ratio"] for line in lines} == {"-1.5"}


@pytest.mark.safety("shared-reports")
def test_reports_say_that_they_hold_patient_data(tmp_path):
    write_reports(tmp_path, [row(1)], RUN)
    notice = json.loads((tmp_path / "report.json").read_text())["notice"]
    assert notice.startswith("Contains patient data")
    assert notice in Page(tmp_path / "report.html").text


@pytest.mark.parametrize("rows", [[], [failure(1)], [row(1)]], ids=["none", "failed", "one"])
def test_pages_of_few_files(rows, tmp_path):
    write_reports(tmp_path, rows, RUN)
    page = Page(tmp_path / "report.html")
    assert len(page.rows) == len(rows)
    assert len(page.bars) == (2 if rows and rows[0].status == "ok" else 0)
    assert "weights model.pt (SHA-256 555555555555…)" in page.text


def test_the_page_has_every_column_that_is_not_empty(tmp_path):
    write_reports(tmp_path, [row(1, quality=0.9), failure(2)], RUN)
    page = Page(tmp_path / "report.html")
    assert page.columns == [
        *("file", "status", "reason", "name", "image_width", "image_height", "right_px", "left_px", "lungs_px"),
        *("left_right_ratio", "quality"),
    ]
    with (tmp_path / "report.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for line, shown in zip(lines, page.rows, strict=True):
        shown["file"] = f"in/{shown['file']}"
        shown["reason"] = shown["reason"] and f"{shown['file']}: {shown['reason']}"
        assert {name: "" if shown[name] is None else str(shown[name]) for name in page.columns} == {
            name: line[name] for name in page.columns
        }
        assert {value for name, value in line.items() if name not in page.columns} == {""}


def test_the_page_of_many_radiographs_links_to_their_pictures(tmp_path):
    rows = [row(number) for number in range(MOST_EMBEDDED)] + [row(7000, name=HOSTILE)]
    for name in (rows[0].name, HOSTILE):
        (tmp_path / "thumbnails" / name).parent.mkdir(parents=True, exist_ok=True)
        thumbnail(tmp_path, name)
    write_reports(tmp_path, rows[:-1], RUN)
    embedded = Page(tmp_path / "report.html")
    assert [card.keys() & {"picture", "thumbnail"} for card in embedded.rows][:2] == [{"picture"}, set()]
    assert "beside this page" not in embedded.text
    write_reports(tmp_path, rows, RUN)
    linked = Page(tmp_path / "report.html")
    links = {os.fsdecode(unquote_to_bytes(card["thumbnail"])) for card in linked.rows if "thumbnail" in card}
    assert links == {f"thumbnails/{name}.jpg" for name in (rows[0].name, HOSTILE)}
    assert not [card for card in linked.rows if "picture" in card]
    assert "beside this page" in linked.text


@pytest.mark.parametrize(
    ("files", "titles"),
    [
        (["/srv/hospital/ward 1/a.png", "/srv/hospital/ward 2/a.png"], ["ward 1/a.png", "ward 2/a.png"]),
        (["/srv/hospital/a.png", "/mnt/disk/b.png"], ["hospital/a.png", "disk/b.png"]),
        (["/a.png", "/srv/b.png"], ["a.png", "srv/b.png"]),
        (["in/a.png", "../b.png"], None),
    ],
)
def test_the_page_has_no_path_of_the_machine(tmp_path, monkeypatch, files, titles):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    rows = [row(number, file=file, name=f"{number}") for number, file in enumerate(files)]
    failed = os.path.dirname(files[0]) + "/c.png"
    reasons = [f"{failed}: {tmp_path / 'out'}/masks/c.png: it cannot be written.", f"{failed}: see {failed}."]
    rows += [failure(number) for number in range(2)]
    rows[-2:] = [replace(one, file=failed, reason=why) for one, why in zip(rows[-2:], reasons, strict=True)]
    write_reports(tmp_path / "out", rows, {**RUN, "stopped": f"{tmp_path / 'out'}/report.csv: the disk is full."})
    page = Page(tmp_path / "out" / "report.html")
    assert str(tmp_path) not in page.text
    assert "/srv/" not in page.text
    assert {card["file"] for card in page.rows} == {card["title"] for card in page.rows}
    if titles:
        assert [card["title"] for card in sorted(page.rows[:2], key=lambda card: card["name"])] == titles
    (reason,) = {card["reason"] for card in page.rows if "cannot be written" in (card["reason"] or "")}
    assert reason in ("masks/c.png: it cannot be written.", "out/masks/c.png: it cannot be written.")
    with (tmp_path / "out" / "report.csv").open(newline="", encoding="utf-8") as file:
        assert {line["file"] for line in csv.DictReader(file)} == {*files, failed}


def test_the_page_says_once_which_kinds_of_output_were_not_written(tmp_path):
    no_seg, no_crop = "dicom-seg was not written: this is not a DICOM file", "crop was not written: no lung was found"
    rows = [row(number, reason=no_seg) for number in range(30)]
    rows += [row(30, status="flagged", doubts="no-lung", reason=f"no lung was found; {no_seg}; {no_crop}")]
    write_reports(tmp_path, [*rows, failure(31)], RUN)
    page = Page(tmp_path / "report.html")
    assert page.text.count("dicom-seg was not written for 31 radiographs: this is not a DICOM file.") == 1
    assert page.text.count("crop was not written for 1 radiograph: no lung was found.") == 1
    assert [card["brief"] for card in page.rows[:-1]] == ["no lung was found", *[""] * 30]
    assert "brief" not in page.rows[-1]


def test_pictures_of_earlier_versions_are_not_drawn_on_twice(tmp_path):
    thumbnail(tmp_path, "film 001")
    file = tmp_path / "thumbnails" / "film 001.jpg"
    with Image.open(file) as picture:
        picture.convert("RGB").save(file, comment=b"")
    write_reports(tmp_path, [row(1)], RUN)
    (card,) = Page(tmp_path / "report.html").rows
    assert card["picture"]
    assert "drawing" not in card


def test_areas_are_compared_in_one_unit(tmp_path):
    metric = {"right_mm2": 12000.0, "left_mm2": 10000.0, "lungs_mm2": 22000.0}
    write_reports(tmp_path, [row(1, **metric, spacing_kind="patient"), row(2)], RUN)
    page = Page(tmp_path / "report.html")
    assert "Area of both lungs, % of the picture" in page.text
    assert [card["area"] for card in page.rows] == [23.762, 23.775]
    assert [card["sizes"][0] for card in page.rows] == ["R 120 · L 100 cm²", "R 12.5 · L 11.2 %"]
    write_reports(tmp_path, [row(1, **metric, spacing_kind="detector")], RUN)
    page = Page(tmp_path / "report.html")
    assert "Area of both lungs, cm² at the detector" in page.text
    assert page.rows[0]["area"] == 220
    assert page.rows[0]["sizes"] == ["R 120 · L 100 cm²", "at the detector", "L/R 0.90"]


def test_pages_are_written_piece_by_piece(tmp_path, monkeypatch):
    """Ten thousand radiographs have eighty megabytes of pictures: they are read one at a time."""
    rows = [row(number) for number in range(50)]
    for each in rows:
        thumbnail(tmp_path, each.name)
    read, ahead, contents = Path.read_bytes, [], []
    monkeypatch.setattr(Path, "read_bytes", lambda path: contents.append(read(path)) or contents[-1])
    written = 0
    for part in page_parts("gallery.html", **gallery_context(rows, RUN, tmp_path)):
        written += part.count('"picture":')
        ahead.append(len(contents) - written)
    assert len(contents) == written == 50
    assert max(ahead) <= 1


@pytest.mark.parametrize(
    "values",
    [
        [0.95],
        [0.9] * 7,
        [0.0, 0.0],
        [0.1 * number for number in range(40)],
        [0.93, 0.94, 0.95, 0.96, 0.97, 0.1, 0.98, 0.92],
        np.random.default_rng(0).normal(0.9, 0.1, 500).round(3).tolist(),
        np.random.default_rng(0).lognormal(6, 2, 500).round(1).tolist(),
    ],
)
def test_bars_count_what_a_click_on_them_shows(values):
    bars = histogram("Value <1>", "value", {"ok": values[1:], "flagged": values[:1]}).bars
    assert len(bars) <= 2 * 24
    labels = [sum(int(count) for count in re.findall(r"(\d+) (?:ok|flagged)", bar.label)) for bar in bars]
    shown = [sum(bar.low <= value < bar.high for value in values) for bar in bars]
    assert labels == shown
    assert sum(labels) == len(values)


def test_an_axis_says_how_far_its_outer_bars_reach():
    usual = [0.96, 0.97, 0.975, 0.98, 0.97, 0.96, 0.98]
    assert not [text for text in histogram("Value", "value", {"ok": usual}).texts if "…" in text.text]
    chart = histogram("Value", "value", {"ok": usual, "flagged": [0.0]})
    (reach,) = (text for text in chart.texts if "…" in text.text)
    assert reach.anchor == "start"
    assert re.fullmatch(r"0\.0+ …", reach.text)


def test_the_bars_of_the_page_have_the_ranges_of_the_histogram(tmp_path):
    values = [0.5, 0.9, 0.91, 0.97, 0.98]
    write_reports(tmp_path, [row(number, quality=value) for number, value in enumerate(values)], RUN)
    page = Page(tmp_path / "report.html")
    bars = [bar for bar in page.bars if bar["data-key"] == "quality"]
    expected = histogram("Quality: estimated Dice", "quality", {"ok": values}).bars
    assert [(float(bar["data-low"]), float(bar["data-high"]), bar["aria-label"]) for bar in bars] == [
        (bar.low, bar.high, bar.label) for bar in expected
    ]
