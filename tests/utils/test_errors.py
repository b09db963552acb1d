# SPDX-License-Identifier: Apache-2.0
"""Errors have a sentence for people, a code for programs, and a traceback for those who ask for it."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys

import pytest

from lungseg.utils.errors import LungsegError, UsageError, as_lungseg_error, find_lungseg_error


@pytest.mark.parametrize("kind", [LungsegError, UsageError])
def test_an_error_survives_pickling(kind):
    error = pickle.loads(pickle.dumps(kind("it is wrong", "a\nb.png", "correct it", code="wrong")))
    assert type(error) is kind
    assert str(error) == r"a\nb.png: it is wrong; correct it."
    assert error.code == "wrong"


def test_our_error_is_found_below_those_of_libraries():
    ours, outer = LungsegError("it is wrong"), RuntimeError("applying transform")
    middle = ValueError("no")
    outer.__cause__, middle.__context__ = middle, ours
    assert find_lungseg_error(outer) is ours
    assert find_lungseg_error(ValueError("no")) is None
    # A circle ends, too.
    middle.__context__ = outer
    assert find_lungseg_error(outer) is None


def test_an_unexpected_error_becomes_a_sentence_with_its_cause(caplog):
    error = RuntimeError("applying transform <monai.Crop object at 0x7f85>")
    error.__cause__ = OverflowError("100000 is too much\nand more")
    with caplog.at_level(logging.DEBUG, "lungseg.utils.errors"):
        described = as_lungseg_error(error, "it failed", "a.png")
    assert str(described).startswith("a.png: it failed (OverflowError: 100000 is too much); ")
    assert described.code == "unexpected"
    (record,) = caplog.records
    assert (record.levelno, record.exc_info[1]) == (logging.DEBUG, error)


def test_an_expected_error_stays_as_it_is():
    error = LungsegError("it is wrong")
    assert as_lungseg_error(error, "it failed") is error


def test_errors_import_nothing_heavy():
    code = "import sys, lungseg.utils.errors; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
