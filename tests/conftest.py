# SPDX-License-Identifier: Apache-2.0
"""What the tests of the commands share: a data set of phantoms, a run trained on it, and the command line itself."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from command_support import TINY, Outcome, restored_process
from wheel_support import build_wheel, call

from lungseg.utils.errors import UsageError
from lungseg.workflows.deploy.cuda_runtime import prepare_runtime

# Several processes with many threads each are slower than with one, on the few cores of a test machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests that use ONNX Runtime themselves are not reported to its makers either.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Importing MONAI imports MONAI Deploy, which wants the CUDA runtime library, in this process and in those it starts.
with suppress(UsageError):
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(
        filter(None, (str(prepare_runtime()), os.environ.get("LD_LIBRARY_PATH")))
    )


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep the label maps that annotations become out of the tester's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """Twelve phantoms of 96 x 72 pixels in Kaggle's layout, in a folder with a space: 9 train, 1 validates, 2 test."""
    from lungseg.data import write_phantoms

    return write_phantoms(tmp_path_factory.mktemp("data") / "twelve phantoms", count=12, seed=7, size=(96, 72))


@pytest.fixture(scope="session")
def run_folder(dataset, tmp_path_factory) -> Path:
    """A finished run of a tiny network: its masks are poor and many are flagged, but every command takes it."""
    from lungseg.model.config import parse_overrides
    from lungseg.training.train import train

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    settings = {"dataset_dir": str(dataset), "epochs": 2, **parse_overrides(TINY)}
    with restored_process():
        train(folder, settings)
    return folder


@pytest.fixture
def command(capsys):
    """Call `lungseg` in this process: `command("predict", path, "-o", folder)`."""
    from lungseg.cli.main import main

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        with restored_process():
            try:
                status = main([str(argument) for argument in arguments])
            except SystemExit as stop:  # argparse's way to refuse
                status = stop.code
        printed = capsys.readouterr()
        return Outcome(status, printed.out, printed.err)

    return call


@pytest.fixture
def process():
    """Call `python -m lungseg` in a process of its own, which takes seconds of imports: for what needs one."""

    def call(*arguments: object, before: str = "", **options) -> Outcome:
        code = f"import sys; from lungseg.cli.main import main; {before}; sys.exit(main(sys.argv[1:]))"
        start = ["-c", code] if before else ["-m", "lungseg"]
        done = subprocess.run(
            [sys.executable, *start, *map(str, arguments)], capture_output=True, text=True, timeout=600, **options
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def radiograph():
    """A real radiograph, (H, W) uint8, neither square nor symmetric."""
    import numpy as np

    from lungseg.cli.demo import real_radiograph
    from lungseg.io import read_radiograph

    pixels = read_radiograph(real_radiograph()).pixels[::4, ::4]
    return np.interp(pixels, (pixels.min(), pixels.max()), (0, 255)).astype(np.uint8)


@pytest.fixture(scope="session")
def segment(tmp_path_factory):
    """Segments (H, W) uint8 pixels with the shipped weights."""
    import lungseg
    from lungseg.io import write_png

    predictor = lungseg.load()

    def segmented(pixels):
        file = tmp_path_factory.mktemp("segmented") / "picture.png"
        write_png(file, pixels)
        return predictor.predict(file)

    return segmented


@pytest.fixture(scope="session")
def label_studies(tmp_path_factory, radiograph) -> Path:
    """A folder for the MONAI Label app: phantoms as PNG and JPEG, a real radiograph as PNG, DICOM and NIfTI."""
    from label_support import write_studies

    return write_studies(tmp_path_factory.mktemp("studies"), radiograph)


@pytest.fixture(scope="session")
def label_server(label_studies):
    """The MONAI Label app, started once by `lungseg label start` for all tests that leave it as they find it."""
    from label_support import LabelServer, require_environment

    require_environment()
    with LabelServer(label_studies) as server:
        yield server


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """A wheel of the tree."""
    return build_wheel(tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def site(wheel, tmp_path_factory) -> Path:
    """The wheel, installed beside the dependencies that are here; `-P` and the path keep the source tree out."""
    folder = tmp_path_factory.mktemp("installed") / "site"
    call("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


# A folder's tests all need what its marker says; others say what they need where they skip without it.
_FOLDER_MARKERS = ("label", "deploy")
_REASONS = {"browser": "chromium", "data": "LUNGSEG_DATA"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they need; see the markers in `setup.cfg`."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if folder in _FOLDER_MARKERS:
            item.add_marker(folder)
        reasons = " ".join(str(marker.kwargs.get("reason")) for marker in item.iter_markers("skipif"))
        for marker, word in _REASONS.items():
            if word in reasons:
                item.add_marker(marker)
