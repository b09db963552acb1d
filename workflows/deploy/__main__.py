# SPDX-License-Identifier: Apache-2.0
"""`python workflows/deploy -i IN -o OUT -m BUNDLE`: the application as MONAI Deploy starts it, also in a package."""

from __future__ import annotations

import os
import sys

from lungseg.cli.main import main

# The SDK's options and environment variables, which its packages set, become those of `lungseg deploy run`.
_OPTIONS = {"--input": "HOLOSCAN_INPUT_PATH", "--output": "HOLOSCAN_OUTPUT_PATH", "--model": "HOLOSCAN_MODEL_PATH"}

if __name__ == "__main__":
    preset = [f"{option}={os.environ[variable]}" for option, variable in _OPTIONS.items() if os.environ.get(variable)]
    # Of an option that is given twice, the last one counts: that of the command line.
    sys.argv[1:] = ["deploy", "run", *preset, *sys.argv[1:]]
    sys.exit(main())
