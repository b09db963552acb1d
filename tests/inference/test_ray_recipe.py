# SPDX-License-Identifier: Apache-2.0
"""The recipes for Ray in docs/scale.md; on one machine, with a run that is killed and run again."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from ray_support import listening, processes_of, report_of, rows_of, segmenters
from stopping_support import hooked, marks, start

from lungseg.cli.main import _parser

pytest.importorskip("ray")

_PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text("utf-8")
_BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", _PAGE[_PAGE.index("## Ray") :], re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for_end(process: psutil.Process, seconds: float = 600) -> None:
    """Wait until a process has ended, which nobody may have noticed in a container."""
    end = time.monotonic() + seconds
    while is_alive(process):
        assert time.monotonic() < end, process
        time.sleep(0.1)


@pytest.fixture
def folder():
    """A folder for temporary files with a name that is short enough for Ray."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield name


@pytest.mark.slow
def test_the_recipe_for_one_machine_when_the_run_is_killed(dataset, run_folder, command, folder, tmp_path):
    archive, results = tmp_path / "archive", tmp_path / "results"
    archive.mkdir()
    for name, path in zip("abcdef", sorted((dataset / "CXR_png").iterdir()), strict=False):
        shutil.copy(path, archive / f"{name}.png")
    ((_, *words),) = commands(_BLOCKS[0][1])
    words = [word.replace("/archive", str(archive)).replace("/results", str(results)) for word in words]
    words += ["--weights", str(run_folder), "--workers", "2"]

    # Ray by itself would make one, for good.
    token = Path.home() / ".ray" / "auth_token"
    had_token = token.exists()
    environment, hook = os.environ | {"TMPDIR": folder}, tmp_path / "hook"
    # The run does not end by itself: the process that has the last radiograph stands still.
    process = start("-m", "lungseg", *words, environment=hooked(hook, "/labels/.f.", "wait") | {"TMPDIR": folder})
    while not (list(results.glob("rows/0*")) and marks(hook)):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    standing = segmenters(folder)
    assert standing
    for one in standing:
        # One that has nothing more to do may have just ended.
        with suppress(psutil.NoSuchProcess):
            one.suspend()
    cluster = processes_of(folder)
    children = [child for one in cluster if one.name() == "raylet" for child in one.children(recursive=True)]
    assert {host for one in {*cluster, *children} for host in listening(one)} == {"127.0.0.1"}
    servers = [one for one in cluster if one.name() in ("raylet", "gcs_server")]
    assert len(servers) == 2
    process.kill()
    process.communicate(timeout=300)
    for one in standing:
        with suppress(psutil.NoSuchProcess):
            one.resume()
    # Those that watch the others notice it later, and write nothing.
    for one in (*standing, *servers):
        wait_for_end(one)

    kept = {path: path.read_bytes() for path in results.glob("rows/*.parquet")}
    process = start("-m", "lungseg", *words, environment=environment)
    printed = process.communicate(timeout=900)[0].splitlines()
    assert process.returncode == 0, printed
    assert printed[-1].startswith("6 flagged: open ")
    assert any(line.startswith("Reused results") for line in printed)
    assert not [line for line in printed if re.search(r"INFO|WARN|ERROR|core_worker|\bRay\b", line)]
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert len(rows_of(results)) == 6

    command("predict", archive, "-o", tmp_path / "plain", "--weights", run_folder)
    reports = (report_of((out / "report.csv").read_text("utf-8")) for out in (results, tmp_path / "plain"))
    assert next(reports) == next(reports)
    assert token.exists() == had_token

    pandas = pytest.importorskip("pandas")
    (code,) = (text for language, text in _BLOCKS if language == "python")
    names: dict[str, object] = {}
    exec(code.replace('"results/', f'"{results}/'), names)
    table = names["table"]
    assert isinstance(table, pandas.DataFrame)
    assert sorted(table["name"]) == list("abcdef")


def test_the_other_recipes_have_options_that_exist():
    found = [words for language, text in _BLOCKS if language == "sh" for words in commands(text)]
    ours = [words[1:] for words in found if words[0] == "lungseg"]
    assert len(ours) == 3
    assert [_parser().parse_args(words).ray for words in ours] == ["", "192.0.2.10:6379", "192.0.2.10:6379"]
    assert {words[0] for words in found} == {"lungseg", "ray", "export"}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--part", "1/2", "--ray"], "not-with-ray"),
        (["--save", "coco", "--ray"], "not-with-ray"),
        (["--device", "cuda:1", "--ray"], "not-with-ray"),
        (["--image-column", "image"], "only-with-ray"),
        (["--image-column", "image", "--ray"], "not-parquet"),
    ],
)
def test_options_that_do_not_go_together(options, code, dataset, command, tmp_path, caplog):
    done = command("predict", dataset / "CXR_png", "-o", tmp_path / "out", *options, "--debug")
    assert done.status == 2
    assert f"error code {code}" in done.out
    assert not (tmp_path / "out").exists()


def test_without_the_extra(dataset, command, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = command("predict", dataset / "CXR_png", "-o", tmp_path / "out", "--ray")
    assert done.status == 2
    assert 'pip install "lungseg[ray]"' in done.sentence
