# SPDX-License-Identifier: Apache-2.0
"""Names of files cannot command a terminal, and long lists are shortened."""

from __future__ import annotations

from lungseg.utils.text import escape_control, shorten_list


def test_control_characters_are_escaped():
    assert escape_control("a\nb\x1b[2J\x9bc é") == r"a\nb\x1b[2J\x9bc é"


def test_lists_are_shortened():
    assert shorten_list(["a", "b"], 2) == "a, b"
    assert shorten_list(["a\n", "b", "c"], 1) == r"a\n and 2 more"
