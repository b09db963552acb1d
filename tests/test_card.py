# SPDX-License-Identifier: Apache-2.0
"""The model card: the sections of the model zoo in their order, short enough to read, with links that work."""

from __future__ import annotations

import re
from pathlib import Path

CARD = Path(__file__).parents[1] / "bundle" / "docs" / "README.md"
# As in spleen_ct_segmentation of the model zoo.
SECTIONS = (
    "Model Overview",
    "Data",
    "Training configuration",
    "Input",
    "Output",
    "Performance",
    "MONAI Bundle Commands",
    "References",
    "License",
)
MOST_WORDS = 1200


def test_the_sections_are_those_of_the_zoo_in_their_order():
    headings = re.findall(r"^#+ (.+)$", CARD.read_text("utf-8"), re.MULTILINE)
    assert [heading for heading in headings if heading in SECTIONS] == list(SECTIONS)


def test_the_card_can_be_read_in_five_minutes():
    """Tables, what is written between the markers of tables, and commands are not counted."""
    text = re.sub(r"<!-- table: .*?<!-- end -->", "", CARD.read_text("utf-8"), flags=re.DOTALL)
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    prose = " ".join(line for line in text.splitlines() if not line.startswith("|"))
    assert 500 < len(prose.split()) <= MOST_WORDS


def test_links_lead_to_files_of_the_bundle():
    links = re.findall(r"\]\(([^)#]+)\)", CARD.read_text("utf-8"))
    assert links
    for link in links:
        target = (CARD.parent / link).resolve()
        assert target.is_file(), link
        assert CARD.parents[1] in target.parents, f"{link} is not part of the bundle"


def test_it_says_what_it_is_not_and_on_which_terms():
    text = CARD.read_text("utf-8")
    assert "**Not a medical device.**" in text
    assert "**for non-commercial use**" in text
