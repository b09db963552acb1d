# SPDX-License-Identifier: Apache-2.0
"""Run the blocks of a page in their order, as a reader does who copies them one after the other.

A reader's training takes an hour, a test's may take seconds. So each command is parsed as it stands on the page, and
then run with the options of `SMALLER` after its own: the last one counts. Blocks of Python run as they are.
"""

from __future__ import annotations

import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import metadata
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from unittest.mock import patch

from command_support import restored_process

# Radiographs of 64 pixels, two epochs, two folds, and no further processes.
_SMALLER = ("--image-size", "64", "--epochs", "2", "--workers", "0")
SMALLER = {"train": _SMALLER, "kfold": (*_SMALLER, "--folds", "2")}
SMALLER_ITEMS = ("--image_size", "64", "--num_workers", "0", "--epochs", "1", "--progress", "False")

# Package of an extra -> its module: a block that installs one which is not there is passed over.
_EXTRAS = {"mlflow": "mlflow", "onnx": "onnxruntime", "dicom": "highdicom", "demo": "pydicom"}
_FENCE = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of a page, and where it stands."""

    page: str
    number: int
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}, block {self.number} ({self.language}, line {self.line})"


def read_blocks(page: Path) -> list[Block]:
    """Return the blocks of shell commands and of Python, in their order."""
    text = page.read_text("utf-8")
    return [
        Block(page.name, number, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for number, found in enumerate(_FENCE.finditer(text), start=1)
    ]


class PageError(AssertionError):
    """A block of a page does not do what it says."""


class _MissingError(Exception):
    """A block needs what is not here."""


@dataclass
class PageRunner:
    """Runs blocks in one folder: Python in one namespace, commands with one working folder a block.

    Attributes:
        folder: where they begin.
        names: the namespace, with what the blocks left in it.
        printed: block -> what it printed.
        skipped: block -> what was missing.
    """

    folder: Path
    names: dict[str, object] = field(default_factory=lambda: {"__name__": "__main__"})
    printed: dict[Block, str] = field(default_factory=dict)
    skipped: dict[Block, str] = field(default_factory=dict)

    def run_page(self, page: Path) -> None:
        """Run all blocks of a page.

        Raises:
            PageError: names the block that failed.
        """
        for block in read_blocks(page):
            self.run(block)

    def run(self, block: Block) -> None:
        """Run one block; see `run_page`."""
        run = self._run_python if block.language == "python" else self._run_commands
        printed = io.StringIO()
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            with redirect_stdout(printed), redirect_stderr(printed), restored_process():
                run(block)
        except _MissingError as reason:
            self.skipped[block] = str(reason)
        except BaseException as error:
            raise PageError(f"{block}: {type(error).__name__}: {error}\n{printed.getvalue()}") from error
        finally:
            os.chdir(before)
            self.printed[block] = printed.getvalue()

    def _run_python(self, block: Block) -> None:
        exec(compile(block.text, str(block), "exec"), self.names)

    def _run_commands(self, block: Block) -> None:
        for command in commands_of(block.text):
            name, *words = command
            if name not in _COMMANDS:
                raise ValueError(f"the test cannot run {name}; see {Path(__file__).name}")
            _COMMANDS[name](words)


def commands_of(text: str) -> list[list[str]]:
    """Return the words of each command: lines may be continued, and comments are left out."""
    lines = (shlex.split(line) for line in text.replace("\\\n", " ").splitlines())
    # A # within a word begins no comment.
    commands = (list(takewhile(lambda word: not word.startswith("#"), words)) for words in lines)
    return [words for words in commands if words]


def _lungseg(words: list[str]) -> None:
    from lungseg.cli.main import _parser, main

    _parser().parse_args(words)
    smaller = () if "--resume" in words else SMALLER.get(words[0], ())
    if status := main([*words, *smaller]):
        raise RuntimeError(f"lungseg {shlex.join(words)} ended with status {status}")


def _python(words: list[str]) -> None:
    if words[:1] != ["-m"]:
        raise ValueError("the test runs modules of Python only: python -m MODULE")
    with _arguments(words[1:], smaller=words[1:3] == ["monai.bundle", "run"]):
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)


@contextmanager
def _arguments(words: list[str], smaller: bool):
    with patch.object(sys, "argv", [*words, *(SMALLER_ITEMS if smaller else ())]), _successful_exit():
        yield


@contextmanager
def _successful_exit():
    try:
        yield
    except SystemExit as stop:
        if stop.code:
            raise RuntimeError(f"ended with status {stop.code}") from stop


def _torchrun(words: list[str]) -> None:
    # It takes a free port by itself.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    done = subprocess.run(
        [*launch, *words, *SMALLER_ITEMS],
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise RuntimeError(f"torchrun ended with status {done.returncode}: {done.stdout}{done.stderr}")
    print(done.stdout)


def _pip(words: list[str]) -> None:
    """Install nothing: check that the extras exist, and pass over the block if their packages are not here."""
    known = metadata("lungseg").get_all("Provides-Extra") or []
    for extra in re.findall(r"lungseg\[(.+?)\]", " ".join(words)):
        if extra not in known:
            raise ValueError(f"lungseg has no extra {extra}")
        if find_spec(_EXTRAS[extra]) is None:
            raise _MissingError(f"{_EXTRAS[extra]} is not installed")


def _tensorboard(words: list[str]) -> None:
    """Start no server: read the scalars that it would show."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = Path(words[words.index("--logdir") + 1])
    files = list(folder.rglob("events.out.tfevents.*"))
    tags = {tag for file in files for tag in EventAccumulator(str(file)).Reload().Tags()["scalars"]}
    if not tags:
        raise FileNotFoundError(f"{folder} has nothing that TensorBoard shows")
    print(*sorted(tags))


_COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "cd": lambda words: os.chdir(words[0]),
    "lungseg": _lungseg,
    "pip": _pip,
    "python": _python,
    "tensorboard": _tensorboard,
    "torchrun": _torchrun,
}
