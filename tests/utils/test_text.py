# SPDX-License-Identifier: Apache-2.0
"""Names of files cannot command a terminal or a spreadsheet, and long lists are shortened."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungseg.utils.text import describe_duration, escape_control, protect_cell, restore_cell, shorten_list


@pytest.mark.safety("hidden-characters")
def test_control_characters_are_escaped():
    assert escape_control("a\nb\x1b[2J\x9bc é") == r"a\nb\x1b[2J\x9bc é"


@pytest.mark.safety("hidden-characters")
@pytest.mark.parametrize(
    "number", [0x202A, 0x202E, 0x2066, 0x2069, 0x200E, 0x200F, 0x061C, 0xFEFF, 0x200B, 0x2028, 0xAD]
)
def test_characters_that_turn_or_hide_text_are_escaped(number):
    """With the third one, `scan…gnp.exe` would look like `scanexe.png`."""
    name = f"scan{chr(number)}gnp.exe"
    assert escape_control(name) == f"scan{chr(number).encode('unicode_escape').decode()}gnp.exe"


@pytest.mark.safety("hidden-characters")
def test_bytes_that_are_not_utf8_and_tags_are_escaped():
    assert escape_control("caf\udce9 \U000e0041") == r"caf\udce9 \U000e0041"


@pytest.mark.parametrize(
    "name",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.png",  # Persian
        "\u0915\u094d\u200d\u0937",  # Devanagari
        "\u0d28\u0d4d\u200d.png",  # Malayalam
        "\U0001f469\u200d\u2695\ufe0f",  # an emoji
        "\u0663\u0600\u0664",  # an Arabic number with its sign
        "胸部 é ñ",
        "a b\u0301",
    ],
    ids=ascii,
)
def test_names_of_other_scripts_stay_as_they_are(name):
    assert escape_control(name) == name


@pytest.mark.safety("hidden-characters")
def test_joiners_that_join_nothing_are_escaped():
    assert escape_control("a\u200db \u200c\u200d") == r"a\u200db \u200c\u200d"


@given(st.text())
def test_what_is_escaped_can_be_shown(text):
    shown = escape_control(text)
    assert escape_control(shown) == shown
    shown.encode()
    assert not set(shown) & set(
        map(chr, [*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
    )


@pytest.mark.safety("csv-formula")
@pytest.mark.parametrize(
    "text", ['=HYPERLINK("http:,evil","x").png', "@SUM(1+1).png", "+1", "-1", "\t=1", "\r=1", "\n=1"]
)
def test_a_text_that_begins_a_formula_gets_an_apostrophe(text):
    assert protect_cell(text) == f"'{text}"
    assert restore_cell(protect_cell(text)) == text


@pytest.mark.safety("csv-formula")
@given(st.text(alphabet="'=+-@\t\r\nab\","))
def test_a_cell_gives_its_text_back(text):
    file = io.StringIO(newline="")
    csv.writer(file).writerow([protect_cell(text), "end"])
    file.seek(0)
    ((cell, _),) = csv.reader(file)
    assert restore_cell(cell) == text
    assert cell[:1] not in tuple("=+-@\t\r\n")


def test_other_texts_get_no_apostrophe():
    for text in ("a=1.png", "'quoted'", "", "1-2.png", "O'Neill"):
        assert protect_cell(text) == restore_cell(text) == text


def test_lists_are_shortened():
    assert shorten_list(["a", "b"], 2) == "a, b"
    assert shorten_list(["a\n", "b", "c"], 1) == r"a\n and 2 more"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5940, "99 min"), (7500, "2 h 05 min")]
)
def test_times_are_written_for_people(seconds, text):
    assert describe_duration(seconds) == text
