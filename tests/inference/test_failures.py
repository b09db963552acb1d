# SPDX-License-Identifier: Apache-2.0
"""Whatever a file raises at whatever stage: it fails with a reason, and all others are done."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest
from output_support import leftovers, statuses

from lungseg.inference import pipeline
from lungseg.inference.kinds import DEFAULT_KINDS
from lungseg.inference.outputs import Outputs
from lungseg.inference.predictor import Prediction, Predictor
from lungseg.inference.records import ResultRecords
from lungseg.utils.errors import LungsegError, UsageError

pytestmark = pytest.mark.safety("file-that-fails")


class PanicError(BaseException):
    """Like the panic of a library in Rust, which is not an `Exception`."""


ERRORS = [
    LungsegError("it is odd", code="odd"),
    UsageError("it is odd", code="odd"),
    OSError(errno.EIO, "odd"),
    MemoryError("odd"),
    RecursionError("odd"),
    ValueError("odd"),
    SystemExit("odd"),
    PanicError("odd"),
]
# Stage -> the function that does it, and its argument that is, or names, the file or its results.
STAGES = {
    "hash": (pipeline, "content_hash", 0),
    "look-up": (ResultRecords, "find", 1),
    "prepare": (Predictor, "prepare", 1),
    "run": (Predictor, "run", 1),
    "finish": (Predictor, "finish", 1),
    "encode": (Outputs, "encode", 1),
    "make-room": (Outputs, "make_room", 1),
    "begin": (ResultRecords, "begin", 1),
    "remove": (Outputs, "remove", 1),
    "write": (Outputs, "write", 1),
    "record": (ResultRecords, "add", 1),
}


@pytest.fixture
def source(dataset, tmp_path) -> Path:
    """A radiograph for each stage, and two that are well."""
    folder = tmp_path / "in"
    folder.mkdir()
    pictures = sorted((dataset / "CXR_png").iterdir())
    for number, name in enumerate(["a-good", *STAGES, "z-good"]):
        shutil.copy(pictures[number % len(pictures)], folder / f"{name}.png")
    return folder


@pytest.mark.parametrize("options", [(), ("--batch-size", 4)], ids=["one", "batch"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_each_kind_of_error_from_each_stage_fails_its_file(
    command, run_folder, source, tmp_path, monkeypatch, error, options
):
    files: dict[int, Path] = {}

    def is_of(value: object, stage: str) -> bool:
        if isinstance(value, list):
            return any(is_of(one, stage) for one in value)
        if isinstance(value, Prediction):
            return value.radiograph.source.path.stem == stage
        path = files.get(id(value), value)
        return isinstance(path, Path) and path.stem == stage

    def spoil(stage: str) -> None:
        owner, function, place = STAGES[stage]
        original = getattr(owner, function)

        def spoilt(*arguments, **named):
            # What is prepared from a file does not know its name.
            if is_of(arguments[place], stage):
                raise error
            result = original(*arguments, **named)
            if stage == "prepare":
                files[id(result)] = arguments[place]
                kept.append(result)
            return result

        monkeypatch.setattr(owner, function, spoilt)

    kept: list[object] = []
    for stage in STAGES:
        spoil(stage)
    out = tmp_path / "out"
    done = command("predict", source, "-o", out, "--weights", run_folder, "--workers", 2, "-v", *options)
    assert done.status == 1, done.err
    assert len(done.failures) == len(STAGES), done.err
    assert all("odd" in failure for failure in done.failures)
    expected = {f"{stage}.png" for stage in STAGES}
    assert {name for name, status in statuses(out).items() if status == "failed"} == expected
    assert len(statuses(out)) == len(STAGES) + 2
    for kind in DEFAULT_KINDS:
        assert sorted(path.stem for path in (out / kind).iterdir()) == ["a-good", "z-good"]
    assert not leftovers(out)
    assert not list(out.glob("under-way.*"))
