# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong: one clear sentence, the right exit status, no traceback, and what was done stays done."""

from __future__ import annotations

import csv
import json
import logging
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_support import TINY
from PIL import Image

from lungseg.data import datalist
from lungseg.inference.outputs import Outputs
from lungseg.model.config import parse_overrides
from lungseg.model.paths import weights_file
from lungseg.model.weights import save_checkpoint
from lungseg.training.train import train
from lungseg.utils.errors import LungsegError, UsageError, as_lungseg_error


def statuses(folder: Path) -> dict[str, str]:
    with (folder / "report.csv").open(newline="", encoding="utf-8") as file:
        return {Path(row["file"]).name: row["status"] for row in csv.DictReader(file)}


def leftovers(folder: Path) -> list[Path]:
    """Temporary files, whose names begin with a dot."""
    return [path for path in folder.rglob(".*") if path.name != ".hidden"]


@pytest.fixture
def picture(dataset) -> Path:
    return dataset / "CXR_png" / "phantom_0001.png"


@pytest.fixture
def own(dataset, tmp_path) -> Path:
    """A copy of the data set, to spoil."""
    return Path(shutil.copytree(dataset, tmp_path / "own data"))


@pytest.fixture
def begin(command, tmp_path):
    """Start a short training: `begin(data, *arguments)`; its overrides can be extended with `config=`."""

    def call(data: Path, *arguments: object, config: tuple[str, ...] = ()):
        start = ("train", "--data", data, "--output", tmp_path / "run", "--epochs", 1)
        return command(*start, *arguments, "--config", *TINY, *config)

    return call


# Radiographs


def test_bad_radiographs_are_named_and_the_others_are_done(command, run_folder, picture, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a.png", "z.png"):
        shutil.copy(picture, source / name)
    (source / "cut.png").write_bytes(picture.read_bytes()[:900])
    (source / "empty.png").touch()
    (source / "text.png").write_text("patient was not cooperative\n" * 20)
    (source / "noise.dcm").write_bytes(bytes(128) + b"DICM" + os.urandom(500))
    done = command("predict", source, tmp_path / "gone.png", "-o", out, "--weights", run_folder)
    assert done.status == 1
    reasons = (
        "the picture is damaged",
        "the file is empty",
        "not a picture in a known format",
        "",
        "there is no such file",
    )
    names = ("cut.png", "empty.png", "text.png", "noise.dcm", "gone.png")
    assert len(done.failures) == len(names)
    for name, reason in zip(names, reasons, strict=True):
        (line,) = (line for line in done.failures if f"{name}: " in line)
        assert reason in line, line
        assert "; " in line.split(name)[1], f"no remedy: {line}"
    found = statuses(out)
    assert [name for name, status in found.items() if status == "failed"] == [*sorted(names[:-1]), "gone.png"]
    assert sorted(path.name for path in (out / "masks").iterdir()) == ["a.png", "z.png"]
    assert not leftovers(out)


def test_a_name_that_is_no_text_is_still_reported(command, run_folder, picture, tmp_path):
    shutil.copy(picture, os.fsencode(tmp_path) + b"/caf\xe9.png")
    assert command("predict", tmp_path, "-o", tmp_path / "out", "--weights", run_folder).status == 0
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 1
    assert "caf\\udce9.png" in (tmp_path / "out" / "report.csv").read_text(encoding="utf-8")


def test_an_unforeseen_error_stops_one_file_only(command, run_folder, dataset, tmp_path, monkeypatch):
    write, bad = Outputs.write, "phantom_0002"

    def broken(self, stem, contents):
        if str(stem) == bad:
            raise ValueError("no ink\nand more lines")
        write(self, stem, contents)

    monkeypatch.setattr(Outputs, "write", broken)
    done = command("predict", dataset / "CXR_png", "-o", tmp_path, "--weights", run_folder)
    assert done.status == 1
    (failure,) = done.failures
    assert "could not be segmented (ValueError: no ink)" in failure
    assert [name for name, status in statuses(tmp_path).items() if status == "failed"] == [f"{bad}.png"]
    assert len(list((tmp_path / "masks").iterdir())) == 11


def test_an_unforeseen_error_is_told_by_its_cause():
    error = RuntimeError("applying transform <monai.Crop object at 0x7f85>")
    error.__cause__ = OverflowError("100000 is too much")
    assert "it failed (OverflowError: 100000 is too much); " in str(as_lungseg_error(error, "it failed"))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_stopped_segmentation_keeps_what_was_finished(command, run_folder, dataset, tmp_path, monkeypatch, workers):
    write = Path.write_bytes

    def stopped(self, data):
        # After the mask, before the label map: Ctrl-C in the middle of a radiograph.
        if self.match("labels/.phantom_0003.*"):
            raise KeyboardInterrupt
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", stopped)
    done = command("predict", dataset / "CXR_png", "-o", tmp_path, "--weights", run_folder, "--workers", workers)
    assert done.status == 130
    assert "stopped; what was finished is kept." in done.err
    finished = list(statuses(tmp_path))
    assert finished[:2] == ["phantom_0001.png", "phantom_0002.png"]
    # What others had begun meanwhile is brought to its end.
    assert 2 <= len(finished) < 2 + workers
    assert "phantom_0003.png" not in finished
    for kind in ("masks", "labels", "overlays"):
        assert sorted(path.name for path in (tmp_path / kind).iterdir()) == finished
    assert not leftovers(tmp_path)


def test_a_name_too_long_for_its_results_fails_alone(command, run_folder, picture, tmp_path):
    (tmp_path / "in").mkdir()
    long = "9" * 255
    for name in ("a.png", long):
        shutil.copy(picture, tmp_path / "in" / name)
    done = command("predict", tmp_path / "in", "-o", tmp_path / "out", "--weights", run_folder)
    assert done.status == 1
    (failure,) = done.failures
    assert failure.startswith(f"lungseg: failed: {tmp_path / 'in' / long}: {tmp_path / 'out'}")
    assert failure.endswith("name too long); give the input a shorter name.")
    assert sorted(statuses(tmp_path / "out").values())[0] == "failed"
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["a.png"]
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("nameless", ["input", "output"])
def test_an_empty_name_is_not_the_working_directory(command, run_folder, picture, tmp_path, monkeypatch, nameless):
    (tmp_path / "here").mkdir()
    shutil.copy(picture, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    source, out = ("", tmp_path / "out") if nameless == "input" else (picture, "")
    done = command("predict", source, "-o", out, "--weights", run_folder)
    assert done.status == 2
    assert "has an empty name; name each file and folder" in done.sentence
    assert [path.name for path in (tmp_path / "here").iterdir()] == [picture.name]
    assert not (tmp_path / "out").exists()


def test_paths_longer_than_the_system_allows(command, run_folder, picture, tmp_path):
    long = tmp_path / ("p" * 300)
    done = command("predict", long, picture, "-o", tmp_path / "out", "--weights", run_folder)
    assert done.status == 1
    (failure,) = done.failures
    assert f"{long}: this file cannot be read" in failure
    assert sorted(statuses(tmp_path / "out").values())[0] == "failed"
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == [picture.name]
    for out, weights in ((long, run_folder), (tmp_path / "other", long)):
        done = command("predict", picture, "-o", out, "--weights", weights)
        assert done.status == 2
        assert f"{long}: " in done.sentence
    assert not (tmp_path / "other").exists()


def test_a_folder_without_pictures(command, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("nothing here")
    done = command("predict", tmp_path / "in", "-o", tmp_path / "out")
    assert done.status == 2
    assert "the folder holds no picture" in done.sentence
    assert not (tmp_path / "out").exists()


# Weights


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (None, 2, "there is no weight file"),
        (b"", 1, "the weight file cannot be read"),
        (b"PK\x03\x04 no checkpoint", 1, "the weight file cannot be read"),
        ({"epoch": 3}, 1, "the file does not hold a plain state dict"),
        ({"weight": torch.zeros(3)}, 1, "the weights do not fit the network"),
    ],
)
def test_weights_that_cannot_be_used(command, dataset, picture, tmp_path, content, status, reason):
    file = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    calls = [
        ("predict", picture, "-o", tmp_path / "out"),
        ("evaluate", "--data", dataset, "--output", tmp_path / "out"),
    ]
    for call in calls:
        done = command(*call, "--weights", file)
        assert done.status == status
        assert f"{file}: {reason}" in done.sentence
        assert not list((tmp_path / "out").glob("*"))


def test_training_starts_from_no_missing_weights(begin, dataset, tmp_path):
    done = begin(dataset, "--init", tmp_path / "none.pt")
    assert done.status == 2
    assert "there is no weight file" in done.sentence
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_that_was_cut_off(command, run_folder, picture, tmp_path):
    whole = (run_folder / "model.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", tmp_path / "cut.pt")
    assert done.status == 1
    assert "cut.pt: the weight file cannot be read" in done.sentence


def test_a_run_whose_settings_are_damaged(command, run_folder, picture, tmp_path):
    shutil.copy(run_folder / "model.pt", tmp_path)
    (tmp_path / "config.json").write_text("{")
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", tmp_path)
    assert done.status == 1
    assert "the run's config cannot be read" in done.sentence


def test_a_config_of_another_program_beside_weights_is_none_of_ours(command, picture, tmp_path):
    shutil.copy(weights_file(), tmp_path / "model.pt")
    for content in ("[1]", '{"model_type": "vit"}'):
        (tmp_path / "config.json").write_text(content)
        assert command("predict", picture, "-o", tmp_path / "out", "--weights", tmp_path).status == 0


@pytest.mark.parametrize(
    "network",
    [
        "$open('{}', 'w')",
        {"_target_": "builtins.open", "file": "{}", "mode": "w"},
        # What a module of networks imports, and what else MONAI has.
        {"_target_": "monai.networks.nets.unet.warnings.sys.modules.__class__"},
        {"_target_": "monai.networks.nets.unet.torch.save", "obj": 1, "f": "{}"},
        {"_target_": "create_file_basename", "postfix": "", "input_file_name": "x", "folder_path": "{}"},
    ],
)
def test_a_config_from_a_stranger_runs_no_code(command, run_folder, picture, tmp_path, network):
    shutil.copy(run_folder / "model.pt", tmp_path)
    told = json.dumps({"network_def": network, "image_size": 64, "clahe": False, "threshold": 0.45})
    (tmp_path / "config.json").write_text(told.replace("{}", str(tmp_path / "made")))
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", tmp_path)
    assert done.status == 1
    assert "this config would run code of its own" in done.sentence
    assert not (tmp_path / "made").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("cuda", "finds no CUDA device"),
        ("tpu9", "no device called 'tpu9'"),
        ("mps", "'mps' is no device that is made use of here"),
    ],
)
def test_a_device_that_is_not_there(command, run_folder, picture, tmp_path, device, reason):
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", run_folder, "--device", device)
    assert done.status == 2
    assert reason in done.sentence


# Folders and disks. Tests may run as root, whom permissions do not bind: a folder below a file, and one in /proc,
# refuse root too.


def refusing_folders(tmp_path) -> list[Path]:
    (tmp_path / "file").write_text("")
    return [tmp_path / "file", tmp_path / "file" / "below", Path("/proc/lungseg")]


def test_results_that_cannot_be_written(command, dataset, run_folder, picture, tmp_path):
    calls = [
        ("predict", picture, "--weights", run_folder, "-o"),
        ("evaluate", "--data", dataset, "--weights", run_folder, "--output"),
        ("train", "--data", dataset, "--config", *TINY, "--output"),
        ("demo", "--output"),
    ]
    for call in calls:
        for folder in refusing_folders(tmp_path):
            done = command(*call, folder)
            assert done.status == 2, (call, folder)
            assert str(folder) in done.sentence
            assert "another" in done.sentence
    for folder in refusing_folders(tmp_path)[1:]:
        for call in (("pack", "--output", folder / "a.zip"), ("check-data", dataset, "--sheet", folder / "a.png")):
            done = command(*call)
            assert done.status == 2, (call, folder)
            assert "cannot be written to" in done.sentence


# A limit on the size of files acts as a disk that fills up while a file is being written.
FULL_AFTER = (
    "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_disk_that_fills_up_during_segmentation(process, run_folder, picture, tmp_path):
    large = np.asarray(Image.open(picture).resize((800, 600)))
    noise = np.random.default_rng(0).integers(0, 60, large.shape).astype(np.uint8)
    (tmp_path / "in").mkdir()
    shutil.copy(picture, tmp_path / "in" / "a.png")
    Image.fromarray(large // 2 + noise).save(tmp_path / "in" / "b.png")
    shutil.copy(picture, tmp_path / "in" / "c.png")
    call = ("predict", tmp_path / "in", "-o", tmp_path / "out", "--weights", run_folder, "--workers", 1)
    done = process(*call, before=FULL_AFTER.format(60_000))
    assert done.status == 1
    assert "there is no room left for the file b.png" in done.err
    assert "free some space" in done.err
    assert "Traceback" not in done.out + done.err
    # a is whole, b left nothing, c was not begun.
    for kind in ("masks", "labels", "overlays"):
        assert [path.name for path in (tmp_path / "out" / kind).iterdir()] == ["a.png"]
    found = statuses(tmp_path / "out")
    assert found.pop("a.png") != "failed"
    assert found == {"b.png": "failed"}
    assert not leftovers(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_disk_that_fills_up_during_training(process, dataset, tmp_path):
    call = ("train", "--data", dataset, "--output", tmp_path / "run", "--epochs", 2, "--config", *TINY)
    done = process(*call, before=FULL_AFTER.format(30_000))
    assert done.status == 1
    assert "there is no room left for the file last.pt" in done.err
    assert "Traceback" not in done.out + done.err
    assert (tmp_path / "run" / "model.pt").is_file()
    assert not (tmp_path / "run" / "last.pt").exists()
    assert not leftovers(tmp_path)


def test_a_checkpoint_replaces_the_old_one_whole_or_not_at_all(tmp_path, monkeypatch):
    save_checkpoint({"a": torch.ones(2)}, tmp_path / "last.pt")
    before = (tmp_path / "last.pt").read_bytes()

    def full(self, data):
        with self.open("wb") as file:
            file.write(bytes(data)[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LungsegError, match=r"no room left for the file last\.pt"):
        save_checkpoint({"a": torch.zeros(1000)}, tmp_path / "last.pt")
    assert (tmp_path / "last.pt").read_bytes() == before
    assert not leftovers(tmp_path)


# Data sets


def test_a_data_set_that_is_not_there_or_empty(begin, command, tmp_path):
    (tmp_path / "nothing").mkdir()
    for folder, reason in (("gone", "there is no such folder"), ("nothing", "there is no image in this folder")):
        for done in (begin(tmp_path / folder), command("check-data", tmp_path / folder)):
            assert done.status == 2
            assert f"{tmp_path / folder}: {reason}" in done.sentence
    assert not (tmp_path / "run").exists()


def test_a_data_set_of_one_pair(begin, command, run_folder, own, tmp_path):
    for path in [*(own / "CXR_png").iterdir(), *(own / "masks").iterdir()]:
        if path.stem != "phantom_0001":
            path.unlink()
    done = begin(own)
    assert done.status == 1
    assert f"{own}: the section validation is empty: there is 1 pair of image and mask; give more" in done.sentence
    assert not (tmp_path / "run").exists()
    call = ("evaluate", "--data", own, "--weights", run_folder, "--output", tmp_path / "out")
    assert command(*call).status == 1
    done = command(*call, "--split", "all")
    assert done.status == 0, done.err
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["overall"]["metrics"]["iou"]["n"] == 1


def test_files_that_are_not_used_are_named_and_the_rest_is_trained_on(begin, own, tmp_path):
    (own / "masks" / "phantom_0002.png").write_bytes(b"")
    Image.new("L", (96, 72)).save(own / "masks" / "phantom_0003.png")
    (own / "masks" / "phantom_0004.png").unlink()
    shutil.copy(own / "masks" / "phantom_0001.png", own / "masks" / "stranger.png")
    (own / "CXR_png" / "phantom_0005.png").write_text("no picture")
    done = begin(own)
    assert done.status == 0, done.err
    told = "\n".join(line for line in done.out.splitlines() if line.startswith("Not used: "))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    sections = record["data"]
    for name in record["left_out"]:
        assert f"{name}.png: " in told
    assert set(record["left_out"]) <= {"phantom_0002", "phantom_0003", "phantom_0005"}
    assert record["left_out"]
    assert "stranger.png: mask without an image" in told
    assert "images without a mask: phantom_0004.png" in told
    assert sections["train"]["cases"] + sections["validate"]["cases"] + len(record["left_out"]) == 9


def test_equal_radiographs_are_told_before_training(begin, own):
    first, second = datalist(own, "train")[0], datalist(own, "validation")[0]
    shutil.copy(first["image"], second["image"])
    done = begin(own)
    assert done.status == 0, done.err
    names = sorted(Path(case["image"]).name for case in (first, second))
    assert f"{names[1]}: duplicate image: it has the same pixels as {names[0]}, so that both" in done.out


def test_evaluation_names_what_it_leaves_out(command, own, run_folder, tmp_path):
    (own / "masks" / "phantom_0002.png").write_bytes(b"")
    call = ("evaluate", "--data", own, "--split", "all", "--weights", run_folder, "--output", tmp_path / "out")
    done = command(*call)
    assert done.status == 0, done.err
    assert "phantom_0002.png: unreadable: the file is empty" in done.out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["overall"]["metrics"]["iou"]["n"], summary["left_out"]) == (11, ["phantom_0002"])
    assert "Left out, as they cannot be used: phantom_0002." in (tmp_path / "out" / "index.html").read_text()


def test_a_data_set_whose_masks_are_all_unusable(begin, own, tmp_path):
    for path in (own / "masks").iterdir():
        path.write_bytes(b"")
    done = begin(own)
    assert done.status == 1
    assert "every case of the section" in done.sentence


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mask_that_becomes_unreadable_in_the_middle_of_training(own, tmp_path, workers, monkeypatch):
    """With a worker process the sentence crosses from another process, as text."""
    settings = parse_overrides((*TINY, "train#dataset#cache_rate=0", f"num_workers={workers}"))
    settings |= {"dataset_dir": str(own), "epochs": 1}

    def spoil(record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("Training on"):
            for path in (own / "masks").iterdir():
                path.write_bytes(path.read_bytes()[:60])
        return True

    logger = logging.getLogger("lungseg.training.train")
    monkeypatch.setattr(logger, "filters", [spoil])
    monkeypatch.setattr(logger, "level", logging.INFO)
    with pytest.raises(LungsegError, match=r"masks/phantom_00\d\d\.png: the mask cannot be read .*; .*again\.$"):
        train(tmp_path / "run", settings)
    assert not leftovers(tmp_path / "run")


def test_a_moved_run_is_resumed_where_it_lies(command, run_folder, tmp_path):
    """It was finished, so there is nothing left to train; what is written is written beside it."""
    folder = shutil.copytree(run_folder, tmp_path / "moved")
    (folder / "run.json").unlink()
    before = (run_folder / "last.pt").stat().st_mtime_ns
    assert command("train", "--resume", "--output", folder).status == 0
    assert (folder / "run.json").is_file()
    assert (run_folder / "last.pt").stat().st_mtime_ns == before


# Settings


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("epohcs=3", "the config has no item 'epohcs'; did you mean epochs"),
        ("optimizer#weight_decai=0", "did you mean optimizer#weight_decay"),
        ("zzz=1", "the config has no item 'zzz'; see the config for its items"),
        ("epochs", "the override 'epochs' has no value; write it as ID=VALUE"),
        ("batch_size=many", "the item 'batch_size' cannot be 'many'; give a number, such as 8"),
        ("network_def#channels=[4", "give a list, such as [16,"),
        ("learning_rate=-1", "Invalid learning rate: -1"),
        ("loss=@los", "did you mean 'loss'?"),
        ("device=cuda:77", "nothing can be built from this config"),
        ("val_interval=2", "val_interval=2 is more than epochs=1"),
    ],
)
def test_a_wrong_override(begin, dataset, tmp_path, override, reason):
    done = begin(dataset, config=(override,))
    assert done.status == 2
    assert reason in done.sentence
    assert not (tmp_path / "run" / "last.pt").exists()


def test_an_interval_longer_than_the_patience(begin, dataset, tmp_path):
    done = begin(dataset, "--epochs", 5, config=("val_interval=2", "patience=1"))
    assert (done.status, done.err) == (0, "")
    epochs = json.loads((tmp_path / "run" / "history.json").read_text())
    assert "val_mean_iou" in epochs[1]
    assert (tmp_path / "run" / "model.pt").is_file()


def test_more_workers_than_cores(begin, dataset, tmp_path):
    done = begin(dataset, config=(f"num_workers={(os.cpu_count() or 1) + 2}",))
    assert (done.status, done.err) == (0, "")
    assert (tmp_path / "run" / "model.pt").is_file()


def test_options_that_are_wrong(command, dataset, tmp_path):
    for call, reason in (
        (("evaluate", "--data", dataset, "--split", "tset"), "invalid choice: 'tset'"),
        (("train", "--data", dataset, "--epochs", "0"), "'0' is no whole number of at least 1"),
        (("train", "--data", dataset, "--epochs", "ten"), "'ten' is no whole number of at least 1"),
        (("train",), "no data set was named; give --data DIR"),
        (("predict", "x.png"), "the following arguments are required: -o"),
        (("segment",), "invalid choice: 'segment'"),
        (("train", "--data", dataset, "--images", tmp_path, "--output", tmp_path / "run"), "either as one folder"),
        (
            ("train", "--data", dataset, "--config", "output_dir=x"),
            "option of its own; use --output",
        ),
        (("train", "--data", dataset, "--epochs", "2", "--config", "epochs=1"), "option of its own; use --epochs"),
        (("evaluate", "--data", dataset, "--config", "split=train"), "'split' has an option of its own; use --split"),
        (("train", "--data", dataset, "--sets", "boston", "--output", tmp_path / "run"), "no data set 'boston'"),
    ):
        done = command(*call)
        assert done.status == 2
        assert reason in done.err
        assert "Traceback" not in done.err


# Runs


def test_resume_where_there_is_no_run(command, tmp_path):
    done = command("train", "--resume", "--output", tmp_path / "run")
    assert done.status == 2
    assert f"{tmp_path / 'run'}: there is no run to resume" in done.sentence
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_not_trained_into(command, dataset, run_folder):
    before = (run_folder / "model.pt").read_bytes()
    done = command("train", "--data", dataset, "--output", run_folder, "--config", *TINY)
    assert done.status == 2
    assert "the folder holds a run already" in done.sentence
    assert (run_folder / "model.pt").read_bytes() == before


@pytest.mark.parametrize("damaged", ["config.json", "last.pt"])
def test_a_run_that_cannot_be_resumed(command, run_folder, tmp_path, damaged):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    (folder / damaged).write_bytes(b"\x00")
    done = command("train", "--resume", "--output", folder)
    assert done.status == 1
    assert damaged in done.sentence


def test_a_resumed_run_keeps_its_settings(run_folder):
    with pytest.raises(UsageError, match="a resumed run keeps its settings"):
        train(run_folder, {"epochs": 3}, resume=True)


def test_a_resumed_run_takes_no_other_lists(command, run_folder):
    done = command("train", "--resume", "--output", run_folder, "--sets", "montgomery")
    assert done.status == 2
    assert "a resumed run keeps its settings; give --resume and --output alone" in done.sentence


def test_an_unforeseen_error_is_one_sentence_and_its_traceback_can_be_had(command, picture, tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("lungseg.inference.predict.find_radiographs", lambda *_, **__: broken())
    done = command("predict", picture, "-o", tmp_path / "out")
    assert done.status == 1
    assert "stopped by ZeroDivisionError: division by zero" in done.sentence
    monkeypatch.setenv("LUNGSEG_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        command("predict", picture, "-o", tmp_path / "out")
