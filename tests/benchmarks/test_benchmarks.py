# SPDX-License-Identifier: Apache-2.0
"""The benchmarks' tables, log and numbers; that they measure what they say is shown by running them."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from subprocess import CalledProcessError

import numpy as np
import pytest
from browser_support import needs_browser
from data_support import kaggle
from PIL import Image

from benchmarks import (
    ablations,
    accuracy,
    annotation,
    deploy,
    field,
    fine_tuning,
    floor,
    frames,
    hostile,
    judgement,
    memory,
    orientation,
    peers,
    pictures,
    predict,
    ray_scaling,
    record,
    report_page,
    robustness,
    sources,
    start,
    training,
    training_memory,
    windows,
)
from benchmarks.accuracy_tables import PUBLISHED, tables
from benchmarks.shapes import original_sizes, shapes
from benchmarks.tables import NOT_MEASURED, markdown_table, rewrite_tables, table_names
from lungseg.data import frozen_splits
from lungseg.model.paths import config_file
from lungseg.utils.errors import LungsegError

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = """# Title
What is between `<!-- table: … -->` and `<!-- end -->` is not written by hand.
<!-- table: one -->
old, by hand
<!-- end -->
Between | pipes.
<!-- table: two -->
<!-- end -->
After.
"""
METRIC_VALUES = {"mean": 0.98, "ci_low": 0.97, "ci_high": 0.99, "median": 0.985, "worst": 0.7, "worst_case": "x"}


def entry(section: str = "test", trained_on: str = "both", name: str = "montgomery", **more) -> dict:
    overlap = METRIC_VALUES | {"n": 28, "p5": 0.9}
    distance = METRIC_VALUES | {"n": 28, "p95": 9.0}
    metrics = dict.fromkeys(("dice", "iou", "dice_right", "dice_left"), overlap)
    metrics |= dict.fromkeys(("hd95_px", "assd_px"), distance)
    return {
        "section": section,
        "trained_on": trained_on,
        "set": name,
        "date": "2025-01-31",
        "weights_sha256": "ab" * 32,
        "n": 28,
        "metrics": metrics,
        "low": [],
    } | more


def test_a_table_replaces_what_is_between_its_markers_and_nothing_else():
    once = rewrite_tables(DOCUMENT, {"one": "| a |\n| --- |", "unknown": "x"})
    assert once == DOCUMENT.replace("\nold, by hand\n", "\n\n| a |\n| --- |\n\n")
    assert rewrite_tables(once, {"one": "| a |\n| --- |"}) == once
    assert rewrite_tables(once, {"one": r"\1 \g<0>"}).count(r"\1 \g<0>") == 1


def test_rewriting_nothing_changes_nothing():
    assert rewrite_tables(DOCUMENT, {}) == DOCUMENT
    assert table_names(DOCUMENT) == ["one", "two"]


@pytest.mark.parametrize(
    "text",
    [
        "<!-- table: one -->\n",
        "<!-- end -->\n",
        "<!-- table: one -->\n<!-- table: two -->\n<!-- end -->\n<!-- end -->\n",
    ],
)
def test_markers_without_partner_are_refused(text):
    with pytest.raises(LungsegError, match="do not come in pairs"):
        rewrite_tables(text, {"one": "x"})


def test_numbers_are_aligned_to_the_right():
    assert markdown_table(["name", "n"], [["a", "1"]]) == "| name | n |\n| --- | ---: |\n| a | 1 |"


def test_variants_leave_out_what_their_names_say():
    told = {name: json.dumps(overrides) for name, overrides in ablations.variants().items()}
    shipped = config_file("train").read_text("utf-8")
    for name, transform in (("no mirroring", "RandMirrord"), ("no opacities and gas", "RandSimulateOpacityd")):
        assert transform in shipped
        assert transform not in told[name]
        assert "RandBiasFieldd" in told[name]
    assert "RandAdjustContrastd" in told["plain augmentation"]
    assert "RandBiasFieldd" not in told["plain augmentation"]


def test_every_marked_table_has_a_script():
    modules = (
        sources,
        ablations,
        windows,
        training,
        training_memory,
        fine_tuning,
        predict,
        floor,
        start,
        memory,
        peers,
        ray_scaling,
        report_page,
        robustness,
        orientation,
        frames,
        judgement,
        annotation,
        deploy,
        field,
        hostile,
    )
    known = set(tables([], {})) | {name for module in modules for name in module.tables(None)}
    for document in (ROOT / name for name in record.DOCUMENTS):
        if document.is_file():
            assert set(table_names(document.read_text("utf-8"))) <= known, document
    assert set(table_names((ROOT / "benchmarks/README.md").read_text("utf-8"))) == known


def test_copies_of_a_radiograph_and_of_its_labels_go_together():
    pixels = np.arange(1200, dtype=np.float32).reshape(30, 40)
    labels = (pixels > 700).astype(np.uint8)
    for (turns, inverted), change in orientation.COPIES.values():
        changed, moved = change(pixels, True), change(labels, False)
        assert changed.shape == moved.shape
        upright = np.rot90(1199 - changed if inverted else changed, -turns)
        rows, columns = ((has - had) // 2 for has, had in zip(upright.shape, pixels.shape, strict=True))
        inside = np.s_[rows : rows + 30, columns : columns + 40]
        assert np.array_equal(upright[inside], pixels)
        assert np.array_equal(np.rot90(moved, -turns)[inside], labels)
        assert moved.sum() == labels.sum()


def test_the_table_of_copies_counts_changes_beyond_the_limit():
    copy = {"source": "hearts", "name": "a", "copy": "inverted", "dice": 0.9, "right": True}
    numbers = {"section": "test", "weights_sha256": "ab" * 32}
    numbers["copies"] = [copy | {"copy": name, "change": change} for name in orientation.COPIES for change in (0, -0.2)]
    assert "| hearts | inverted | 2 | 2 | 1 | -0.200 |" in orientation.tables(numbers)["orientation"]


@pytest.mark.parametrize(
    "name",
    [
        "accuracy",
        "windows",
        "training",
        "training_memory",
        "fine_tuning",
        "predict",
        "ray_scaling",
        "peers",
        "start",
        "memory",
        "orientation",
        "deploy",
        "report_page",
    ],
)
def test_every_script_tells_its_options(name, capsys):
    with pytest.raises(SystemExit) as stop:
        import_module(f"benchmarks.{name}").main(["--help"])
    assert stop.value.code == 0
    assert f"python -m benchmarks.{name}" in capsys.readouterr().out


def test_the_log_gets_a_line_each_time(tmp_path):
    log = tmp_path / "docs" / "log.md"
    accuracy.append_to_log(log, entry())
    accuracy.append_to_log(log, entry(name="shenzhen"))
    head, lines = log.read_text()[: len(accuracy.LOG_HEAD)], log.read_text()[len(accuracy.LOG_HEAD) :].splitlines()
    assert head == accuracy.LOG_HEAD
    assert lines == [
        "- 2025-01-31: weights abababababab (trained on both), test list of montgomery, 28 images: mean Dice 0.9800",
        "- 2025-01-31: weights abababababab (trained on both), test list of shenzhen, 28 images: mean Dice 0.9800",
    ]


def test_a_later_evaluation_replaces_an_earlier_one_in_the_numbers_kept():
    entries = accuracy.with_entry([entry(), entry(name="shenzhen")], entry(n=27))
    assert [(one["set"], one["n"]) for one in entries] == [("montgomery", 27), ("shenzhen", 28)]


def test_tables_show_what_is_known_and_leave_the_rest_empty():
    low = [{"name": "MCUCXR_0001_0", "dice": 0.71}, {"name": "MCUCXR_0002_0", "dice": 0.79}]
    found = tables([entry(low=low), entry(trained_on="montgomery", name="shenzhen")], {"MCUCXR_0002_0": "why"})
    assert "| Montgomery | Dice, both lungs | 28 | 0.9800 | 0.9700 to 0.9900 | 0.9850 | 0.9000 | 0.7000 |" in (
        found["accuracy"].splitlines()
    )
    assert found["accuracy-validation"] == NOT_MEASURED
    cross = found["cross-hospital"].splitlines()[2:]
    assert len(cross) == len(PUBLISHED)
    assert cross[0] == "| Montgomery | Shenzhen | 28 | 0.9800 | 0.9700 to 0.9900 | 0.9800 | 0.98 | 0.942 |"
    assert cross[1] == "| Shenzhen | Montgomery |  |  |  |  |  | 0.963 |"
    assert found["low-dice"].splitlines()[2:] == ["| MCUCXR_0001_0 | 0.7100 |  |", "| MCUCXR_0002_0 | 0.7900 | why |"]
    assert tables([entry()], {})["low-dice"] == "No test image is under Dice 0.80."


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """A repository with documents, metadata and nothing measured."""
    for name in ("README.md", "bundle/configs/metadata.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "README.md").write_text("<!-- table: low-dice -->\n<!-- end -->\n")
    (tmp_path / "bundle/configs/metadata.json").write_text((ROOT / "bundle/configs/metadata.json").read_text())
    monkeypatch.setattr(record, "ROOT", tmp_path)
    return tmp_path


def test_accuracy_measures_logs_and_publishes(tree, dataset, run_folder, monkeypatch):
    # The phantoms belong to no public set, so that no table shows them.
    weights = ["--trained-on", f"both={run_folder}"]
    settings = ["--data", str(dataset), "--datasets", "other", *weights, "--date", "2025-01-31"]
    settings += ["--output", str(tree / "pages")]
    accuracy.main([*settings, "--split", "validation"])
    assert not (tree / accuracy.LOG).exists()
    accuracy.main(settings)
    accuracy.main(settings)
    assert (tree / accuracy.LOG).read_text().count("\n- 2025-01-31: weights ") == 2
    kept = json.loads((tree / "benchmarks/results/accuracy.json").read_text())
    assert [(one["section"], one["set"], one["n"]) for one in kept] == [
        ("test", "other", 2),
        ("validation", "other", 1),
    ]
    assert (tree / "pages/both-test-other/index.html").is_file()
    assert NOT_MEASURED in (tree / "README.md").read_text()
    metadata = json.loads((tree / "bundle/configs/metadata.json").read_text())
    assert metadata["eval_metrics"] == {
        f"mean_{key}_other": round(kept[0]["metrics"][key]["mean"], 4) for key in ("dice", "iou")
    }

    def refuse(*arguments):
        raise AssertionError("--tables-only must not measure")

    monkeypatch.setattr(accuracy, "measure", refuse)
    before = (tree / "bundle/configs/metadata.json").read_text()
    accuracy.main(["--tables-only"])
    assert (tree / "bundle/configs/metadata.json").read_text() == before


def test_metadata_changes_in_its_figures_alone(tree):
    file = tree / "bundle/configs/metadata.json"
    before = json.loads(file.read_text())
    lines = set(file.read_text().splitlines())
    accuracy.write_eval_metrics([entry(), entry(section="validation", name="shenzhen")])
    after = json.loads(file.read_text())
    assert after.pop("eval_metrics") == {"mean_dice_montgomery": 0.98, "mean_iou_montgomery": 0.98}
    figures = before.pop("eval_metrics")
    assert after == before
    assert len(lines - set(file.read_text().splitlines())) <= 1 + len(figures)


def test_shapes_keep_image_and_reference_together():
    image, labels = np.zeros((512, 512), np.uint8), np.zeros((512, 512), np.uint8)
    image[100:200, 50:150], labels[100:200, 50:150] = 255, 2
    varied = {title: vary("x", image, labels) for title, vary in shapes({"x": (4892, 4020)}).items()}
    sizes = [(512, 512), (2048, 2048), (512, 623), (512, 1024), (256, 512)]
    assert [picture.shape for picture, _ in varied.values()] == sizes
    for picture, reference in varied.values():
        assert picture.shape == reference.shape
        assert set(np.unique(reference)) == {0, 2}
        assert np.mean((picture > 127) != (reference > 0)) < 0.001


def test_sizes_are_found_beside_the_folder_of_the_data(tmp_path):
    (tmp_path / "original_sizes.csv").write_text("file,width,height\na.png,30,20\n")
    (tmp_path / "data").mkdir()
    assert original_sizes(str(tmp_path / "data")) == original_sizes(str(tmp_path)) == {"a": (30, 20)}
    (tmp_path / "original_sizes.csv").unlink()
    with pytest.raises(LungsegError, match="original_sizes"):
        original_sizes(str(tmp_path))


def test_one_resized_pass_takes_one_window_and_gives_the_native_size(run_folder, tmp_path):
    import lungseg
    from benchmarks.single_pass import squeeze
    from lungseg.io import write_png

    write_png(tmp_path / "wide.png", np.tile(np.arange(96, dtype=np.uint8), (48, 1)))
    counted = windows._Counted(squeeze(lungseg.Predictor(run_folder)))
    labels, passes = counted.segment(tmp_path / "wide.png")
    assert labels.shape == (48, 96)
    # The alternatives of a picture that is no radiograph are segmented too.
    assert windows._Counted(lungseg.Predictor(run_folder)).segment(tmp_path / "wide.png")[1] == 2 * passes


def test_prediction_is_measured_one_by_one_and_overlapped(run_folder, tmp_path):
    predict.write_inputs(tmp_path / "in", 64, 7)
    plain = predict.one_by_one(str(tmp_path / "in"), str(tmp_path / "plain"), str(run_folder))
    whole = predict.overlapped(str(tmp_path / "in"), str(tmp_path / "whole"), str(run_folder))
    for folder in ("plain", "whole"):
        assert len(list((tmp_path / folder / "overlays").iterdir())) == 7
    assert set(plain["stages"]) == set(predict.STAGES)
    assert min(plain["seconds"], whole["seconds"], *plain["stages"].values()) > 0
    speed = [
        {"side": 64, "way": name, "seconds": seconds} for name, seconds in zip(predict.WAYS, (0.2, 0.1), strict=False)
    ]
    numbers = {
        "machine": "a machine",
        "speed": speed,
        "stages": [{"side": 64, "stages": plain["stages"]}],
    }
    shown = predict.tables(numbers)
    assert "| PyTorch, fp32 (default) | 10.0 | 2.00 |" in shown["predict-speed"]
    assert predict.tables(None).keys() == shown.keys()


def test_the_start_is_measured_beside_the_import_of_pytorch(tmp_path):
    start.write_inputs(tmp_path)
    commands = start.commands(tmp_path, tmp_path / "out")
    layers = json.loads((tmp_path / "layers.json").read_text())
    assert [kind for kind, _, _ in layers].count("BatchNorm2d") > 10
    assert (layers[0][2], layers[-1][1]["out_channels"]) == ([1, 1, 256, 256], 4)
    for name in (start.FORWARD, start.HELP):
        assert min(start.run_timed([sys.executable, *commands[name]])) > 0
    with pytest.raises(CalledProcessError):
        start.run_timed([sys.executable, "-c", "1 / 0"])
    seconds = dict(zip(commands, (1.0, 2.0, 0.1, 2.4, 3.6, 5.0), strict=True))
    measured = [{"command": name, "seconds": one, "cpu_seconds": 0.06} for name, one in seconds.items()]
    shown = start.tables({"machine": "a machine", "commands": measured})["start"]
    assert "| lungseg --help | 0.10 | 0.06 | 0.20 |" in shown
    assert "| lungseg predict one.png | 2.40 | 0.06 | 0.80 |" in shown
    assert "| lungseg predict one.dcm | 3.60 | 0.06 | 1.20 |" in shown


def test_the_command_is_watched_with_the_processes_that_read_files(run_folder):
    case = memory.Case("DICOM, 16 bit, JPEG 2000", 80, 64, 2, times=2)
    numbers = memory.measure(str(run_folder), (case,))
    first, again = numbers["cases"]
    assert (first["again"], again["again"]) == (False, True)
    # PyTorch alone takes more.
    assert min(one["process_bytes"] for one in (first, again)) > 2**27
    assert first["bytes"] >= first["process_bytes"]
    shown = memory.tables(numbers)["memory"]
    assert "| 2 | DICOM, 16 bit, JPEG 2000 | 64 x 80 | " in shown
    assert "| 2, again | " in shown


def test_the_ends_are_left_out_of_the_speed():
    """While the workers begin, and when some have no work left, images come at another pace."""
    slow = [0, 5, 7, 8]
    steady = [9 + 0.5 * number for number in range(20)]
    assert predict.per_image([*slow, *steady, 30, 40, 50, 60]) == 0.5
    assert predict.per_image([1, 2]) == 1


def test_training_is_measured_by_epoch(dataset):
    from command_support import TINY

    from lungseg.model.config import parse_overrides

    numbers = training.measure(str(dataset), parse_overrides(TINY))
    assert len(numbers["epochs"]) == training.EPOCHS
    assert all(0 <= epoch["waiting"] <= epoch["seconds"] for epoch in numbers["epochs"])
    assert [epoch["images"] for epoch in numbers["epochs"]] == [8] * training.EPOCHS
    assert numbers["pairs"] == 10
    assert numbers["peak_bytes"] > 2**26
    assert "waiting for data" in training.tables(numbers)["training"]


def test_a_training_beyond_memory_is_measured():
    numbers = training_memory.measure({"train": 6, "validation": 2, "test": 1}, 2, 1)
    assert (numbers["kind"], numbers["pairs"], numbers["files"]) == ("disk", 8, 8)
    assert min(numbers[name] for name in ("prepare_seconds", "read_seconds", "peak_bytes", "disk_bytes", "steps")) > 0
    shown = training_memory.tables(numbers)["training-memory"]
    assert "| Pairs trained and validated on | 8 |" in shown
    assert "6 training and 2 validation images on disk in RUN/cache" in shown


def test_the_gain_of_a_few_images_is_paired_and_counts_each_case_once():
    before = {"a": 0.8, "b": 0.9, "c": 0.7}
    found = fine_tuning.figures(before, [{"a": 0.9, "b": 0.9, "d": 0.1}, {"a": 0.8, "b": 0.8}])
    assert found["draws"] == pytest.approx([0.9, 0.8])
    assert (found["dice"], found["gain"], found["better"]) == pytest.approx((0.85, 0.0, 0.5))
    assert found["gain_low"] == pytest.approx(-0.05)
    assert found["gain_high"] == pytest.approx(0.05)
    sizes = {"0": fine_tuning.figures(before, [before]), "5": found | {"epochs": [0, 3]}}
    shown = fine_tuning.tables({"weights_sha256": "ab" * 32, "epochs": 60, "n": 3, "sizes": sizes})["fine-tuning"]
    assert shown.splitlines()[2].startswith("| 0 | 0.8000 | 0.7000 to 0.9000 |  |")
    assert "| 5 | 0.8500 | 0.8500 to 0.8500 | 0.8000 to 0.9000 | +0.0000 | -0.0500 to +0.0500 | 50% | 0, 3 |" in shown
    assert "up to 60 epochs, 2 draws" in shown


@pytest.mark.slow
def test_fine_tuning_learns_from_the_drawn_images_alone_and_keeps_what_is_finished(tree, tmp_path, monkeypatch):
    lists = frozen_splits()["shenzhen"]
    names = [*lists["train"][:8], *lists["validation"][:1], *lists["test"][:3]]
    data = kaggle(tmp_path / "hospital", *names)
    settings = ["--data", str(data), "--output", str(tmp_path / "runs"), "--epochs", "1", "--draws", "1"]
    fine_tuning.main([*settings, "--sizes", "5"])
    kept = json.loads((tree / "benchmarks/results/fine_tuning.json").read_text())
    assert (kept["n"], list(kept["sizes"])) == (3, ["0", "5"])
    (run,) = (tmp_path / "runs").glob("*/5-images-draw-0")
    used = json.loads((run / "splits.json").read_text())
    assert len(used["train"]) == 4
    assert len(used["validation"]) == 1
    assert {*used["train"], *used["validation"]} <= {*lists["train"]}
    assert {*used["test"]} == {*lists["test"][:3]}
    assert len((tree / accuracy.LOG).read_text().split("images of shenzhen, draw 0)")) == 2

    def refuse(*arguments, **more):
        raise AssertionError("a finished run was trained or measured again")

    monkeypatch.setattr("lungseg.training.train.train", refuse)
    monkeypatch.setattr("lungseg.evaluation.evaluate.evaluate", refuse)
    fine_tuning.main([*settings, "--sizes", "5"])
    assert json.loads((tree / "benchmarks/results/fine_tuning.json").read_text()) == kept


def test_the_loop_is_measured_and_nothing_is_lost():
    log = (
        "following http://127.0.0.1:1 from change 0 on\n"
        "study a: 1 ok (fetch 0.25 s, run 2.00 s, store 0.25 s)\n"
        "study b: 1 skipped, 1 ok (fetch 0.50 s, run 1.00 s, store 1.00 s)\n"
        "study c: postponed: Orthanc does not answer (ConnectTimeout); it took (5 s)\n"
    )
    stages = deploy.stages_of(log.replace("; it took (5 s)", "."))
    assert stages == {"fetch": 0.75, "run": 3.0, "store": 1.25}
    speed = {"studies": 2, "side": 512, "sending": 1.0, "seconds": 6.0, "stages": stages}
    ends = {"dagger": "failed (damaged)", "arsenic": None}
    disturbed = [{"name": "flood", "studies": 2, "lost": 0, "doubled": 0, "wrong": 0, "poison": ends}]
    shown = deploy.tables({"machine": "a machine", "speed": speed, "disturbances": disturbed})
    assert "| Studies per minute | 20 |" in shown["deploy"]
    assert "| Share spent fetching and storing | 40% |" in shown["deploy"]
    assert "| flood | 2 | 0 | 0 | 0 | 2 | 1 |" in shown["deploy-disturbed"]
    assert shown["deploy-poison"].splitlines()[2:] == ["| dagger | failed (damaged) |", "| arsenic | none |"]


@needs_browser
def test_the_page_of_the_results_is_measured():
    found = report_page.measure(30)
    assert found["page_bytes"] > 100_000
    assert min(found[name] for name in ("load", "heap_bytes", *report_page.ACTIONS)) > 0
    shown = report_page.tables({"machine": "a machine", "pages": [found]})["report-page"]
    assert f"\n| 30 | {found['page_bytes'] / 1e6:.1f} MB" in shown
    assert shown.endswith("a machine.")


@needs_browser
def test_the_pictures_of_the_readme_can_be_drawn_anew(tmp_path):
    pictures.main(["--output", str(tmp_path)])
    for name in ("rg1.jpg", "report.jpg"):
        with Image.open(tmp_path / name) as drawn, Image.open(ROOT / "docs" / "images" / name) as shown:
            assert drawn.size == shown.size
