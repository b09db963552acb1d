# SPDX-License-Identifier: Apache-2.0
"""The pipeline, killed before each change that it makes to the disk: the record stays true, the next run goes on."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lungseg.inference import kinds
from lungseg.inference.outputs import Outputs
from lungseg.inference.pipeline import Pipeline
from lungseg.inference.records import ResultRecords, read_entries
from lungseg.io.content import content_hash

STEM = Path("a")
# The context of processes that share this one's memory: no network is loaded here.
FORK = multiprocessing.get_context("fork") if "fork" in multiprocessing.get_all_start_methods() else None
KILLED = 9


class Predictor:
    """Finds lungs at once."""

    def prepare(self, path: Path) -> SimpleNamespace:
        source = SimpleNamespace(path=path, sha256=content_hash(path))
        return SimpleNamespace(seconds={}, radiograph=SimpleNamespace(source=source, pixels=np.zeros((2, 3))))

    def run(self, batch: list) -> list:
        return [None] * len(batch)

    def finish(self, prepared: SimpleNamespace, logits: None) -> SimpleNamespace:
        labels = np.ones((2, 3), np.uint8)
        radiograph = SimpleNamespace(spacing=None, spacing_kind="unknown", source=prepared.radiograph.source)
        return SimpleNamespace(
            labels=labels,
            radiograph=radiograph,
            quality=1.0,
            quality_lower=0.9,
            doubts={},
            notes={},
            measurements={},
            cardiothoracic_ratio=None,
        )


@pytest.fixture(autouse=True)
def plain_kinds(monkeypatch):
    """Files that hold the input's content and their kind."""
    for kind, (ending, _) in kinds.KINDS.items():
        encode = lambda prediction, _, kind=kind: content_of(prediction.radiograph.source.path.read_bytes(), kind)  # noqa: E731
        monkeypatch.setitem(kinds.KINDS, kind, (ending, encode))


def content_of(content: bytes, kind: str) -> bytes:
    return content + kind.encode()


def run(folder: Path, kinds: list[str], **options: bool) -> None:
    pipeline = Pipeline(Predictor(), Outputs(folder / "out", kinds), ResultRecords(folder / "out", {}), **options)
    (outcome,) = pipeline([(folder / "a.bin", STEM)])
    assert outcome.row.status == "ok", outcome.row.reason


def files(folder: Path) -> dict[str, bytes]:
    """Kind -> content of what is there."""
    found = [file for file in (folder / "out").glob("*/*") if not file.name.startswith(".")]
    return {file.parent.name: file.read_bytes() for file in found}


def killed(folder: Path, kinds: list[str], number: int, overwrite: bool) -> None:
    """Run until the disk is to be changed for the given time, and end as a killed process does."""
    count = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal count
        changes = event in ("os.rename", "os.remove", "os.mkdir")
        if changes or (event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wa+")):
            count += 1
            if count == number:
                os._exit(KILLED)

    sys.addaudithook(watch)
    run(folder, kinds, overwrite=overwrite)
    os._exit(0)


CASES = {
    "new": (None, b"new", [], ["masks", "labels", "nifti"], False),
    "other content": (b"old", b"new", ["masks", "labels", "nifti"], ["overlays", "masks", "labels"], False),
    "more kinds": (b"old", b"old", ["masks", "nifti"], ["masks", "labels", "overlays"], False),
    "again": (b"old", b"old", ["masks", "nifti"], ["masks", "labels"], True),
}


@pytest.mark.skipif(FORK is None, reason="this system cannot fork")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.safety("killed-run")
def test_a_kill_at_any_moment_loses_nothing_and_leaves_nothing_false(tmp_path, case):
    before, content, kinds_before, kinds, overwrite = CASES[case]
    # Kinds of the same content that are not written again hold throughout.
    kept = set(kinds_before) - (set(kinds) if overwrite else set()) if before == content else set()
    for number in range(1, 100):
        folder = tmp_path / str(number)
        (folder / "out").mkdir(parents=True)
        if before:
            (folder / "a.bin").write_bytes(before)
            run(folder, kinds_before)
        (folder / "a.bin").write_bytes(content)
        times = {kind: (folder / "out" / kind).stat().st_mtime_ns for kind in kept}
        process = FORK.Process(target=killed, args=(folder, kinds, number, overwrite))
        process.start()
        process.join()

        entry = read_entries(folder / "out").get("a")
        if entry:
            # A file of the record holds the content of the record.
            recorded = {content_hash(folder / "a.bin"): content}.get(entry.content, before)
            there = files(folder)
            assert {kind: there.get(kind) for kind in entry.kinds} == {
                kind: content_of(recorded, kind) for kind in entry.kinds
            }
            assert entry.kinds >= kept
        run(folder, kinds)
        expected = {*kinds, *kinds_before} if before == content else set(kinds)
        assert files(folder) == {kind: content_of(content, kind) for kind in expected}
        assert read_entries(folder / "out")["a"].kinds == expected
        assert {kind: (folder / "out" / kind).stat().st_mtime_ns for kind in kept} == times
        if process.exitcode == 0:
            break
        assert process.exitcode == KILLED
    assert number > 3 * len(set(kinds) - kept)
