# SPDX-License-Identifier: Apache-2.0
"""Options that the commands of recipes and benchmarks have in common."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Callable

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.imports import silence_libraries


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return a parser for the module called `name`, such as "recipes.quality", with the options that all of them take.

    Benchmarks also take `--tables-only`.
    """
    options = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    options.add_argument("--data", default=os.environ.get("LUNGSEG_DATA"), help="the data set (default: $LUNGSEG_DATA)")
    if name.startswith("benchmarks."):
        options.add_argument("--tables-only", action="store_true", help="rewrite the tables from the numbers kept")
    return options


def add_trial(options: argparse.ArgumentParser) -> None:
    """Add the option for a short try that keeps nothing."""
    options.add_argument("--trial", action="store_true", help="run on a little data, print the results, keep nothing")


def add_date(options: argparse.ArgumentParser) -> None:
    """Add the option for the date that a log states."""
    today = datetime.date.today()
    help_text = "date for the log (today's)"
    options.add_argument("--date", type=datetime.date.fromisoformat, default=today, help=help_text)


def data_folder(options: argparse.Namespace) -> str:
    """Return the folder of the data set: the public collection, if the folder holds several sets.

    Raises:
        UsageError: none was named.
    """
    if not options.data:
        raise UsageError("no data set was named", remedy="give --data DIR or set LUNGSEG_DATA", code="data-not-named")
    collection = os.path.join(options.data, "Lung Segmentation")
    return collection if os.path.isdir(collection) else options.data


def run(main: Callable[[list[str] | None], None], arguments: list[str] | None = None) -> int:
    """Call a command, print expected failures as a sentence, and return the exit status, as `lungseg` does."""
    silence_libraries()
    try:
        main(arguments)
    except LungsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0
