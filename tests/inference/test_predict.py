# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict` on folders: what is done is not done again, workers change nothing, and what they share holds."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import threading
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungseg.data import phantom
from lungseg.inference.outputs import DEFAULT_KINDS, Outputs
from lungseg.inference.predictor import Predictor
from lungseg.inference.records import ResultRecords, content_hash, sources
from lungseg.report.table import Row
from lungseg.utils.files import writing_failed
from lungseg.utils.parallel import work_in_order


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
    assert "Done before, with the same weights and options: 4" in segment.out
    manifest = json.loads((tmp_path / "out" / "report.json").read_text())
    assert manifest["count"]["files"] == 4
    assert segment("--overwrite") == NAMES


def test_what_differs_is_done_again(segment, source, tmp_path):
    segment()
    shutil.copy(source / NAMES[1], source / NAMES[0])
    (tmp_path / "out" / "masks" / NAMES[2]).unlink()
    assert segment() == [NAMES[0], NAMES[2]]
    assert segment("--no-overlays") == NAMES
    assert segment("--no-overlays") == []
    assert segment() == NAMES


def test_results_of_another_content_or_model_do_not_stay_beside_new_ones(segment, source, run_folder, tmp_path):
    def nifti() -> list[str]:
        return sorted(path.name.removesuffix(".nii.gz") for path in (tmp_path / "out" / "nifti").iterdir())

    stems = [name.removesuffix(".png") for name in NAMES]
    segment("--save", "nifti")
    assert nifti() == stems
    assert segment() == NAMES
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
    assert "options: 4;" in done.out


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
    assert "options: 4;" in done.out
    assert [row["file"] for row in report(tmp_path / "out")] == [str(moved / name) for name in NAMES]


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


def test_results_do_not_take_the_place_of_another_files(command, run_folder, two, tmp_path, monkeypatch):
    call = ("-o", tmp_path / "ab", "--weights", run_folder)
    monkeypatch.chdir(tmp_path / "A")
    assert command("predict", "x.png", *call).status == 0
    monkeypatch.chdir(tmp_path / "B")
    before = {file: (tmp_path / "ab" / file).read_bytes() for file in results(tmp_path / "ab")}
    for source in ("x.png", tmp_path / "B"):
        done = command("predict", source, *call)
        assert done.status == 2
        assert all(word in done.sentence for word in ("x.png: ", str(two[0]), "another output folder", "--overwrite"))
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


def test_the_ledger_of_an_earlier_version_tells_whose_results_these_are_where_it_can(tmp_path):
    """It notes neither the kinds nor the folder that a file was named in."""
    entry = {"content": "c", "settings": ResultRecords(tmp_path, {})._settings, "time": 1}
    named = {"a": str(tmp_path / "in" / "a.png"), "b": "in/b.png"}
    rows = {name: Row(file=file, status="ok") for name, file in named.items()}
    lines = [json.dumps(entry | {"name": name, "row": asdict(row)}) for name, row in rows.items()]
    (tmp_path / "done.jsonl").write_text("\n".join(lines))
    ledger = ResultRecords(tmp_path, {})
    assert ledger.find(Path("b"), "c") == rows["b"]
    assert ledger.kinds(Path("b")) is None
    assert sources(tmp_path) == {"a": (os.path.realpath(named["a"]), "c")}


def test_a_file_that_fails_loses_the_results_it_had(command, run_folder, source, tmp_path):
    out = tmp_path / "out"
    call = ("predict", source, "-o", out, "--weights", run_folder, "--save", "nifti")
    assert command(*call).status == 0
    # None of this ledger's results.
    (out / "probabilities").mkdir()
    (out / "probabilities" / NAMES[0]).write_text("mine")
    good = (source / NAMES[0]).read_bytes()
    (source / NAMES[0]).write_bytes(good[:200])
    for options in ((), ("--no-labels",)):
        done = command(*call, *options)
        assert (done.status, len(done.failures)) == (1, 1)
        assert {file for file in results(out) if "0001" in file} == {f"probabilities/{NAMES[0]}"}
    assert len(results(out)) == 1 + 3 * 5
    lines = (out / "done.jsonl").read_bytes()
    command(*call, "--no-labels")
    assert (out / "done.jsonl").read_bytes() == lines
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
    before, lines = results(out), (out / "done.jsonl").read_bytes()
    no_others = [f"--no-{kind}" for kind in DEFAULT_KINDS]
    # No DICOM SEG can be made of either.
    done = command(*call, "--save", "dicom-seg", *no_others)
    assert (done.status, len(done.failures)) == (1, 2)
    assert (results(out), (out / "done.jsonl").read_bytes()) == (before, lines)
    # The ending of the NIfTI file is too long for one of them.
    done = command(*call, "--save", "nifti")
    (failure,) = done.failures
    assert f"{long}: {out / 'nifti'}: " in failure
    assert results(out) == before | {f"nifti/{Path(NAMES[0]).stem}.nii.gz"}
    done = command(*call)
    assert done.status == 0
    assert "options: 1;" in done.out


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
    assert "options: 1;" in command(*call).out


def test_a_folder_in_the_place_of_a_result_is_told(command, run_folder, source, tmp_path):
    (tmp_path / "out" / "labels" / NAMES[0]).mkdir(parents=True)
    done = command("predict", source / NAMES[0], "-o", tmp_path / "out", "--weights", run_folder)
    (failure,) = done.failures
    assert f"the file {NAMES[0]} cannot be written, for a folder has its name; rename the input" in failure
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
    assert "Passed over, as hidden, linked folders, earlier results or no pictures: out1" in done.out


def test_what_a_killed_run_left_half_written_is_removed(segment, tmp_path):
    segment()
    folder = next((tmp_path / "out" / "masks").rglob("*.png")).parent
    abandoned, fresh, own = folder / ".p.0123abcd.png", folder / ".q.0123abcd.png", folder / ".p.mine.png"
    for file in (abandoned, fresh, own):
        file.write_bytes(b"half")
    os.utime(abandoned, (0, 0))
    os.utime(own, (0, 0))
    segment()
    assert not abandoned.exists()
    assert fresh.exists(), "another process may be writing it"
    assert own.exists(), "nobody but its owner knows what it is"


def test_a_ledger_that_was_cut_off_is_read_as_far_as_it_goes(segment, tmp_path):
    segment()
    ledger = tmp_path / "out" / "done.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    ledger.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    assert len(segment()) == 1
    assert segment() == []
    ledger.unlink()
    assert segment() == NAMES


@pytest.mark.parametrize(
    "damage",
    [
        {"time": None},
        {"time": "1"},
        {"name": ["a"]},
        {"content": 5},
        {"settings": {}},
        {"source": 7},
        {"kinds": [["masks"]]},
        {"kinds": "masks"},
        {"row": ["a.png", "ok"]},
        {"row": {"file": None, "status": "ok"}},
        {"row": {"file": "a.png", "status": "ok", "lungs_px": "many"}},
    ],
    ids=str,
)
def test_a_line_of_a_ledger_whose_values_are_of_other_types_counts_for_nothing(tmp_path, damage):
    row = Row(file="a.png", status="ok", lungs_px=3, lungs_mm2=1.0, quality=0.9)
    ResultRecords(tmp_path, {}).add(Path("a"), "content", row, ["masks"])
    line = json.loads((tmp_path / "done.jsonl").read_text())
    with (tmp_path / "done.jsonl").open("a") as file:
        file.write(json.dumps(line | {"name": "b"} | damage) + "\n[]\nnull\n7\n")
    ledger = ResultRecords(tmp_path, {})
    assert ledger.find(Path("a"), "content") == row
    assert ledger.find(Path("b"), "content") is None
    assert list(sources(tmp_path)) == ["a"]


def test_results_that_were_begun_anew_do_not_count_as_the_old_ones(tmp_path):
    """A power cut between the files of one radiograph: some are new, some are old."""
    row = Row(file="a.png", status="ok")
    first = ResultRecords(tmp_path, {"weights": "a"})
    first.add(Path("a"), "content", row)
    ResultRecords(tmp_path, {"weights": "b"}).forget(Path("a"))
    assert first.path.is_file()
    assert ResultRecords(tmp_path, {"weights": "a"}).find(Path("a"), "content") is None


def test_the_latest_line_counts_whichever_process_wrote_it(tmp_path):
    rows = [Row(file="a.png", status="ok", lungs_px=number) for number in range(3)]
    ResultRecords(tmp_path, {}, part=1).add(Path("a"), "old", rows[0])
    ResultRecords(tmp_path, {}, part=0).add(Path("a"), "older", rows[1])
    ResultRecords(tmp_path, {}, part=1).add(Path("a"), "new", rows[2])
    ResultRecords(tmp_path, {}, part=0).add(Path("b"), "other", rows[0])
    ledger = ResultRecords(tmp_path, {})
    assert ledger.find(Path("a"), "new") == rows[2]
    assert ledger.find(Path("a"), "older") is None
    assert ledger.find(Path("a"), None) is None


def test_the_content_of_what_is_no_file_has_no_hash(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert content_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert content_hash(tmp_path) is content_hash(tmp_path / "gone") is None


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


# The order of work


def test_results_come_in_order_whichever_is_done_first():
    found: list[int] = []

    def work(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number

    work_in_order(work, range(30), 3, found.append)
    assert found == list(range(30))


def test_only_a_few_items_are_taken_ahead():
    taken, first, most = [], threading.Event(), []

    def items():
        for number in range(200):
            taken.append(number)
            if number == 32:
                first.set()
            yield number

    def work(number: int) -> int:
        if number == 0:
            first.wait(10)
        return number

    def finished(number: int) -> None:
        most.append(len(taken) - number)

    work_in_order(work, items(), 2, finished)
    assert len(most) == 200
    assert max(most) == 2 * 16 + 1


def test_after_an_error_nothing_is_begun_and_what_runs_is_finished():
    begun, found, running = [], [], threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            running.wait(10)
            raise KeyboardInterrupt
        if number == 2:
            running.set()
            time.sleep(0.1)
        return number

    with pytest.raises(KeyboardInterrupt):
        work_in_order(work, range(100), 2, found.append)
    assert found == [0, 2]
    assert begun == [0, 1, 2]
