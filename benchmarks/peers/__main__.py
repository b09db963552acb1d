# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.peers`."""

import sys

from benchmarks.peers import main
from recipes.command import run

if __name__ == "__main__":
    sys.exit(run(main))
