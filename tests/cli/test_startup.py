# SPDX-License-Identifier: Apache-2.0
"""What `lungseg predict` does not import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from images_support import write_dicom

from lungseg.data import phantom
from lungseg.io import write_png

# Packages that MONAI, SciPy and pydicom import where they are installed, and packages of MONAI for training.
HEAVY = {
    "cupy",
    "gdcm",
    "ignite",
    "jsonschema",
    "matplotlib",
    "nibabel",
    "pandas",
    "psutil",
    "pydicom",
    "requests",
    "scipy.interpolate",
    "scipy.linalg",
    "scipy.optimize",
    "scipy.signal",
    "scipy.sparse",
    "scipy.spatial",
    "scipy.stats",
    "skimage",
    "sympy",
    "tensorboard",
    "tifffile",
    "torch._dynamo",
    "torch._inductor",
    "torch.onnx",
    "monai.apps.pathology",
    "monai.engines",
    "monai.handlers",
    "monai.losses",
    "monai.metrics",
    "lungseg.data.layouts",
    "lungseg.evaluation",
    "lungseg.io.dicom",
    "lungseg.training.train",
    "lungseg.workflows",
}
PREDICT = f"""
import sys
from lungseg.cli.main import main
status = main()
print("\\n", status, sorted({HEAVY!r} & sys.modules.keys()))
"""
QUICKLY = """
import gc, sys
from lungseg.utils.imports import import_monai_quickly
import_monai_quickly()
assert gc.isenabled()
import lungseg.inference.predictor
predictor = lungseg.inference.predictor.Predictor(device="cpu")
from monai.bundle import ComponentLocator
from lungseg.model.trust import _NETWORKS
found = {name: ComponentLocator().get_component_module_name(name) for name in _NETWORKS}
assert all(isinstance(place, str) for place in found.values()), found
import ignite.engine, matplotlib.pyplot, monai.engines, monai.losses, monai.metrics
import pydicom, scipy.stats, skimage.exposure
"""
# As a MONAI would be whose transforms need a package that is held back.
OTHER_MONAI = """
from lungseg.utils import imports
imports._UNUSED_OF_MONAI = (*imports._UNUSED_OF_MONAI, "monai.networks.layers")
imports.block_monai_deploy()
imports.import_monai_quickly()
import sys
assert "monai.metrics" in sys.modules and "skimage" not in sys.modules and sys.modules["monai.deploy"] is None
import lungseg.inference.predictor
lungseg.inference.predictor.Predictor(device="cpu")
"""


def python(code: str, *arguments: str) -> str:
    """Run code in a new process, which must succeed, and return what it prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["one.png", "one.dcm"])
def test_one_picture_takes_no_imports_that_it_does_not_need(name, tmp_path):
    pixels = phantom(0, (256, 256))[0]
    write_png(tmp_path / "one.png", pixels)
    write_dicom(tmp_path / "one.dcm", pixels)
    printed = python(PREDICT, "predict", str(tmp_path / name), "-o", str(tmp_path / "out"))
    assert printed.splitlines()[-1].strip() == "0 []"


@pytest.mark.slow
def test_what_was_held_back_can_still_be_imported_and_a_config_can_name_the_networks():
    python(QUICKLY)


@pytest.mark.slow
def test_a_monai_that_needs_what_is_held_back_is_imported_as_it_is():
    python(OTHER_MONAI)


def test_the_command_line_is_read_without_what_takes_seconds():
    loaded = "sorted({'torch', 'monai', 'numpy', 'pyarrow', 'ray'} & sys.modules.keys())"
    code = f"import sys, lungseg.cli.main as c; c._parser(); print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_python_api_does_without_monai_deploy_and_its_cuda_library():
    code = "import lungseg; lungseg.load(device='cpu'); import sys; print('holoscan' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
