# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict --ray` on a cluster of Ray with two processors."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
from ray_support import Started, cluster, report_of, rows_of
from stopping_support import hooked, let_go, marks, wait_for

from lungseg.inference.ray.actor import ENDED, Segmenter
from lungseg.inference.ray.ledger import Ledger
from lungseg.inference.ray.results import Results
from lungseg.utils.errors import LungsegError

pa = pytest.importorskip("pyarrow")
pytest.importorskip("ray")

import pyarrow.parquet as pq  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hook(tmp_path_factory) -> Path:
    """The hook of the cluster: a process that segments a radiograph called `held` stands still until it is let go."""
    return tmp_path_factory.mktemp("hook")


@pytest.fixture(scope="module")
def started(hook) -> Iterator[Started]:
    """A cluster that is there for all tests of the module."""
    with cluster(2, hooked(hook, "/labels/.held.", "wait")) as found:
        yield found


@pytest.fixture
def source(dataset, tmp_path) -> Path:
    """Six phantoms, called a to f."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, path in zip("abcdef", sorted((dataset / "CXR_png").iterdir()), strict=False):
        shutil.copy(path, folder / f"{name}.png")
    return folder


@pytest.fixture
def on_ray(command, started, run_folder, tmp_path):
    """Segment on the cluster, to the folder `target`."""

    def call(source, *options, target=tmp_path / "target"):
        return command("predict", source, "-o", target, "--weights", run_folder, *options, "--ray", started.address)

    return call


@pytest.fixture
def plainly(command, run_folder, tmp_path):
    """Segment without Ray, and return the folder of the results."""

    def call(source, *options) -> Path:
        command("predict", source, "-o", tmp_path / "plain", "--weights", run_folder, *options)
        return tmp_path / "plain"

    return call


def check_equal(target: Path, plain: Path, times: int) -> None:
    """Check that rows and label maps are those of a run without Ray."""
    assert report_of((target / "report.csv").read_text("utf-8")) == report_of((plain / "report.csv").read_text("utf-8"))
    rows = rows_of(target)
    assert len(rows) == times
    for key, row in rows.items():
        failed = row["status"] == "failed"
        assert row["labels"] == (None if failed else (plain / "labels" / f"{key}.png").read_bytes())


def test_the_same_rows_and_files_as_without_ray(source, on_ray, plainly, tmp_path):
    (source / "ward b").mkdir()
    (source / "f.png").rename(source / "ward b" / "=1+1.png")
    (source / "bad.png").write_bytes(b"not a picture")
    kinds = ("masks", "labels", "overlays", "thumbnails", "nifti")
    plain, target = plainly(source, "--save", "nifti"), tmp_path / "target"
    done = on_ray(source, "--save", ",".join(kinds))
    assert (done.status, len(done.failures)) == (1, 1)
    assert "6 flagged, 1 failed: open" in done.out.splitlines()[-1]
    check_equal(target, plain, 7)
    assert rows_of(target)["bad"]["code"] == "unknown-format"
    for kind in kinds:
        written, expected = (
            {path.relative_to(out): path.read_bytes() for path in (out / kind).rglob("*.*")} for out in (target, plain)
        )
        assert written == expected
        assert len(written) == 6


def test_rows_that_hold_are_not_made_again(source, on_ray, plainly, tmp_path):
    target = tmp_path / "target"
    (source / "f.png").rename(tmp_path / "f.png")
    assert on_ray(source, "--save", "masks", "--workers", "1").status == 0
    before = {path: path.read_bytes() for path in (target / "rows").iterdir()}

    shutil.move(tmp_path / "f.png", source)
    shutil.copy(source / "a.png", source / "b.png")
    (target / "masks" / "c.png").write_bytes(b"")
    done = on_ray(source, "--save", "masks", "--workers", "1")
    assert "(same content, weights and settings): 3" in done.out
    check_equal(target, plainly(source), 6)
    assert (target / "masks" / "c.png").stat().st_size

    rows = {path: path.read_bytes() for path in (target / "rows").iterdir()}
    assert any(before.get(path) == content for path, content in rows.items())
    done = on_ray(source, "--ctr", "never", "--workers", "1")
    assert "Reused" not in done.out
    assert len(rows_of(target)) == 6
    assert not rows.keys() & set((target / "rows").iterdir())


def test_relative_names_are_those_of_the_folder_in_which_the_command_was_called(source, on_ray, tmp_path, monkeypatch):
    """The processes of a cluster were started in another one."""
    monkeypatch.chdir(tmp_path)
    assert on_ray("in", "--save", "masks", target="target").status == 0
    assert {row["file"] for row in rows_of(tmp_path / "target").values()} == {f"in/{name}.png" for name in "abcdef"}
    assert len(list((tmp_path / "target" / "masks").iterdir())) == 6


def test_a_name_that_is_not_utf8(source, on_ray, tmp_path):
    folder, name = tmp_path / "one", os.fsdecode(b"\xff.png")
    folder.mkdir()
    shutil.copy(source / "a.png", folder / name)
    for reused in (False, True):
        done = on_ray(folder, "--save", "masks")
        assert done.status == 0, done
        assert ("Reused" in done.out) == reused
        assert [path.name for path in (tmp_path / "target" / "masks").iterdir()] == [name]


def test_a_radiograph_whose_results_get_another_name_has_one_row(source, on_ray, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    shutil.copy(source / "a.png", folder)
    on_ray(folder)
    shutil.copy(source / "b.png", folder / "a.tif")
    on_ray(folder)
    rows = rows_of(tmp_path / "target")
    assert {key: Path(row["file"]).name for key, row in rows.items()} == {"a_png": "a.png", "a_tif": "a.tif"}


def test_rows_that_cannot_be_read(source, on_ray, tmp_path, monkeypatch):
    """A run that cannot read its own rows does not end well; rows of another version are refused before the work."""
    damaged = LungsegError("this file of results cannot be read", "x.parquet")
    with monkeypatch.context() as patch:
        patch.setattr(Results, "rows", Mock(side_effect=damaged))
        done = on_ray(source)
    assert done.status == 1
    assert done.err.splitlines()[-1] == f"lungseg: {damaged}"
    older = tmp_path / "target" / "rows" / f"000009-{'0' * 32}.parquet"
    pq.write_table(pa.table({"key": ["a"], "status": ["ok"]}), older)
    assert older.name in on_ray(source).sentence


def test_a_cluster_without_a_gpu(source, on_ray, monkeypatch):
    monkeypatch.setattr("ray.data.Dataset.map_batches", None)
    done = on_ray(source, "--device", "cuda")
    assert done.status == 2
    assert "the cluster has no GPU" in done.sentence


def test_killed_processes_lose_and_double_nothing(source, on_ray, plainly, started, hook, tmp_path):
    for number in range(3):
        for path in list(source.glob("?.png")):
            shutil.copy(path, source / f"{path.stem}{number}.png")
    (source / "f2.png").rename(source / "held.png")
    killed = []

    def kill() -> None:
        try:
            # One has written rows, and one is in the middle of its work.
            wait_for(lambda: list(tmp_path.glob("target/rows/0*")) and marks(hook))
            for process in started.segmenters():
                killed.append(process.pid)
                # One that has nothing more to do may have just ended.
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        finally:
            let_go(hook)

    killer = threading.Thread(target=kill)
    killer.start()
    done = on_ray(source)
    killer.join()
    assert killed
    assert done.status == 0
    check_equal(tmp_path / "target", plainly(source), 24)


@pytest.mark.parametrize(
    ("raised", "code"),
    [(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "disk-full"), (ZeroDivisionError("by zero"), "unexpected")],
)
def test_an_error_of_a_machine_is_named(raised, code):
    class Failing(Segmenter):
        def _load(self) -> None:
            """Load nothing."""

        def _segment(self, inputs):
            raise raised

    (answer,) = Failing(Mock(scratch="/scratch"), None)(Mock())[ENDED]
    error = pickle.loads(answer)
    assert error.code == code
    assert str(raised).rpartition("] ")[2] in str(error)


def test_a_radiograph_is_to_blame_for_killed_processes_only_when_two_were_killed_by_it_alone():
    """Machines of a cluster may be taken away at any time, whatever they segment."""
    ledger = Ledger({"a": "a", "b": "b"}, {})
    assert not ledger.begin("batch", "ab").again
    assert ledger.begin("batch", "ab").again
    for file in "ab":
        ledger.alone("batch", file)
        assert not ledger.begin("batch", "ab").killers
    ledger.alone("batch", "b")
    assert ledger.begin("batch", "ab").killers == {"b"}
