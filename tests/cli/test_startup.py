# SPDX-License-Identifier: Apache-2.0
"""What `lungseg predict` does not import before it segments."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import sys
from lungseg.utils.imports import import_monai_quickly
import_monai_quickly()
loaded = {"ignite", "matplotlib", "skimage", "scipy.stats", "tensorboard"} & sys.modules.keys()
assert not loaded, loaded
import lungseg.inference.predict
import lungseg.inference.predictor
predictor = lungseg.inference.predictor.Predictor(device="cpu")
import ignite.engine, matplotlib.pyplot, scipy.stats, skimage.exposure
"""


@pytest.mark.slow
def test_monai_comes_alone_and_what_was_held_back_can_still_be_imported():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_command_line_is_read_without_what_takes_seconds():
    loaded = "sorted({'torch', 'monai', 'numpy'} & sys.modules.keys())"
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
