# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict --part K/N` on machines that share a folder of results, and `lungseg merge`."""

from __future__ import annotations

import csv
import json
import shutil
from itertools import chain
from pathlib import Path

import pytest

from lungseg.inference.merge import merge
from lungseg.inference.part_records import read_parts
from lungseg.inference.parts import Part, parse_part
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import only_user

ARRAY = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "5"}


@pytest.fixture
def source(dataset, tmp_path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for path in sorted((dataset / "CXR_png").iterdir())[:7]:
        shutil.copy(path, folder)
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "report.csv").open(newline="", encoding="utf-8") as file:
        return [row | {"seconds": ""} for row in csv.DictReader(file)]


def files_of(folder: Path) -> dict[str, bytes]:
    kinds = ("masks", "labels", "overlays")
    return {f"{kind}/{path.name}": path.read_bytes() for kind in kinds for path in (folder / kind).iterdir()}


def test_every_file_is_in_one_part_and_stays_there():
    stems = [Path(f"patient {number}/image.{number}") for number in range(2000)]
    parts = [[stem for stem in stems if Part(number, 16).has(stem)] for number in range(1, 17)]
    assert sorted(stem for part in parts for stem in part) == sorted(stems)
    assert all(80 < len(part) < 175 for part in parts)
    # A change of the hash would move files between the parts of a run that was stopped.
    found = [number for name in "abcdef" for number in (1, 2, 3) if Part(number, 3).has(Path(name))]
    assert found == [2, 2, 3, 3, 3, 1]


def test_workers_of_all_parts_have_records_of_their_own():
    numbers = [list(Part(number, 3).records(4)) for number in (1, 2, 3)]
    assert sorted(chain(*numbers)) == list(range(12))
    assert all(Part(2, 3).has_record(number) for number in numbers[1])
    assert not any(Part(2, 3).has_record(number) for number in numbers[0] + numbers[2])


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "1", "a/b", "-1/4", "1/4/2", ""])
def test_a_part_that_cannot_be(text):
    with pytest.raises(UsageError) as raised:
        parse_part(text)
    assert raised.value.code == "bad-part"


def test_parts_by_number_and_of_a_job_array():
    assert parse_part("3/16") == Part(3, 16)
    assert parse_part("slurm", {name: ARRAY[name] for name in list(ARRAY)[:2]} | {"SLURM_ARRAY_TASK_ID": "4"}) == Part(
        4, 4
    )
    assert parse_part("slurm", ARRAY) == Part(3, 4)
    assert parse_part("slurm", ARRAY | {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_STEP": "2"}) == Part(4, 4)


@pytest.mark.parametrize(
    "changed",
    [
        {"SLURM_ARRAY_TASK_ID": ""},
        {"SLURM_ARRAY_TASK_ID": "9"},
        {"SLURM_ARRAY_TASK_ID": "4"},
        {"SLURM_ARRAY_TASK_COUNT": "many"},
        {"SLURM_ARRAY_TASK_STEP": "0"},
        {"SLURM_ARRAY_TASK_STEP": "3"},
    ],
)
def test_a_task_that_states_no_part(changed):
    for environment in (ARRAY | changed, {}):
        with pytest.raises(UsageError) as raised:
            parse_part("slurm", environment)
        assert raised.value.code == "no-slurm-array"


def test_parts_and_a_merge_are_a_run(source, run_folder, command, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ("--weights", run_folder, "--save", "coco")
    assert command("predict", source, "-o", whole, *options).status == 0
    done = [command("predict", source, "-o", parts, *options, "--part", f"{number}/3") for number in (2, 1, 3)]
    assert [one.status for one in done] == [0, 0, 0]
    assert f"when all parts are done: lungseg merge {parts}" in done[0].out
    assert not (parts / "report.csv").exists()

    merged = command("merge", parts)
    assert merged.status == 0, merged.err
    assert rows_of(parts) == rows_of(whole)
    assert files_of(parts) == files_of(whole)
    assert (parts / "annotations.coco.json").read_bytes() == (whole / "annotations.coco.json").read_bytes()
    report = json.loads((parts / "report.json").read_text())
    assert [part["part"] for part in report["parts"]] == ["part 1 of 3", "part 2 of 3", "part 3 of 3"]
    assert sum(part["done"] for part in report["parts"]) == 7
    assert "stopped" not in report

    # A plain run reuses what the parts made.
    again = command("predict", source, "-o", parts, *options)
    assert "settings): 7" in again.out
    assert rows_of(parts) == rows_of(whole)


def test_a_new_file_moves_no_other(source, run_folder, command, tmp_path):
    out, options = tmp_path / "out", ("--weights", run_folder)
    for number in (1, 2):
        command("predict", source, "-o", out, *options, "--part", f"{number}/2")
    before = {record.part: {stem for _, _, stem in record.files} for record in read_parts(out)}
    shutil.copy(next(source.iterdir()), source / "0 new.png")
    done = [command("predict", source, "-o", out, *options, "--part", f"{number}/2") for number in (1, 2)]
    after = {record.part: {stem for _, _, stem in record.files} for record in read_parts(out)}
    assert all(after[part] - before[part] <= {"0 new"} and before[part] <= after[part] for part in before)
    assert sum(int(one.out.split("settings): ")[1].split()[0]) for one in done) == 7
    assert command("merge", out).status == 0
    assert len(rows_of(out)) == 8


def test_a_merge_states_what_is_missing(source, run_folder, command, tmp_path):
    out, options = tmp_path / "out", ("--weights", run_folder)
    (source / "a.png").write_bytes(b"")
    for number in (1, 2, 3):
        command("predict", source, "-o", out, *options, "--part", f"{number}/4")
    record = max(read_parts(out), key=lambda record: len(record.rows))
    lines = record.path(out).read_text().splitlines(keepends=True)
    # As after a kill: a row is cut off, and the end is not there.
    record.path(out).write_text("".join(lines[:-2]) + lines[-2][:30])
    lost = {file for place, file, _ in record.files} - {
        row.file for row in read_parts(out)[record.part.number - 1].rows.values()
    }
    done = command("merge", out)
    assert done.status == 1
    assert "missing, of parts that have begun: 1: " in done.err
    assert lost.pop() in done.err
    assert "parts of 4 that have not begun: 4" in done.err
    report = json.loads((out / "report.json").read_text())
    assert report["stopped"].startswith("1 radiograph")
    # The same part again does what is missing.
    for number in (record.part.number, 4):
        command("predict", source, "-o", out, *options, "--part", f"{number}/4")
    done = command("merge", out)
    assert done.status == 1
    assert "missing" not in done.err
    assert [row["name"] for row in rows_of(out) if row["status"] == "failed"] == [""]
    assert len(rows_of(out)) == 8


def test_a_folder_without_parts(source, run_folder, command, tmp_path):
    out = tmp_path / "out"
    command("predict", source, "-o", out, "--weights", run_folder)
    with pytest.raises(LungsegError) as raised:
        merge(out)
    assert raised.value.code == "no-parts"
    assert command("merge", tmp_path / "not there").status == 1


def test_other_parts_or_settings_replace_those_of_an_earlier_run(source, run_folder, command, tmp_path):
    out, options = tmp_path / "out", ("--weights", run_folder)
    for number in (1, 2):
        command("predict", source, "-o", out, *options, "--part", f"{number}/2")
    # Not while one of them is at work.
    with only_user(Part(2, 2).lock(out)):
        done = command("predict", source, "-o", out, *options, "--part", "1/3")
        assert done.status == 2
        assert "part 2 of 2" in done.sentence
        assert command("predict", source, "-o", out, *options, "--part", "2/2").status == 2
        assert command("predict", source, "-o", out, *options).status == 2
        # A merge reports on what is done.
        assert "parts that are at work: 2" in command("merge", out).err
    done = command("predict", source, "-o", out, *options, "--part", "1/3")
    assert done.status == 0
    assert [record.part for record in read_parts(out)] == [Part(1, 3)]
    command("predict", source, "-o", out, *options, "--part", "2/3", "--no-overlays")
    assert [record.part for record in read_parts(out)] == [Part(2, 3)]
