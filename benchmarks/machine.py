# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.machine`: describe the machine that measures speeds."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> str:
    """Return processor, cores, memory, Python, PyTorch and MONAI in a line."""
    from importlib.metadata import version

    import psutil

    from lungseg.model.backends import cpu_is_faster_in_bf16

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = (
        f"{_processor()}{' with bf16' if cpu_is_faster_in_bf16() else ''}",
        f"{cores} core{'s' * (cores != 1)}",
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        platform.system(),
        f"Python {platform.python_version()}",
        f"PyTorch {version('torch')}",
        f"MONAI {version('monai')}",
    )
    return ", ".join(parts)


def describe_device() -> str:
    """Return the name of the GPU that is used by default, or "CPU"."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.is_file() else []
    name = next((line.partition(":")[2] for line in lines if line.startswith("model name")), "")
    return " ".join((name or platform.processor() or platform.machine()).split())


if __name__ == "__main__":
    print(describe())
