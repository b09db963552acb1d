# SPDX-License-Identifier: Apache-2.0
"""What MONAI Deploy needs of the machine, found or explained."""

from __future__ import annotations

import logging
import os
import warnings
from importlib.util import find_spec
from pathlib import Path

from lungseg.utils.errors import UsageError

_INSTALL = 'install it with pip install "lungseg[deploy]"'


def prepare_runtime() -> Path:
    """Load the CUDA runtime library, which Holoscan is linked to and wants even where there is no GPU.

    Loaded here, it is found without `LD_LIBRARY_PATH`, which would have to be set before Python starts. To be called
    before anything of MONAI Deploy is imported, which `import monai` does where it is installed.

    Returns:
        The library's folder, for the `LD_LIBRARY_PATH` of other programs.

    Raises:
        UsageError: a package of the extra `deploy`, or the library, is missing.
    """
    for package in ("holoscan", "highdicom"):
        if find_spec(package) is None:
            raise UsageError(f"the application needs the package {package}", remedy=_INSTALL)
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        library = Path(load_nvidia_dynamic_lib("cudart").abs_path)
    except (ImportError, RuntimeError) as error:
        raise UsageError(
            "MONAI Deploy needs the CUDA runtime library libcudart.so.13, even without a GPU, and it was not found",
            remedy='install it with pip install "nvidia-cuda-runtime==13.*", or set LD_LIBRARY_PATH to its folder',
        ) from error
    # Holoscan tells of each step of each run, and of the GPU that is not there.
    os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "ERROR")
    logging.getLogger("monai.deploy").setLevel(logging.WARNING)
    # What Holoscan thinks of the stack's size concerns operators with large frames, of which there are none here.
    warnings.filterwarnings("ignore", message="Current stack size")
    return library.parent
