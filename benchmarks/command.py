# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks' command lines share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.imports import silence_libraries


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark takes."""
    options = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    options.add_argument("--data", default=os.environ.get("LUNGSEG_DATA"), help="the data set (default: $LUNGSEG_DATA)")
    options.add_argument("--tables-only", action="store_true", help="rewrite the tables from the numbers kept")
    return options


def add_trial(options: argparse.ArgumentParser) -> None:
    """Add the option for a try on little work, of which nothing is kept."""
    options.add_argument("--trial", action="store_true", help="try it on little, print the tables, keep nothing")


def data_folder(options: argparse.Namespace) -> str:
    """Return the folder of the data set.

    Raises:
        UsageError: none was named.
    """
    if not options.data:
        raise UsageError("no data set was named", remedy="give --data DIR or set LUNGSEG_DATA")
    return options.data


def run(main: Callable[[list[str] | None], None], arguments: list[str] | None = None) -> int:
    """Call a benchmark; tell its expected failures in a sentence. Returns the exit status, as `lungseg` has it."""
    silence_libraries()
    try:
        main(arguments)
    except LungsegError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0
