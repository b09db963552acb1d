# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.peers.process_each INPUTS OUTPUT`: a new process for each file, as a shell's loop does it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def segment(inputs: Path, output: Path) -> None:
    """Write a mask for each PNG file of a folder into `output`/masks; each time, the network is loaded again."""
    for path in sorted(inputs.glob("*.png")):
        subprocess.run([sys.executable, "-m", "benchmarks.peers.file_loop", path, output], check=True)


if __name__ == "__main__":
    segment(*map(Path, sys.argv[1:]))
