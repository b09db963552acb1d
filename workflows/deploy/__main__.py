# SPDX-License-Identifier: Apache-2.0
"""`python workflows/deploy -i IN -o OUT -m BUNDLE`: the application as MONAI Deploy starts it, also in a package."""

from __future__ import annotations

import os
import sys

from lungseg.cli import main

# The SDK's options and environment variables, which its packages set, become those of `lungseg deploy run`.
_OPTIONS = {"-i": "HOLOSCAN_INPUT_PATH", "-o": "HOLOSCAN_OUTPUT_PATH", "-m": "HOLOSCAN_MODEL_PATH"}
_LONG = {"--input": "-i", "--output": "-o", "--model": "-m"}

if __name__ == "__main__":
    given = [_LONG.get(word.partition("=")[0], word) if word in _LONG else word for word in sys.argv[1:]]
    for option, variable in _OPTIONS.items():
        if option not in given and os.environ.get(variable):
            given += [option, os.environ[variable]]
    sys.argv[1:] = ["deploy", "run", *given]
    sys.exit(main())
