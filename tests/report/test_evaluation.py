# SPDX-License-Identifier: Apache-2.0
"""The evaluation's files, its handler in a real evaluator, and the learning curves."""

import base64
import csv
import hashlib
import io
import json
import math
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from evaluation_support import HEIGHT, WIDTH, cases, reference_map, write_pictured
from images_support import write_dicom
from PIL import Image

from lungseg.evaluation import EvaluationHandler
from lungseg.evaluation.records import read_cases
from lungseg.io import write_png
from lungseg.report import learning_curves, write_evaluation
from lungseg.report.evaluation import picture_file, pictured_cases
from lungseg.utils.errors import LungsegError, find_lungseg_error


@pytest.fixture
def evaluation(tmp_path):
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    rows, summary = write_pictured(tmp_path / "out", 12, title="Test <lists>", weights=weights)
    return tmp_path / "out", rows, summary


class Page(HTMLParser):
    """Collects what a browser would fetch, the words outside of scripts, and whether all tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.open, self.words = [], [], ""
        self.feed(text)
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag, attrs):
        self.sources += [value for key, value in attrs if key in ("src", "href")]
        if tag not in ("img", "meta", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words += f"{data} "


def read_items(text):
    """Return the cases that the page gives to its viewer."""
    return json.loads(re.search(r'id="items">(.*?)</script>', text, re.DOTALL)[1])


def test_csv_holds_each_case_worst_first(evaluation):
    folder, rows, _ = evaluation
    with open(folder / "cases.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 12
    assert list(table[0])[:4] == ["name", "set", "extent", "file"]
    assert table[0]["name"] == "<MCUCXR_0011>"
    assert table[-1]["name"] == "<MCUCXR_0000>"
    by_name = {row["name"]: row for row in rows}
    for line in table:
        assert float(line["iou_left"]) == pytest.approx(by_name[line["name"]]["iou_left"], rel=1e-5)
        assert bool(line["hd95_mm"]) == ("hd95_mm" in by_name[line["name"]])


@pytest.mark.safety("csv-formula")
def test_names_that_are_formulas_or_turn_the_text_are_harmless(tmp_path, evaluation):
    _, rows, _ = evaluation
    rows = [{**rows[0], "name": "=1+1", "file": "@a.png", "note": "-"}, {**rows[1], "name": "a\u202eb"}]
    write_evaluation(rows, tmp_path, {})
    with open(tmp_path / "cases.csv", newline="", encoding="utf-8") as file:
        lines = {line["name"]: line for line in csv.DictReader(file)}
    assert (lines["'=1+1"]["file"], lines["'=1+1"]["note"]) == ("'@a.png", "'-")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "\u202e" not in page
    assert r"a\u202eb" in page
    assert "Contains patient data" in page


def test_summary_names_the_weights(evaluation):
    folder, _, summary = evaluation
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert summary["weights"] == {"file": "model.pt", "sha256": hashlib.sha256(b"weights").hexdigest()}
    assert summary["overall"]["metrics"]["dice"]["worst_case"] == "<MCUCXR_0011>"
    assert summary["overall"]["metrics"]["hd95_mm"]["n_excluded"] == 6
    assert set(summary["sets"]) == {"montgomery", "other"}


def test_page_is_whole_and_alone(evaluation):
    folder, _, _ = evaluation
    text = (folder / "index.html").read_text()
    page, items = Page(text), read_items(text)
    assert not page.open
    assert len(items) == 12
    (plot,) = page.sources
    for source in (plot, *(item["plain"] for item in items)):
        kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,(.*)", source).groups()
        assert Image.open(io.BytesIO(base64.b64decode(data))).format.lower() == kind
    assert "http" not in text
    assert text.count("Not a medical device") == 1
    assert "Test &lt;lists&gt;" in text
    assert "<MCUCXR" not in text
    assert "diagonal of the image" in text
    # No path of the machine that evaluated.
    assert "folder/" not in text
    assert str(folder.parent) not in text


def test_page_begins_with_one_row_and_pictures_and_has_each_case(evaluation):
    folder, rows, summary = evaluation
    text = (folder / "index.html").read_text()
    words = Page(text).words
    dice = summary["overall"]["metrics"]["dice"]
    first = f"Images 12 all cases Dice {dice['mean']:.4f} {dice['ci_low']:.4f} to {dice['ci_high']:.4f} IoU"
    places = [
        words.index(part) for part in (first, "Worst, median and best cases", "Summary", "All cases", "How it is")
    ]
    assert places == sorted(places)
    assert re.search(r"HD95 \d+\.\d\d px ", words)
    assert len(re.findall(r"<figure data-place", text)) == 4 + 3 + 3
    items = read_items(text)
    assert [item["title"] for item in items] == [row["name"] for row in reversed(rows)]
    assert [part["name"] for part in items[0]["outlines"]] == ["reference", "right lung", "left lung"]
    assert {mark["text"] for mark in items[0]["marks"]} == {"R", "L"}
    figures = dict(items[0]["figures"])
    assert figures["Dice, both lungs"] == f"{rows[-1]['dice']:.4f}"
    assert "Surface Dice, both lungs (2 mm)" in figures


def test_pictures_of_many_cases_lie_beside_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr("lungseg.report.evaluation.MOST_EMBEDDED", 3)
    write_pictured(tmp_path, 4)
    text = (tmp_path / "index.html").read_text()
    links = [unquote(item["plain"]) for item in read_items(text)]
    assert all((tmp_path / link).is_file() for link in links)
    assert "keep it beside this page" in Page(text).words


def test_millimetres_are_shown_where_every_case_has_them(tmp_path):
    rows, _ = write_pictured(tmp_path, 4, spacing=(0.1, 0.1))
    assert all("hd95_mm" in row for row in rows)
    words = Page((tmp_path / "index.html").read_text()).words
    assert re.search(r"HD95 \d\.\d\d mm ", words)
    assert "HD95 (mm) ASSD (mm) Surface Dice Dice, right" in words


def test_page_shows_the_run_and_no_place_of_this_machine(tmp_path):
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    (run / "model.pt").write_bytes(b"weights")
    learning_curves([{"epoch": 1, "loss": 0.9}], run / "curves.png")
    (run / "history.json").write_text("[]")
    network = {"_target_": "monai.networks.nets.UNet", "channels": [4, 8]}
    config = {"network_def": network, "epochs": 7, "init": "/secret/other/model.pt", "dataset_dir": "/secret/data"}
    (run / "config.json").write_text(json.dumps(config))
    write_pictured(tmp_path / "out", 2, weights=run / "model.pt", data="/secret/own pictures")
    text = (tmp_path / "out" / "index.html").read_text()
    page = Page(text)
    assert len(page.sources) == 2
    for part in ("Evaluation, own pictures", "mine/model.pt", "UNet(channels=[4, 8])", "epochs 7", "other/model.pt"):
        assert part in page.words
    assert "secret" not in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 40])
def test_chosen_cases_are_distinct_and_ordered(count):
    rows = [{"name": f"{n:03d}", "dice": n / 40} for n in range(count)] + [{"name": "none", "dice": math.nan}]
    chosen = pictured_cases(rows)
    names = [row["name"] for kind in ("worst", "median", "best") for row in chosen[kind]]
    assert names == sorted(set(names))
    assert "none" not in names
    assert names[0] == "000"
    assert names[-1] == f"{count - 1:03d}"
    assert len(chosen["worst"]) == min(6, max(1, count // 3))


def test_nothing_to_report_is_an_error(tmp_path):
    with pytest.raises(LungsegError) as refused:
        write_evaluation([], tmp_path, {})
    assert refused.value.code == "no-case"
    row = next(cases(1))[0]
    with pytest.raises(LungsegError) as refused:
        write_evaluation([row], tmp_path, {}, weights=tmp_path / "none.pt")
    assert refused.value.code == "weights-unreadable"


class Threshold(torch.nn.Module):
    """Calls what is bright on the left of the picture the right lung, and what is bright on its right the left one."""

    def forward(self, image):
        x = torch.arange(image.shape[2])[:, None] < image.shape[2] // 2
        bright = image > 100
        return torch.cat([~bright, bright & x, bright & ~x], dim=1).float()


@pytest.fixture
def radiographs(tmp_path):
    """Three pairs: perfect, one lung lost, and a reference without sides."""
    folder = tmp_path / "data"
    items = []
    for number, name in enumerate(("MCUCXR_0001_0", "CHNCXR_0002_1", "patient")):
        label = reference_map()
        if number == 2:
            # The lungs touch.
            label[20:24, 26:38] = 1
            label = (label > 0).astype(np.uint8)
        image = np.where(label, 200, 20).astype(np.uint8)
        if number == 1:
            image[:, WIDTH // 2 :] = 0
        write_png(folder / f"{name}.png", image)
        write_png(folder / f"{name}_mask.png", label)
        items.append({"image": str(folder / f"{name}.png"), "label": str(folder / f"{name}_mask.png"), "name": name})
    return items


def evaluator(items, handler, batch_size):
    from monai.data import DataLoader, Dataset
    from monai.engines import SupervisedEvaluator
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

    from lungseg.data import LoadTargetsd, RadiographReader
    from lungseg.transforms import AsRegionsd, LungProbabilitiesd

    transform = Compose(
        [
            LoadImaged("image", reader=RadiographReader()),
            EnsureChannelFirstd("image", channel_dim="no_channel"),
            LoadTargetsd("label"),
        ]
    )
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(items, transform), batch_size=batch_size),
        network=Threshold(),
        postprocessing=Compose([LungProbabilitiesd("pred"), AsRegionsd("pred")]),
        val_handlers=[handler],
    )


@pytest.mark.parametrize("batch_size", [1, 3])
def test_handler_in_an_evaluator(radiographs, tmp_path, batch_size):
    handler = EvaluationHandler(tmp_path / "out", title="Three pairs")
    engine = evaluator(radiographs, handler, batch_size)
    engine.run()
    with open(tmp_path / "out" / "cases.csv", newline="", encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert {name: row["set"] for name, row in rows.items()} == {
        "MCUCXR_0001_0": "montgomery",
        "CHNCXR_0002_1": "shenzhen",
        "patient": "other",
    }
    # Sides are right, so the axes are: MONAI's (W, H) became (H, W) again.
    assert float(rows["MCUCXR_0001_0"]["dice_right"]) == float(rows["MCUCXR_0001_0"]["dice_left"]) == 1
    assert float(rows["CHNCXR_0002_1"]["dice_left"]) == 0
    assert float(rows["CHNCXR_0002_1"]["hd95_left_px"]) == pytest.approx(math.hypot(WIDTH, HEIGHT), rel=1e-5)
    assert rows["CHNCXR_0002_1"]["note"] == "left lung missed"
    assert rows["patient"]["dice"] == "1"
    assert rows["patient"]["dice_right"] == ""
    assert rows["patient"]["file"] == radiographs[2]["image"]
    assert handler.summary["overall"]["metrics"]["dice_right"]["excluded"] == ["patient"]
    labels = np.asarray(Image.open(tmp_path / "out" / "labels" / "MCUCXR_0001_0.png"))
    np.testing.assert_array_equal(labels, reference_map())
    assert Image.open(picture_file(tmp_path / "out", "CHNCXR_0002_1")).size == (WIDTH, HEIGHT)
    before = (tmp_path / "out" / "index.html").read_bytes()
    engine.run()
    assert (tmp_path / "out" / "index.html").read_bytes() == before


def test_handler_uses_a_known_spacing(tmp_path):
    shifted = np.roll(reference_map(), 1, axis=0)
    write_dicom(tmp_path / "x.dcm", np.where(shifted, 200, 20).astype(np.uint8), PixelSpacing=[0.2, 0.3])
    write_png(tmp_path / "mask.png", reference_map())
    items = [{"image": str(tmp_path / "x.dcm"), "label": str(tmp_path / "mask.png"), "name": "x"}]
    evaluator(items, EvaluationHandler(tmp_path / "out"), 1).run()
    row = read_cases(tmp_path / "out")["x"].row
    assert row["hd95_px"] == 1
    assert row["hd95_mm"] == pytest.approx(0.2)


def test_an_evaluation_names_the_file_whose_mask_has_another_shape(radiographs, tmp_path):
    write_png(radiographs[1]["label"], reference_map()[:-16])
    engine = evaluator(radiographs, EvaluationHandler(tmp_path / "out"), 1)
    with pytest.raises(RuntimeError) as caught:
        engine.run()
    error = find_lungseg_error(caught.value)
    assert error.code == "size-mismatch"
    assert error.where.name == "CHNCXR_0002_1_mask.png"


def _report_a_part(rank, address, items, folder):
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    handler = EvaluationHandler(folder)
    # The middle case is in both parts, as where a sampler pads.
    evaluator(items[1:] if rank else items[:2], handler, 1).run()
    assert (handler.summary is None) == (rank == 1)
    dist.destroy_process_group()


@pytest.mark.slow
def test_processes_report_together(radiographs, tmp_path):
    evaluator(radiographs, EvaluationHandler(tmp_path / "one"), 1).run()
    address = f"file://{tmp_path / 'meeting'}"
    torch.multiprocessing.spawn(_report_a_part, (address, radiographs, str(tmp_path / "two")), nprocs=2)
    for name in ("cases.jsonl", "cases.csv", "summary.json", "index.html"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.parametrize(
    "history",
    [
        [{"epoch": 1, "loss": 0.9}],
        [{"epoch": 1, "loss": math.nan, "val_iou": math.nan}, {"epoch": 2, "loss": 0.5, "val_iou": 0.4}],
        [
            {"epoch": e, "loss": 1 / e} | ({"val_mean_iou": 1 - 0.5 / e, "val_x": [0, 1]} if e % 2 else {})
            for e in range(1, 9)
        ],
    ],
)
def test_learning_curves(history, tmp_path):
    learning_curves(history, tmp_path / "curves.png")
    picture = np.asarray(Image.open(tmp_path / "curves.png").convert("L"))
    assert picture.shape[1] > 1000
    assert picture.std() > 5


def test_no_epoch_no_curves(tmp_path):
    with pytest.raises(LungsegError) as refused:
        learning_curves([], tmp_path / "curves.png")
    assert refused.value.code == "no-epoch"
