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

import numpy as np
import pytest
import torch
from PIL import Image

from lungseg.data.labels import NOT_STATED
from lungseg.evaluation import EvaluationHandler
from lungseg.io import write_png
from lungseg.metrics.agreement import case_metrics
from lungseg.report import learning_curves, write_evaluation
from lungseg.report.evaluation import pictured_cases
from lungseg.transforms.regions import VISIBLE
from lungseg.utils.errors import LungsegError, find_lungseg_error

HEIGHT, WIDTH = 48, 64


def reference_map():
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[8:40, 8:26] = 1
    labels[10:36, 38:56] = 2
    return labels


def cases(count):
    """Cases that are the worse the higher their number."""
    reference = reference_map()
    for number in range(count):
        pred = np.roll(reference, number, axis=0)
        spacing = (0.1, 0.1) if number % 2 else None
        name = f"<MCUCXR_{number:04d}>"
        row = {"name": name, "set": "montgomery" if number % 2 else "other", "file": f"folder/{name}.png"}
        yield row | case_metrics(pred, reference, spacing), pred, reference


@pytest.fixture
def evaluation(tmp_path):
    stored = {row["name"]: (row, pred, reference) for row, pred, reference in cases(12)}
    image = np.linspace(0, 4095, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    asked = []

    def load_case(row):
        asked.append(row["name"])
        return image, *stored[row["name"]][1:]

    rows = [row for row, *_ in stored.values()]
    summary = write_evaluation(rows, tmp_path / "out", load_case, title="Test <lists>", weights=weights)
    return tmp_path / "out", rows, summary, asked


class Page(HTMLParser):
    """Collects what a browser would fetch, and whether all tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.sources += [value for key, value in attrs if key in ("src", "href")]
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_csv_holds_each_case_worst_first(evaluation):
    folder, rows, *_ = evaluation
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
    _, rows, *_ = evaluation
    rows = [{**rows[0], "name": "=1+1", "file": "@a.png", "note": "-"}, {**rows[1], "name": "a\u202eb"}]
    pixels = np.zeros((8, 8), np.uint8)
    write_evaluation(rows, tmp_path, lambda row: (pixels, pixels, pixels))
    with open(tmp_path / "cases.csv", newline="", encoding="utf-8") as file:
        lines = {line["name"]: line for line in csv.DictReader(file)}
    assert (lines["'=1+1"]["file"], lines["'=1+1"]["note"]) == ("'@a.png", "'-")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "\u202e" not in page
    assert r"a\u202eb" in page
    assert "Contains patient data" in page


def test_summary_names_the_weights(evaluation):
    folder, _, summary, _ = evaluation
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert summary["weights"] == {"file": "model.pt", "sha256": hashlib.sha256(b"weights").hexdigest()}
    assert summary["overall"]["metrics"]["dice"]["worst_case"] == "<MCUCXR_0011>"
    assert summary["overall"]["metrics"]["hd95_mm"]["n_excluded"] == 6
    assert set(summary["sets"]) == {"montgomery", "other"}


def test_page_is_whole_and_alone(evaluation):
    folder, _, _, asked = evaluation
    text = (folder / "index.html").read_text()
    page = Page(text)
    assert not page.open
    assert len(page.sources) == 1 + len(asked)
    for source in page.sources:
        kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,(.*)", source).groups()
        assert Image.open(io.BytesIO(base64.b64decode(data))).format.lower() == kind
    assert "http" not in text
    assert text.count("Not a medical device") == 1
    assert "Test &lt;lists&gt;" in text
    assert "<MCUCXR" not in text
    assert "diagonal of the image" in text
    # No path of the machine that evaluated.
    assert "folder/" not in text


def test_pictures_are_those_of_the_chosen_cases(evaluation):
    folder, _, _, asked = evaluation
    pictures = sorted(path.name for path in (folder / "pictures").iterdir())
    assert len(pictures) == len(asked) == len(set(asked)) == 4 + 3 + 3
    assert pictures[-4:] == [f"worst_{n}__MCUCXR_{12 - n:04d}_.png" for n in (1, 2, 3, 4)]
    assert Image.open(folder / "pictures" / pictures[0]).size == (WIDTH, HEIGHT)


def test_an_evaluation_replaces_its_own_pictures_alone(tmp_path):
    row, pred, reference = next(cases(1))
    for name in ("worst_1_old.png", "holiday.png"):
        write_png(tmp_path / "pictures" / name, pred)
    write_evaluation([row], tmp_path, lambda _: (pred, pred, reference))
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["holiday.png", "worst_1__MCUCXR_0000_.png"]


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


def test_tables_stay_when_a_picture_fails(tmp_path):
    def load_case(row):
        raise LungsegError("there is no such file", row["file"], code="test")

    with pytest.raises(LungsegError):
        write_evaluation([row for row, *_ in cases(3)], tmp_path, load_case)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases.csv", "distribution.png", "summary.json"]


def test_nothing_to_report_is_an_error(tmp_path):
    with pytest.raises(LungsegError) as refused:
        write_evaluation([], tmp_path, None)
    assert refused.value.code == "no-case"
    row = next(cases(1))[0]
    with pytest.raises(LungsegError) as refused:
        write_evaluation([row], tmp_path, None, weights=tmp_path / "none.pt")
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
    assert Image.open(next((tmp_path / "out" / "pictures").glob("worst_1_CHN*"))).size == (WIDTH, HEIGHT)
    before = (tmp_path / "out" / "index.html").read_bytes()
    engine.run()
    assert (tmp_path / "out" / "index.html").read_bytes() == before


def test_handler_uses_a_known_spacing(tmp_path):
    from types import SimpleNamespace

    from monai.data import MetaTensor

    labels = torch.from_numpy(reference_map().T.copy())[None]
    meta = {"filename_or_obj": "x.dcm", "spacing": torch.tensor([0.2, 0.3], dtype=torch.float64)}
    item = {"image": MetaTensor(labels.float(), meta=meta)}
    silent = torch.full_like(labels, NOT_STATED)
    regions = torch.where(labels > 0, labels | VISIBLE, 0)
    output = {"pred": torch.roll(regions, 1, dims=2), "label": torch.cat([labels, silent, silent])}
    handler = EvaluationHandler(tmp_path)
    handler._measure(SimpleNamespace(state=SimpleNamespace(batch=[item], output=[output])))
    row = handler._cases["x"][0]
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


def _report_a_part(rank, address, parts, folder):
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    handler = EvaluationHandler(folder)
    handler._cases = parts[rank]
    handler._write(None)
    assert (handler.summary is None) == (rank == 1)
    dist.destroy_process_group()


@pytest.mark.slow
def test_processes_report_together(radiographs, tmp_path):
    handler = EvaluationHandler(tmp_path / "one")
    evaluator(radiographs, handler, 1).run()
    # The middle case is in both parts, as where a sampler pads.
    cases = list(handler._cases.items())
    parts = [dict(cases[1:]), dict(cases[:2])]
    address = f"file://{tmp_path / 'meeting'}"
    torch.multiprocessing.spawn(_report_a_part, (address, parts, str(tmp_path / "two")), nprocs=2)
    for name in ("cases.csv", "summary.json", "index.html"):
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
