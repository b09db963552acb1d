# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.field`: give the commands every kind of input that people have, as the tests make it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, load, publish, save
from benchmarks.tables import NOT_MEASURED, markdown_table
from recipes.command import parser, run

# Characters of a sentence in the table.
_LONGEST = 160
_AS_IT_SHOULD = "right"
# Importing PyTorch once saves most of the time: each command is a copy of a process that has it.
_SERVE = """
import json, os, sys, torch
from lungseg.cli.main import main
for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(request["folder"])
        for stream in (1, 2):
            os.dup2(os.open(request["printed"], os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
        try:
            status = main(request["arguments"])
        except SystemExit as stop:
            status = stop.code
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the commands and write the table."""
    options = parser("benchmarks.field", __doc__ or "")
    options.add_argument(
        "--python", default=sys.executable, help="the Python whose lungseg is tried (default: this one)"
    )
    options.add_argument("--column", default="now", choices=("before", "now"), help="of the table (default: now)")
    chosen = options.parse_args(arguments)
    kept = load("field", {})
    if not chosen.tables_only:
        if chosen.data:
            os.environ["LUNGSEG_DATA"] = os.path.abspath(chosen.data)
        found = _try_all(chosen.python)
        kept = {
            name: {"right": right, **kept.get(name, {}), chosen.column: outcome}
            for name, (right, outcome) in found.items()
        }
        save("field", kept)
    publish(tables(kept))


def _try_all(python: str) -> dict[str, tuple[str, str]]:
    """Return the name of each kind -> the sentence on what is right, and what the command does."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from field_inputs import KINDS
    from field_kind import FIELD

    found = {}
    with _commands(python) as process:
        for kind in KINDS:
            if kind.real and FIELD is None:
                continue
            with tempfile.TemporaryDirectory(prefix="lungseg-field-") as name, chdir(name):
                folder = Path(name).resolve() / "here"
                folder.mkdir()
                os.chdir(folder)
                outcome = _outcome(kind, folder, process)
            print(f"{kind.name}: {outcome}", flush=True)
            found[kind.name] = kind.right, outcome
    return found


@contextmanager
def _commands(python: str) -> Iterator[subprocess.Popen[str]]:
    """Offer a process that runs commands, each described by a line of JSON, and answers with the exit status."""
    with subprocess.Popen(
        [python, "-P", "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


def _outcome(kind: Any, folder: Path, process: subprocess.Popen[str]) -> str:
    """Return "right", or what the command says or does instead."""
    status, printed = _run([str(argument) for argument in kind.make(folder)], folder, process)
    wrong = status != kind.status or not all(re.search(words, printed) for words in kind.said)
    if not wrong and kind.check is not None:
        try:
            kind.check(folder)
        except Exception:  # results of another version may lack anything
            wrong = True
    if not wrong:
        return _AS_IT_SHOULD
    said = [line for line in printed.splitlines() if line.startswith(("lungseg: ", "usage: ")) or "Error" in line]
    sentence = said[-1].removeprefix("lungseg: ") if said else "another result, without a word"
    data = os.environ.get("LUNGSEG_DATA", "")
    for place in filter(None, (str(folder), data)):
        sentence = sentence.replace(f"{place}{os.sep}", "")
    return sentence.replace("|", "/")[:_LONGEST]


def _run(arguments: Sequence[str], folder: Path, process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit status of a command, and the lines that it prints."""
    printed = folder.with_name("printed")
    request = {"arguments": arguments, "folder": str(folder), "printed": str(printed)}
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return int(process.stdout.readline()), printed.read_text("utf-8", "replace")


def tables(found: dict | None) -> dict[str, str]:
    """Return the table of the outcomes that were kept, by its name."""
    rows = [
        [name, outcomes["right"], outcomes.get("before", ""), outcomes.get("now", "")]
        for name, outcomes in (found or {}).items()
    ]
    header = ["Input", "Right", "Before", "Now"]
    return {"field": markdown_table(header, rows, range(4)) if rows else NOT_MEASURED}


if __name__ == "__main__":
    sys.exit(run(main))
