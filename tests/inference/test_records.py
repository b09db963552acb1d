# SPDX-License-Identifier: Apache-2.0
"""The record of results: the latest whole line about a result counts, whichever process wrote it."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from lungseg.inference.entry import Entry
from lungseg.inference.record_index import RecordIndex
from lungseg.inference.records import (
    ResultRecords,
    digest_of,
    is_unchanged,
    read_entries,
    start_record,
)
from lungseg.inference.under_way import UnderWay, take_notes
from lungseg.io.content import content_hash
from lungseg.report.table import COLUMNS, Row

ROW = Row(file="a.png", status="ok", name="a", lungs_px=3, lungs_mm2=1.0, quality=0.9)


def files(*kinds: str) -> dict[str, str]:
    return {kind: digest_of(kind.encode()) for kind in kinds}


def test_a_result_is_found_by_a_later_run(tmp_path):
    ResultRecords(tmp_path, {"weights": 1}).add(
        Path("a"), "content", ROW, files("masks", "nifti"), {"dicom-seg": "why"}
    )
    records = ResultRecords(tmp_path, {"weights": 1})
    entry = records.find(Path("a"))
    assert entry.row == ROW
    assert (entry.kinds, entry.refused) == ({"masks", "nifti"}, {"dicom-seg": "why"})
    assert entry.source == os.path.realpath("a.png")
    assert records.is_current(entry, "content")
    assert not records.is_current(entry, "other")
    assert not records.is_current(entry, None)
    assert not ResultRecords(tmp_path, {"weights": 2}).is_current(entry, "content")
    assert records.find(Path("b")) == Entry()
    assert not records.is_current(Entry(), None)


def test_kinds_that_were_begun_do_not_count_until_they_are_recorded(tmp_path):
    """A kill between the files of one radiograph: some are new, some are old."""
    ResultRecords(tmp_path, {}).add(Path("a"), "content", ROW, files("masks", "labels", "nifti"))
    ResultRecords(tmp_path, {}).begin(Path("a"), ["masks", "overlays"])
    records = ResultRecords(tmp_path, {})
    entry = records.find(Path("a"))
    assert (entry.kinds, entry.touched) == ({"labels", "nifti"}, {"masks", "overlays"})
    size = records.path.stat().st_size
    records.begin(Path("a"), ["masks"])
    records.begin(Path("unknown"), ["masks"])
    assert records.path.stat().st_size == size
    records.add(Path("a"), "content", ROW, files("masks"))
    assert read_entries(tmp_path)["a"] == records.find(Path("a"))
    assert (records.find(Path("a")).kinds, records.find(Path("a")).touched) == ({"masks"}, frozenset())


def test_a_failure_is_recorded_and_changes_nothing(tmp_path):
    records = ResultRecords(tmp_path, {})
    records.add(Path("a"), "content", ROW, files("masks"))
    for name in "ab":
        records.add_failure(Path(name), Row(file=f"{name}.png", status="failed", reason="why"))
    assert list(read_entries(tmp_path)) == ["a"]
    assert read_entries(tmp_path)["a"].row == ROW
    assert len(records.path.read_text().splitlines()) == 3


def test_the_latest_line_counts_whichever_process_wrote_it(tmp_path):
    rows = [Row(file="a.png", status="ok", lungs_px=number) for number in range(3)]
    for part, content, row in ((1, "old", rows[0]), (0, "older", rows[1]), (1, "new", rows[2])):
        ResultRecords(tmp_path, {}, part).add(Path("a"), content, row)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["records.1.jsonl", "records.jsonl"]
    entry = ResultRecords(tmp_path, {}).find(Path("a"))
    assert (entry.content, entry.row) == ("new", rows[2])


@pytest.mark.parametrize(
    "damage",
    [
        {"event": "unknown"},
        {"event": ["result"]},
        {"generation": None},
        {"generation": "1"},
        {"generation": 1.5},
        {"name": ["a"]},
        {"content": 5},
        {"model": {}},
        {"source": 7},
        {"files": {"masks": ["1"]}},
        {"files": ["masks"]},
        {"files": "masks"},
        {"refused": {"nifti": 3}},
        {"refused": None},
        {"row": None},
        {"row": ["a.png", "ok"]},
        {"row": {"file": None, "status": "ok"}},
        {"row": {"file": "a.png", "status": "ok", "lungs_px": "many"}},
        {"row": {"file": "a.png", "status": "ok", "unknown": 1}},
    ],
    ids=str,
)
def test_a_line_with_values_of_other_types_is_ignored(tmp_path, damage):
    records = ResultRecords(tmp_path, {})
    records.add(Path("a"), "content", ROW, files("masks"))
    line = json.loads(records.path.read_text())
    with records.path.open("a") as file:
        file.write(json.dumps(line | {"name": "b"} | damage) + "\n[]\nnull\n7\n{}\n")
    assert list(read_entries(tmp_path)) == ["a"]
    assert read_entries(tmp_path)["a"].row == ROW


@pytest.mark.parametrize("cut", [1, 40, 400])
def test_a_line_that_was_cut_off_is_ignored_and_the_next_one_is_not(tmp_path, cut):
    records = ResultRecords(tmp_path, {})
    for name in "abc":
        records.add(Path(name), "content", ROW, files("masks"))
    content = records.path.read_bytes()
    # Without its line break alone, a line is whole.
    records.path.write_bytes(content[:-cut])
    whole = ["a", "b", "c"] if cut == 1 else ["a", "b"]
    assert list(read_entries(tmp_path)) == whole
    ResultRecords(tmp_path, {}).add(Path("d"), "content", ROW, files("masks"))
    assert list(read_entries(tmp_path)) == [*whole, "d"]


def test_bytes_that_are_not_text_are_ignored(tmp_path):
    records = ResultRecords(tmp_path, {})
    records.add(Path("a"), "content", ROW, files("masks"))
    with records.path.open("ab") as file:
        file.write(bytes(range(256)))
    records.add(Path("b"), "content", ROW, files("masks"))
    assert list(read_entries(tmp_path)) == ["a", "b"]


def test_only_records_are_read(tmp_path):
    ResultRecords(tmp_path, {}).add(Path("a"), "content", ROW)
    for name in ("done.jsonl", "records.old.jsonl", "my-records.jsonl"):
        (tmp_path / name).write_bytes((tmp_path / "records.jsonl").read_bytes().replace(b'"a"', b'"b"'))
    assert list(read_entries(tmp_path)) == ["a"]
    assert read_entries(tmp_path / "missing") == {}


@pytest.mark.safety("clock-put-back")
def test_order_does_not_depend_on_the_clock(tmp_path, monkeypatch):
    """Each run finds the last one's results, whatever the time says and whichever process wrote them."""
    for hours, part, content in ((2, 0, "first"), (0, 1, "second"), (-5, 0, "third"), (-9, 3, "fourth")):
        monkeypatch.setattr(time, "time_ns", lambda hours=hours: hours * 3600 * 10**9)
        monkeypatch.setattr(time, "time", lambda hours=hours: hours * 3600.0)
        records = ResultRecords(tmp_path, {}, part)
        if part != 3:
            records.begin(Path("a"), ["masks"])
        records.add(Path("a"), content, ROW, files("masks"))
        later = ResultRecords(tmp_path, {})
        assert later.is_current(later.find(Path("a")), content)


def test_the_position_in_the_file_breaks_a_tie(tmp_path):
    records = ResultRecords(tmp_path, {})
    records.add(Path("a"), "first", ROW)
    line = records.path.read_text()
    records.path.write_text(line + line.replace("first", "second"))
    assert read_entries(tmp_path)["a"].content == "second"


@pytest.mark.safety("clock-put-back")
def test_files_are_invalid_on_the_disk_before_they_change(tmp_path, monkeypatch):
    """After a power cut, the line that files are being replaced is there if the new files are."""
    ResultRecords(tmp_path, {}).add(Path("a"), "content", ROW, files("masks"))
    records, synced = ResultRecords(tmp_path, {}), []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(read_entries(tmp_path)["a"].touched))
    records.begin(Path("a"), ["masks"])
    assert synced == [{"masks"}]


@pytest.mark.safety("clock-put-back")
def test_lines_of_a_version_that_trusted_the_clock_are_not_trusted(tmp_path):
    records = ResultRecords(tmp_path, {})
    records.add(Path("a"), "content", ROW, files("masks"))
    line = json.loads(records.path.read_text())
    del line["generation"], line["files"]
    records.path.write_text(json.dumps(line | {"time": 2**62, "kinds": ["masks"]}) + "\n")
    assert read_entries(tmp_path) == {}
    assert start_record(tmp_path)
    ResultRecords(tmp_path, {}).add(Path("b"), "content", ROW, files("masks"))
    assert list(read_entries(tmp_path)) == ["b"]
    assert not start_record(tmp_path)


@pytest.mark.safety("changed-results")
def test_a_file_is_known_by_its_size_and_content(tmp_path):
    digest = digest_of(b"abc")
    for content, unchanged in ((b"abc", True), (b"abd", False), (b"abcd", False)):
        (tmp_path / "a").write_bytes(content)
        assert is_unchanged(tmp_path / "a", digest) is unchanged
    assert not is_unchanged(tmp_path / "gone", digest)
    assert not is_unchanged(tmp_path, digest)
    for damaged in ("", "3", "3 x", "x"):
        assert not is_unchanged(tmp_path / "a", damaged)


@pytest.mark.safety("file-that-kills")
def test_a_file_is_suspected_after_one_kill_and_convicted_after_two_of_the_same_content(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    name, content = Path("a"), content_hash(path)
    for kills in (1, 2):
        ResultRecords(tmp_path, {}).add_kill(name, content)
        entry = read_entries(tmp_path)["a"]
        assert (entry.kills, entry.kills_process(path)) == (kills, kills == 2)
    # A failure by itself ends a suspicion only.
    ResultRecords(tmp_path, {}).add_failure(name, ROW)
    assert read_entries(tmp_path)["a"].kills == 2
    path.write_bytes(b"other")
    assert not read_entries(tmp_path)["a"].kills_process(path)
    ResultRecords(tmp_path, {}).add_kill(name, content_hash(path))
    assert read_entries(tmp_path)["a"].kills == 1
    records = ResultRecords(tmp_path, {})
    records.add_failure(name, ROW)
    assert records.find(name).kills == read_entries(tmp_path)["a"].kills == 0
    ResultRecords(tmp_path, {}).add_kill(name, content_hash(path))
    ResultRecords(tmp_path, {}).add(name, "content", ROW)
    assert read_entries(tmp_path)["a"].kills == 0


@pytest.mark.safety("file-that-kills")
def test_a_note_names_what_was_under_way_and_nothing_else(tmp_path):
    first, second = UnderWay(tmp_path, 0), UnderWay(tmp_path, 7)
    with first.noted({Path("done"): "1"}):
        pass
    # They are not left, as by a process that is killed.
    begun = [first.noted({Path("a"): "2", Path("b/c"): None}), second.noted({Path("d"): "3"})]
    for note in begun:
        note.__enter__()
    with second.path.open("ab") as file:
        file.write(b'{"begin": {"cut')
    assert take_notes(tmp_path, [7]) == {"d": "3"}
    assert take_notes(tmp_path) == {"a": "2", "b/c": ""}
    assert take_notes(tmp_path) == {}
    assert not list(tmp_path.iterdir())


def test_a_note_ends_with_an_error_and_a_full_disk_does_not_matter(tmp_path):
    note = UnderWay(tmp_path, 0)
    with pytest.raises(KeyboardInterrupt), note.noted({Path("a"): ""}):
        raise KeyboardInterrupt
    assert take_notes(tmp_path) == {}
    with UnderWay(tmp_path / "missing", 0).noted({Path("a"): ""}):
        pass


def test_a_folder_of_an_older_version_is_recognised_once(tmp_path):
    (tmp_path / "done.1.jsonl").touch()
    assert start_record(tmp_path)
    assert (tmp_path / "records.jsonl").is_file()
    assert not start_record(tmp_path)


def test_the_content_of_something_else_than_a_file_has_no_hash(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert content_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert content_hash(tmp_path) is content_hash(tmp_path / "gone") is None


def numbered(count: int) -> Iterator[tuple[Path, Row]]:
    """Names and rows as those of real results: no two have a value in common."""
    for number in range(count):
        values = {name: number + 0.5 for name in COLUMNS if name.endswith(("_mm2", "_mm", "_mean"))}
        yield Path(f"{number:06d}"), replace(ROW, name=f"{number:06d}", **values)


def test_what_is_known_of_many_results_stays_on_the_disk(tmp_path):
    """A hundred thousand of them take a hundredth of a small machine's memory."""
    records = ResultRecords(tmp_path, {})
    for stem, row in numbered(500):
        records.add(stem, "content", row, files("masks", "labels", "overlays", "thumbnails"))
    tracemalloc.start()
    try:
        index = RecordIndex.read(tmp_path)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(list(index.names())) == 500
    assert index.find(Path("000007")).row == list(numbered(8))[7][1]
    assert held < 500 * 500
    assert peak < 2 * held


def test_an_index_knows_the_names_that_it_is_asked_for_and_the_generation_of_all(tmp_path):
    records = ResultRecords(tmp_path, {})
    for name in "abc":
        records.add(Path(name), "content", ROW, files("masks"))
    index = RecordIndex.read(tmp_path, {"b", "unknown"})
    assert list(index.names()) == ["b"]
    assert index.find(Path("a")) == Entry()
    assert index.generation == 3
    # What is written with it comes after all lines, also those that it does not know.
    ResultRecords(tmp_path, {}, 1, index).add(Path("b"), "new", ROW)
    assert read_entries(tmp_path)["b"].content == "new"


def test_an_index_of_another_process_is_told_what_it_needs(tmp_path):
    """As a worker, which does not read the record."""
    ResultRecords(tmp_path, {}).add(Path("a"), "content", ROW, files("masks"))
    whole, own = RecordIndex.read(tmp_path), RecordIndex(tmp_path, 1)
    records = ResultRecords(tmp_path, {}, 1, own)
    assert records.find(Path("a")) == Entry()
    own.learn(Path("a"), whole.lines(Path("a")))
    assert records.find(Path("a")) == whole.find(Path("a"))
    records.begin(Path("a"), ["masks"])
    assert records.find(Path("a")).touched == read_entries(tmp_path)["a"].touched == {"masks"}
    own.forget(Path("a"))
    assert list(own.names()) == []


def test_lines_count_in_their_order_wherever_they_lie(tmp_path):
    """The folder of one machine was copied over that of another: a file is not in the order of generations."""
    records = ResultRecords(tmp_path, {})
    records.add(Path("a"), "first", ROW, files("masks"))
    records.add_failure(Path("a"), ROW)
    records.add_kill(Path("a"), "first")
    records.add(Path("a"), "second", ROW, files("masks"))
    records.add_kill(Path("a"), "second")
    records.begin(Path("a"), ["masks"])
    lines = records.path.read_bytes().splitlines(keepends=True)
    expected = read_entries(tmp_path)["a"]
    assert (expected.content, expected.kills, expected.touched) == ("second", 1, {"masks"})
    for order in permutations(range(len(lines))):
        records.path.write_bytes(b"".join(lines[place] for place in order))
        assert read_entries(tmp_path)["a"] == expected


def test_a_record_that_was_removed_says_nothing(tmp_path):
    records = ResultRecords(tmp_path, {})
    records.add(Path("a"), "content", ROW)
    records.path.unlink()
    assert records.find(Path("a")) == Entry()
