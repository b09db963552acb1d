# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict` on folders: what is done is not done again, workers change nothing, and what they share holds."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lungseg.data import phantom
from lungseg.inference.kinds import DEFAULT_KINDS
from lungseg.inference.outputs import Outputs
from lungseg.inference.predict import predict
from lungseg.inference.predictor import Predictor
from lungseg.inference.records import ResultRecords
from lungseg.utils.files import writing_failed


def reused(output: str) -> int:
    """How many results a command took from an earlier run, by its output."""
    found = re.search(r"^Reused .*: (\d+)$", output, re.MULTILINE)
    return int(found[1]) if found else 0


def report(folder: Path) -> list[dict]:
    with (folder / "report.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def source(dataset, tmp_path) -> Path:
    """A folder with four radiographs."""
    (tmp_path / "in").mkdir()
    for path in sorted((dataset / "CXR_png").iterdir())[:4]:
        shutil.copy(path, tmp_path / "in")
    return tmp_path / "in"


@pytest.fixture
def segment(command, run_folder, source, tmp_path, monkeypatch):
    """Segment the four: `segment(*options)` returns the names of those that were written."""
    write, written = Outputs.write, []

    def noted(self, stem, contents):
        written.append(f"{stem}.png")
        write(self, stem, contents)

    monkeypatch.setattr(Outputs, "write", noted)

    def call(*options: object) -> list[str]:
        written.clear()
        done = command("predict", source, "-o", tmp_path / "out", "--weights", run_folder, *options)
        assert done.status == 0, done.err
        call.out = done.out
        return sorted(written)

    return call


NAMES = [f"phantom_000{number}.png" for number in range(1, 5)]


def test_what_is_done_is_not_done_again(segment, tmp_path):
    assert segment() == NAMES
    before = report(tmp_path / "out")
    assert segment() == []
    assert report(tmp_path / "out") == before
    assert reused(segment.out) == 4
    manifest = json.loads((tmp_path / "out" / "report.json").read_text())
    assert manifest["count"]["files"] == 4
    assert segment("--overwrite") == NAMES


def test_what_differs_is_done_again(segment, source, tmp_path):
    segment()
    shutil.copy(source / NAMES[1], source / NAMES[0])
    (tmp_path / "out" / "masks" / NAMES[2]).unlink()
    assert segment() == [NAMES[0], NAMES[2]]


@pytest.fixture
def no_network(monkeypatch):
    """Let the network fail: the calls that follow must not need it."""

    def refuse(self, batch):
        assert not batch, "the network ran"
        return []

    return lambda: monkeypatch.setattr(Predictor, "run", refuse)


def stamps(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Content, inode and time of each result."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.glob("*/*")}
    return {name: (file.read_bytes(), file.stat().st_ino, file.stat().st_mtime_ns) for name, file in files.items()}


def test_fewer_kinds_are_reused_without_the_network(segment, no_network, tmp_path):
    segment("--save", "nifti,probabilities")
    before, rows = stamps(tmp_path / "out"), report(tmp_path / "out")
    no_network()
    for options in (["--save", "nifti"], [], ["--no-overlays"], ["--no-overlays", "--no-masks", "--save", "nifti"]):
        assert segment(*options) == []
        assert reused(segment.out) == 4
        assert report(tmp_path / "out") == rows
    assert stamps(tmp_path / "out") == before


def test_more_kinds_are_added_and_the_others_stay_as_they_are(segment, no_network, tmp_path):
    out = tmp_path / "out"
    segment("--no-overlays", "--no-thumbnails")
    before, rows = stamps(out), report(out)
    assert segment("--save", "nifti,probabilities", "--no-thumbnails") == NAMES
    after = stamps(out)
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[0] for name in after.keys() - before.keys()} == {"overlays", "nifti", "probabilities"}
    assert len(after) == 4 * 5
    for row, earlier in zip(report(out), rows, strict=True):
        assert row | {"seconds": ""} == earlier | {"seconds": ""}
    no_network()
    assert segment("--save", "nifti,probabilities", "--no-thumbnails") == []


def test_added_kinds_are_those_of_a_run_that_asked_for_all_at_once(command, run_folder, source, tmp_path):
    call = ("predict", source, "--weights", run_folder, "-o")
    command(*call, tmp_path / "once", "--save", "nifti,probabilities")
    command(*call, tmp_path / "twice", "--no-labels")
    command(*call, tmp_path / "twice", "--save", "nifti,probabilities")
    once, twice = (stamps(tmp_path / name) for name in ("once", "twice"))
    assert once.keys() == twice.keys()
    assert [name for name in once if once[name][0] != twice[name][0]] == []


def test_a_folder_of_an_older_version_is_segmented_again(segment, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "done.1.jsonl").write_text("{}\n")
    assert segment() == NAMES
    assert "older version" in segment.out
    assert segment() == []
    assert "older version" not in segment.out


def test_results_of_another_content_or_model_do_not_stay_beside_new_ones(segment, source, run_folder, tmp_path):
    def nifti() -> list[str]:
        return sorted(path.name.removesuffix(".nii.gz") for path in (tmp_path / "out" / "nifti").iterdir())

    stems = [name.removesuffix(".png") for name in NAMES]
    segment("--save", "nifti")
    assert nifti() == stems
    assert segment() == []
    # Still of the same content and model.
    assert nifti() == stems
    shutil.copy(source / NAMES[1], source / NAMES[0])
    assert segment() == NAMES[:1]
    assert nifti() == stems[1:]
    other = Path(shutil.copytree(run_folder, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"image_size": 64}))
    assert segment("--weights", other) == NAMES
    assert nifti() == []


def test_other_weights_do_it_again(segment, run_folder, tmp_path):
    segment()
    other = Path(shutil.copytree(run_folder, tmp_path / "other"))
    assert segment("--weights", other) == []
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"image_size": 64}))
    assert segment("--weights", other) == NAMES


def test_a_copy_in_another_folder_is_not_done_again(command, run_folder, source, tmp_path):
    call = ("-o", tmp_path / "out", "--weights", run_folder)
    command("predict", source, *call)
    done = command("predict", shutil.copytree(source, tmp_path / "copied"), *call)
    assert done.status == 0
    assert reused(done.out) == 4


def test_a_file_that_is_gone_loses_no_results(command, run_folder, source, tmp_path):
    call = ("-o", tmp_path / "out", "--weights", run_folder)
    command("predict", source, *call)
    before = results(tmp_path / "out")
    (source / NAMES[0]).rename(tmp_path / "elsewhere.png")
    assert command("predict", source / NAMES[0], *call).status == 1
    assert results(tmp_path / "out") == before


def test_a_file_that_failed_is_tried_again(command, run_folder, source, tmp_path):
    good = (source / NAMES[0]).read_bytes()
    (source / NAMES[0]).write_bytes(good[:200])
    call = ("predict", source, "-o", tmp_path / "out", "--weights", run_folder)
    for _ in range(2):
        done = command(*call)
        assert done.status == 1
        assert len(done.failures) == 1
    (source / NAMES[0]).write_bytes(good)
    assert command(*call).status == 0
    assert [row["status"] == "failed" for row in report(tmp_path / "out")] == [False] * 4


def test_a_moved_input_folder_is_not_done_again(command, run_folder, source, tmp_path):
    call = ("-o", tmp_path / "out", "--weights", run_folder)
    command("predict", source, *call)
    moved = source.rename(tmp_path / "moved")
    done = command("predict", moved, *call)
    assert reused(done.out) == 4
    assert [row["file"] for row in report(tmp_path / "out")] == [str(moved / name) for name in NAMES]


def events(folder: Path) -> list[str]:
    """The events of a folder's record."""
    return [json.loads(line)["event"] for line in (folder / "records.jsonl").open()]


def results(folder: Path) -> set[str]:
    """What there is of each radiograph, with its folder."""
    return {file.relative_to(folder).as_posix() for file in folder.glob("*/**/*") if file.is_file()}


@pytest.fixture
def two(dataset, tmp_path) -> list[Path]:
    """Two radiographs of the same name, in two folders."""
    for folder, source in (("A", NAMES[0]), ("B", NAMES[1])):
        (tmp_path / folder).mkdir()
        shutil.copy(dataset / "CXR_png" / source, tmp_path / folder / "x.png")
    return [tmp_path / folder / "x.png" for folder in "AB"]


@pytest.mark.safety("replaced-result")
def test_results_do_not_take_the_place_of_another_files(command, run_folder, two, tmp_path, monkeypatch):
    call = ("-o", tmp_path / "ab", "--weights", run_folder)
    monkeypatch.chdir(tmp_path / "A")
    assert command("predict", "x.png", *call).status == 0
    monkeypatch.chdir(tmp_path / "B")
    before = {file: (tmp_path / "ab" / file).read_bytes() for file in results(tmp_path / "ab")}
    for source in ("x.png", tmp_path / "B"):
        done = command("predict", source, *call)
        assert done.status == 2
        assert all(word in done.sentence for word in ("x.png: ", str(two[0]), "--overwrite"))
    assert {file: (tmp_path / "ab" / file).read_bytes() for file in results(tmp_path / "ab")} == before
    assert report(tmp_path / "ab")[0]["file"] == "x.png"
    # By whatever way it is named, a file may renew its own results.
    (tmp_path / "link").symlink_to(tmp_path / "A")
    assert command("predict", tmp_path / "link", *call).status == 0
    assert command("predict", "x.png", *call, "--overwrite").status == 0
    assert (tmp_path / "ab" / "masks" / "x.png").read_bytes() != before["masks/x.png"]
    assert command("predict", two[0], *call).status == 2
    two[1].unlink()
    assert command("predict", two[0], *call).status == 0


@pytest.mark.safety("replaced-result")
def test_a_file_that_fails_loses_the_results_it_had(command, run_folder, source, tmp_path):
    out = tmp_path / "out"
    call = ("predict", source, "-o", out, "--weights", run_folder, "--save", "nifti")
    assert command(*call).status == 0
    # None of this record's results.
    (out / "probabilities").mkdir()
    (out / "probabilities" / NAMES[0]).write_text("mine")
    good = (source / NAMES[0]).read_bytes()
    (source / NAMES[0]).write_bytes(good[:200])
    for options in ((), ("--no-labels",)):
        done = command(*call, *options)
        assert (done.status, len(done.failures)) == (1, 1)
        assert {file for file in results(out) if "0001" in file} == {f"probabilities/{NAMES[0]}"}
    assert len(results(out)) == 1 + 3 * 5
    begun = events(out).count("writing")
    command(*call, "--no-labels")
    assert events(out).count("writing") == begun, "nothing was left to be removed"
    (source / NAMES[0]).write_bytes(good)
    assert command(*call).status == 0
    assert len(results(out)) == 1 + 4 * 5


def test_a_file_whose_results_cannot_be_written_has_none(command, run_folder, source, tmp_path, monkeypatch):
    call = ("predict", source / NAMES[0], "-o", tmp_path / "out", "--weights", run_folder)
    assert command(*call).status == 0
    write = Path.write_bytes

    def broken(self, data):
        if self.parent.name == "overlays":
            raise ValueError("no ink")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", broken)
    assert command(*call, "--overwrite").status == 1
    assert results(tmp_path / "out") == set()


def test_results_that_still_hold_survive_a_run_that_adds_nothing(command, run_folder, source, tmp_path):
    long = source / f"{'9' * 250}.png"
    (source / NAMES[1]).rename(long)
    out = tmp_path / "out"
    call = ("predict", source / NAMES[0], long, "-o", out, "--weights", run_folder)
    assert command(*call).status == 0
    before = results(out)
    no_others = [f"--no-{kind}" for kind in DEFAULT_KINDS]
    # No DICOM SEG can be made of either.
    done = command(*call, "--save", "dicom-seg", *no_others)
    assert (done.status, len(done.failures)) == (1, 2)
    assert results(out) == before
    assert "writing" not in events(out)
    # The ending of the NIfTI file is too long for one of them.
    done = command(*call, "--save", "nifti")
    (failure,) = done.failures
    assert f"{long}: {out / 'nifti'}: " in failure
    assert results(out) == before | {f"nifti/{Path(NAMES[0]).stem}.nii.gz"}
    done = command(*call)
    assert done.status == 0
    assert reused(done.out) == 2


def test_a_disk_that_is_full_before_anything_is_written_anew_costs_no_results(
    command, run_folder, source, tmp_path, monkeypatch
):
    call = ("predict", source / NAMES[0], "-o", tmp_path / "out", "--weights", run_folder)
    assert command(*call).status == 0
    before = results(tmp_path / "out")

    def full(self, *_, **__):
        raise writing_failed(OSError(errno.ENOSPC, "No space left"), self.path) from OSError(errno.ENOSPC, "")

    monkeypatch.setattr(ResultRecords, "_append", full)
    assert command(*call, "--overwrite").status == 1
    monkeypatch.undo()
    assert results(tmp_path / "out") == before
    assert reused(command(*call).out) == 1


def test_a_folder_in_the_place_of_a_result_is_reported(command, run_folder, source, tmp_path):
    (tmp_path / "out" / "labels" / NAMES[0]).mkdir(parents=True)
    done = command("predict", source / NAMES[0], "-o", tmp_path / "out", "--weights", run_folder)
    (failure,) = done.failures
    assert f"the file {NAMES[0]} cannot be written, because a folder has its name; rename the input" in failure
    assert results(tmp_path / "out") == set()


def test_results_that_cannot_be_removed_stop_one_file_only(command, run_folder, source, tmp_path):
    call = ("predict", source, "-o", tmp_path / "out", "--weights", run_folder)
    assert command(*call).status == 0
    (source / NAMES[0]).write_bytes(b"")
    (tmp_path / "out" / "masks" / NAMES[0]).unlink()
    (tmp_path / "out" / "masks" / NAMES[0]).mkdir()
    done = command(*call)
    (failure,) = done.failures
    assert f"the file {NAMES[0]} cannot be written" in failure
    assert [row["status"] == "failed" for row in report(tmp_path / "out")] == [True, False, False, False]


def test_what_fails_together_is_tried_one_by_one(command, run_folder, source, tmp_path, monkeypatch):
    run = Predictor.run

    def too_large(self, batch):
        if len(batch) > 1 or batch[0].radiograph.pixels.shape == (64, 64):
            raise RuntimeError("out of memory")
        return run(self, batch)

    monkeypatch.setattr(Predictor, "run", too_large)
    Image.fromarray(phantom(9, (64, 64))[0]).save(source / "large.png")
    done = command("predict", source, "-o", tmp_path / "out", "--weights", run_folder, "--batch-size", 5)
    assert done.status == 1
    (failure,) = done.failures
    assert "large.png: it could not be segmented (RuntimeError: out of memory)" in failure
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == NAMES


def test_older_results_under_the_input_are_no_radiographs(command, run_folder, source, tmp_path, monkeypatch):
    monkeypatch.chdir(source)
    for number in (1, 2):
        done = command("predict", ".", "-o", f"out{number}", "--weights", run_folder)
        assert done.status == 0
        assert [row["file"] for row in report(source / f"out{number}")] == NAMES
    assert "earlier results, non-images): 1: out1" in done.out


@pytest.mark.safety("killed-run-leftovers")
def test_the_labels_of_an_annotation_are_no_radiographs(command, run_folder, source, tmp_path):
    name = min(path.stem for path in source.iterdir())
    for tag in ("final", "original"):
        (source / "labels" / tag).mkdir(parents=True)
        shutil.copy(source / f"{name}.png", source / "labels" / tag)
    (source / "datastore_v2.json").write_text("{}")
    done = command("predict", source, "-o", tmp_path / "out", "--weights", run_folder)
    assert len(report(tmp_path / "out")) == 4, done.err
    assert "masks or label maps: 2" in done.out + done.err


def test_what_a_killed_run_left_half_written_is_removed_at_once(segment, tmp_path):
    segment()
    folder = next((tmp_path / "out" / "masks").rglob("*.png")).parent
    abandoned, own = [folder / ".p.0123abcd.png", tmp_path / "out" / ".report.0123abcd.csv"], folder / ".p.mine.png"
    for file in (*abandoned, own):
        file.write_bytes(b"half")
    segment()
    assert [file.exists() for file in (*abandoned, own)] == [False, False, True]


def test_a_record_that_was_cut_off_is_read_as_far_as_it_goes(segment, tmp_path):
    segment()
    record = tmp_path / "out" / "records.jsonl"
    lines = record.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    record.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    assert len(segment()) == 1
    assert segment() == []
    record.unlink()
    assert segment() == NAMES


@pytest.mark.parametrize("options", [("--workers", 1), ("--workers", 3), ("--workers", 2, "--batch-size", 3)])
def test_workers_and_batches_change_no_bit(command, run_folder, source, tmp_path, options):
    # Of other sizes than the rest: three windows, and a single one at another scale.
    for number, size in ((8, (240, 96)), (9, (64, 64))):
        Image.fromarray(phantom(number, size)[0]).save(source / f"other_{number}.png")
    (source / "broken.png").write_bytes(b"\\x89PNG")
    call = ("predict", source, "--weights", run_folder, "-o")
    assert command(*call, tmp_path / "one", "--workers", 1).status == 1
    assert command(*call, tmp_path / "other", *options).status == 1
    expected, found = ([row | {"seconds": ""} for row in report(tmp_path / name)] for name in ("one", "other"))
    assert found == expected
    assert len(found) == 7
    for file in (tmp_path / "one").glob("*/*.png"):
        other = tmp_path / "other" / file.relative_to(tmp_path / "one")
        np.testing.assert_array_equal(np.asarray(Image.open(other)), np.asarray(Image.open(file)))


@pytest.mark.safety("clock-put-back")
def test_results_of_other_weights_are_not_called_done_after_the_clock_was_put_back(
    segment, source, run_folder, tmp_path, monkeypatch
):
    """The clock is an hour fast in the first run, and right in the others."""
    others = Path(shutil.copytree(run_folder, tmp_path / "others"))
    changed = others / "model.pt"
    state = torch.load(changed, weights_only=True)
    torch.save({name: value * 1.05 if value.is_floating_point() else value for name, value in state.items()}, changed)
    now = time.time_ns()
    names = sorted(path.name for path in source.iterdir())
    for fast, weights in ((3600, run_folder), (0, others), (0, run_folder)):
        monkeypatch.setattr(time, "time_ns", lambda fast=fast: now + fast * 10**9)
        monkeypatch.setattr(time, "time", lambda fast=fast: now / 10**9 + fast)
        assert segment("--weights", weights) == names
        assert not reused(segment.out)
    for row in report(tmp_path / "out"):
        labels = np.asarray(Image.open(tmp_path / "out" / "labels" / f"{row['name']}.png"))
        assert int(row["lungs_px"]) == np.count_nonzero(labels)


@pytest.mark.safety("changed-results")
def test_a_result_that_was_changed_is_not_called_done(segment, tmp_path, caplog):
    names = segment()
    mask = tmp_path / "out" / "masks" / names[1]
    before = mask.read_bytes()
    changed = bytearray(before)
    changed[-20] ^= 1
    mask.write_bytes(changed)
    assert segment() == [names[1]]
    assert mask.read_bytes() == before
    assert segment() == []


@pytest.mark.safety("one-run-per-folder")
def test_a_second_run_into_the_same_folder_is_refused(command, run_folder, source, tmp_path):
    out = tmp_path / "out"
    refused = []

    def again(index: int, total: int, row) -> None:
        refused.append(command("predict", source, "-o", out, "--weights", run_folder))

    predict([source], out, run_folder, "cpu", on_result=again, workers=1)
    assert [done.status for done in refused] == [2] * 4
    assert "another run writes to this folder" in refused[0].sentence
    assert str(out) in refused[0].sentence
    assert [row["status"] == "failed" for row in report(out)] == [False] * 4
    done = command("predict", source, "-o", out, "--weights", run_folder)
    assert (done.status, reused(done.out)) == (0, 4)


@pytest.mark.safety("private-results")
@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
@pytest.mark.parametrize("processes", [(), ("processes",)], ids=["threads", "processes"])
def test_private_results_are_closed_to_other_users(run_folder, source, tmp_path, processes):
    out = tmp_path / "out"
    before = os.umask(0o022)
    try:
        predict([source], out, run_folder, "cpu", private=True, workers=2, processes=bool(processes))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert out.stat().st_mode & 0o777 == 0o700
    modes = {path.stat().st_mode & 0o777 for path in out.rglob("*") if path.is_file()}
    assert modes == {0o600}


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_the_option_private_closes_a_folder_that_is_there(command, run_folder, source, tmp_path):
    out = tmp_path / "out"
    out.mkdir(mode=0o755)
    assert command("predict", source, "-o", out, "--weights", run_folder, "--private").status == 0
    assert out.stat().st_mode & 0o777 == 0o700
