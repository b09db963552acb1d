# SPDX-License-Identifier: Apache-2.0
"""The table of risks, measures and tests is complete and up to date."""

from __future__ import annotations

import pytest

from benchmarks import safety
from lungseg.utils.errors import LungsegError

MARKED = """
import pytest
@pytest.mark.slow
@pytest.mark.safety("one")
@pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.safety("two"))])
def test_it_holds(x): ...
class TestMany:
    pytestmark = pytest.mark.safety("one")
"""
RISKS = {"rooms": ["A"], "one": {"room": "A", "risk": "It falls.", "measure": "It is held."}}


def test_each_risk_has_a_test_and_each_marker_a_risk():
    """Add the missing rows to docs/safety.toml, or correct the markers."""
    assert not safety.find_faults(safety.read_risks(), safety.find_tests())


def test_the_page_is_up_to_date():
    """Run `python -m benchmarks.safety` otherwise."""
    text = safety.PAGE.read_text("utf-8")
    assert safety.page(text, safety.read_risks(), safety.find_tests()) == text


def test_markers_are_found_wherever_they_stand(tmp_path):
    (tmp_path / "test_a.py").write_text(MARKED)
    found = safety.find_tests(tmp_path)
    names = {slug: [name for name, _ in tests] for slug, tests in found.items()}
    assert names == {"one": ["test_it_holds", "TestMany"], "two": ["test_it_holds"]}


def test_a_marker_without_a_risk_is_refused(tmp_path):
    (tmp_path / "test_a.py").write_text("pytestmark = pytest.mark.safety()")
    with pytest.raises(LungsegError, match=r"test_a\.py:1"):
        safety.find_tests(tmp_path)


def test_a_risk_that_stands_there_twice_is_refused(tmp_path):
    (tmp_path / "safety.toml").write_text("[one]\nroom = 'A'\n[one]\nroom = 'A'\n")
    with pytest.raises(LungsegError, match=r"safety\.toml"):
        safety.read_risks(tmp_path / "safety.toml")


@pytest.mark.parametrize(
    ("risks", "tests"),
    [
        (RISKS, {}),
        (RISKS, {"one": [], "two": []}),
        (RISKS | {"one": {"room": "A", "risk": "It falls."}}, {"one": []}),
        (RISKS | {"one": RISKS["one"] | {"room": "B"}}, {"one": []}),
    ],
    ids=["no test", "no risk", "no measure", "unknown room"],
)
def test_what_is_missing_is_found(risks, tests):
    assert len(safety.find_faults(risks, tests)) == 1
    assert not safety.find_faults(RISKS, {"one": []})
