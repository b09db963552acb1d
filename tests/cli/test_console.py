# SPDX-License-Identifier: Apache-2.0
"""What the command shows: errors as one sentence, details on demand, and how far it is."""

from __future__ import annotations

import argparse
import io
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lungseg.cli import console
from lungseg.cli.main import _parser


def test_an_unforeseen_error_is_one_sentence_and_its_traceback_can_be_had(command, picture, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("lungseg.inference.predict.find_radiographs", broken)
    done = command("predict", picture, "-o", tmp_path / "out")
    assert done.status == 1
    assert "ZeroDivisionError: division by zero" in done.sentence
    assert "--debug" in done.sentence
    done = command("predict", picture, "-o", tmp_path / "out", "--debug")
    assert done.status == 1
    assert "Traceback" in done.out + done.err
    assert "in broken" in done.out + done.err


def test_a_handler_of_another_program_adds_no_traceback(command, picture, run_folder, tmp_path, monkeypatch):
    """`logging` keeps the text of a traceback in the record, for all handlers that come later."""

    def broken(*_, **__):
        raise ZeroDivisionError("division by zero")

    theirs = io.StringIO()
    monkeypatch.setattr(logging.getLogger("lungseg"), "handlers", [logging.StreamHandler(theirs)])
    monkeypatch.setattr("lungseg.inference.pipeline.content_hash", broken)
    assert command("predict", picture, "-o", tmp_path / "out", "--weights", run_folder, "-v").failures
    assert "Traceback" in theirs.getvalue()


def test_an_expected_error_has_a_code(command, tmp_path):
    codes = []

    class Codes(logging.Handler):
        def emit(self, record):
            codes.extend(error.code for error in record.args if hasattr(error, "code"))

    handler = Codes(level=logging.ERROR)
    logging.getLogger("lungseg.cli.main").addHandler(handler)
    try:
        (tmp_path / "mine.txt").touch()
        for call in (
            ("train",),
            ("check-data",),
            ("check-data", tmp_path, "-o", "sheet.jpg"),
            ("demo", "--output", tmp_path),
        ):
            assert command(*call).status == 2
    finally:
        logging.getLogger("lungseg.cli.main").removeHandler(handler)
    assert codes == ["data-not-named", "data-not-named", "not-png", "folder-not-a-demo"]


def test_quiet_shows_problems_alone_and_verbose_each_radiograph(command, run_folder, dataset, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    shutil.copy(dataset / "CXR_png" / "phantom_0001.png", source)
    (source / "empty.png").touch()
    call = ("predict", source, "--weights", run_folder, "-o")
    done = command(*call, tmp_path / "quiet", "-q")
    assert (done.status, done.out) == (1, "")
    assert len(done.failures) == 1
    done = command(*call, tmp_path / "verbose", "-v")
    assert done.status == 1
    assert "phantom_0001.png" in done.out + done.err
    assert "report.csv" in done.out
    assert "Traceback" not in done.out + done.err


def test_a_log_gets_a_line_now_and_then_and_no_bar(command, capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    console.configure_console()
    with console.Progress("image") as progress:
        for done in range(1, 1001):
            now += 5
            progress.update(done, 1000)
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    # Five seconds for each of the 990 that are left.
    assert lines[0] == "10 of 1000 images (1 %), about 82 min left"
    assert lines[19] == "200 of 1000 images (20 %), about 67 min left"
    assert lines[-1] == "1000 of 1000 images (100 %)"
    assert len(lines) == 100
    console.configure_console(logging.WARNING)
    with console.Progress("image") as progress:
        now += 100
        progress.update(10, 20)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_that_leaves_nothing(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    console.configure_console()
    with console.Progress("image") as progress:
        for done in (1, 2, 3):
            progress.update(done, 3)
    first, *later = capsys.readouterr().err.split("\r")[1:]
    assert first == "waiting for the first image"
    assert later[-1] == ""
    assert not later[-2].strip()


@pytest.mark.slow
def test_a_reader_that_goes_away_stops_the_command_without_a_word(dataset, tmp_path):
    if sys.platform == "win32":
        pytest.skip("a pipe of POSIX")
    read, write = os.pipe()
    os.close(read)
    call = [sys.executable, "-u", "-m", "lungseg", "check-data", str(dataset), "-o", str(tmp_path / "sheet.png")]
    done = subprocess.run(call, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def every_command(parser: argparse.ArgumentParser, name: str = "lungseg"):
    """Yield (name, parser) of each command that does something."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for word, command in action.choices.items():
            yield from every_command(command, f"{name} {word}")
    if not below:
        yield name, parser


COMMANDS = dict(every_command(_parser()))
# `label start` sets it for the server.
NOT_FOR_USERS = {"LUNGSEG_LABEL_LISTENS_AT"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_can_be_parsed(name):
    text = COMMANDS[name].format_help()
    examples = [line.strip() for line in text[text.index("Example:") :].splitlines()[1:]]
    assert examples
    for example in examples:
        assert example.startswith(f"{name} ")
        _parser().parse_args(shlex.split(example)[1:])
    for option in ("--verbose", "--quiet", "--debug"):
        assert option in text


def test_command_lines_of_the_documents_can_be_parsed():
    root = Path(console.__file__).parents[2]
    lines = []
    for document in (root / "README.md", root / "benchmarks" / "README.md", *(root / "docs").glob("*.md")):
        text = document.read_text("utf-8").replace("\\\n", " ")
        for block in re.findall(r"^```sh$(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            lines += re.findall(r"^lungseg .*$", block, re.MULTILINE)
    assert len(lines) > 5
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        words = words[: next((at for at, word in enumerate(words) if word in ("|", "&", "&&", ">", ";")), None)]
        try:
            _parser().parse_args(words)
        except SystemExit:
            pytest.fail(line)


def test_every_command_that_writes_has_the_same_option_for_it():
    writing = {name for name in COMMANDS if name not in ("lungseg label start", "lungseg label check")}
    # The folder of a merge is its input, too.
    writing -= {"lungseg deploy watch", "lungseg merge"}
    for name in writing:
        (option,) = (action for action in COMMANDS[name]._actions if action.dest == "output")
        assert option.option_strings == ["-o", "--output"], name


def test_one_name_of_an_option_has_one_meaning():
    meanings: dict[str, set[str]] = {}
    for parser in COMMANDS.values():
        for action in parser._actions:
            if action.dest not in ("help", "output", "strict"):
                for option in action.option_strings:
                    meanings.setdefault(option, set()).add(str((action.dest, action.nargs, action.metavar)))
    assert {option: found for option, found in meanings.items() if len(found) > 1} == {}


def test_the_help_lists_every_variable_of_the_environment():
    root = Path(console.__file__).parents[2]
    text = _parser().format_help()
    named: set[str] = set()
    for folder in ("lungseg", "workflows"):
        for file in (root / folder).rglob("*.py"):
            named.update(re.findall(r"LUNGSEG_[A-Z_]*[A-Z]", file.read_text("utf-8")))
    assert "LUNGSEG_LABEL_ENVIRONMENT" in named
    assert not [name for name in named - NOT_FOR_USERS if name not in text]
