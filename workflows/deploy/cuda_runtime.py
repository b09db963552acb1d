# SPDX-License-Identifier: Apache-2.0
"""Load the CUDA runtime library, without which MONAI Deploy cannot be imported."""

from __future__ import annotations

import logging
import os
import warnings
from importlib.util import find_spec
from pathlib import Path

from lungseg.utils.errors import UsageError


def prepare_runtime() -> Path:
    """Load the CUDA runtime library, which Holoscan is linked to and needs even without a GPU.

    Once loaded, Holoscan finds it without `LD_LIBRARY_PATH`, which would have to be set before Python starts. Call this
    before any import of MONAI Deploy; where MONAI Deploy is installed, `import monai` imports it.

    Returns:
        The folder of the library, for the `LD_LIBRARY_PATH` of other programs.

    Raises:
        UsageError: the library or a package of the extra `deploy` is not installed.
    """
    for package in ("holoscan", "highdicom"):
        if find_spec(package) is None:
            what, remedy = f"the application needs the package {package}", 'run pip install "lungseg[deploy]"'
            raise UsageError(what, remedy=remedy, code="package-missing")
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        library = Path(load_nvidia_dynamic_lib("cudart").abs_path)
    except (ImportError, RuntimeError) as error:
        raise UsageError(
            "the CUDA runtime library libcudart.so.13 was not found; MONAI Deploy needs it even without a GPU",
            remedy='run pip install "nvidia-cuda-runtime==13.*", or set LD_LIBRARY_PATH to the folder of the library',
            code="cuda-runtime-missing",
        ) from error
    # Otherwise Holoscan logs each step of each run, and warns that there is no GPU.
    os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "ERROR")
    logging.getLogger("monai.deploy").setLevel(logging.WARNING)
    # Holoscan's warning about the stack's size is for operators with large frames; this application has none.
    warnings.filterwarnings("ignore", message="Current stack size")
    return library.parent
