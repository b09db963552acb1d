# SPDX-License-Identifier: Apache-2.0
"""The page of an evaluation in a browser, opened from the file system: pictures of all cases, keys, and the table."""

from __future__ import annotations

import pytest
from browser_support import Browser, needs_browser
from evaluation_support import write_pictured

pytestmark = needs_browser
NAMES = [f"<MCUCXR_{number:04d}>" for number in reversed(range(12))]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    window = Browser(tmp_path_factory.mktemp("profile"))
    yield window
    window.close()


@pytest.fixture
def page(browser, tmp_path):
    """The page of twelve cases, worst first, from the eleventh to the zeroth."""
    write_pictured(tmp_path / "an evaluation #1", 12, data=str(tmp_path))
    browser.open((tmp_path / "an evaluation #1" / "index.html").as_uri())
    yield browser
    assert browser.errors() == []


def opened(browser) -> str:
    return browser.run("return document.querySelector('#viewer[open] .title')?.textContent ?? ''")


def paths(browser) -> int:
    """Return the number of lines over the large picture; each has a dark one under it."""
    return browser.run("return document.querySelectorAll('#viewer .stage svg path:not(.halo)').length")


def lines(browser) -> list[str]:
    return browser.run(
        "return [...document.querySelectorAll('.cases tbody tr')].map(line => line.cells[0].textContent)"
    )


def test_a_line_opens_its_picture_and_the_arrows_go_on(page):
    assert lines(page) == NAMES
    page.click(".cases tbody tr:nth-child(3) td:nth-child(4)")
    assert opened(page) == NAMES[2]
    picture = "const image = document.querySelector('#viewer .stage img'); await image.decode(); "
    assert page.run(picture + "return image.naturalWidth") > 0
    for key, name in (("ArrowRight", 3), ("ArrowLeft", 2), ("End", 11), ("ArrowRight", 11), ("Home", 0)):
        page.press(key)
        assert opened(page) == NAMES[name]
    assert "Surface Dice, both lungs (2 mm)" in page.run("return document.querySelector('#viewer dl').textContent")
    page.press("Escape")
    assert opened(page) == ""
    assert page.run("return document.activeElement.textContent") == NAMES[0]


def test_outlines_can_be_hidden_all_or_one_by_one(page):
    page.click(".cases tbody tr:first-child .open")
    assert paths(page) == 3
    letters = "return [...document.querySelectorAll('#viewer .stage svg text')].map(mark => mark.textContent)"
    assert page.run(letters) == ["R", "L"]
    page.press("o")
    assert paths(page) == 0
    page.press("ArrowRight")
    page.press("o")
    assert paths(page) == 3
    names = page.run("return [...document.querySelectorAll('#viewer .layers label')].map(label => label.textContent)")
    assert names == ["reference", "right lung", "left lung"]
    page.click("#viewer .layers label:nth-of-type(1) input")
    assert paths(page) == 2
    page.run("const slider = document.querySelector('#viewer .opacity'); slider.value = 30; slider.oninput()")
    assert page.run("return document.querySelector('#viewer .stage svg').style.opacity") == "0.3"


def test_a_small_picture_opens_large_and_sorting_keeps_the_cases(page):
    assert page.run("return document.querySelectorAll('figure img').length") == 10
    assert page.run("return document.querySelectorAll('figure svg path:not(.halo)').length") == 30
    # The eleventh case is the worst, and sorted by its name the last but one of twelve.
    page.click(".cases th:first-child button")
    assert lines(page) == NAMES[::-1]
    page.click("figure button")
    assert opened(page) == NAMES[0]
    page.press("ArrowLeft")
    assert opened(page) == NAMES[1]


def test_the_names_stay_in_view_and_the_page_is_not_wider_than_the_window(page):
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.run(wide) == 0
    page.run("document.querySelector('.cases .wide').style.width = '20rem'")
    page.run("document.querySelector('.cases .wide').scrollLeft = 300")
    left = "return document.querySelector('.cases tbody td').getBoundingClientRect().left"
    box = "return document.querySelector('.cases .wide').getBoundingClientRect().left"
    assert page.run("return document.querySelector('.cases .wide').scrollLeft") > 0
    assert page.run(left) - page.run(box) < 2


def test_a_narrow_window_cuts_nothing_off(browser, tmp_path):
    name = "1.2.840.113619.2.55.3.604688119.971.1449135123.481.1234567890"
    texts = {"title": name, "warning": f"{name} was trained on.", "excluded": [name]}
    write_pictured(tmp_path / "page", 3, data=str(tmp_path), **texts)
    browser.open((tmp_path / "page" / "index.html").as_uri())
    browser.run("document.body.style.width = '20rem'")
    texts = "return [...document.querySelectorAll('h1, p')].filter(one => one.scrollWidth > one.clientWidth).length"
    assert browser.run(texts) == 0
    # The plot has figures in it, which are read at this width.
    assert browser.run("return document.querySelector('img[alt^=Dots]').clientWidth") > 600
    assert browser.run("return document.body.scrollWidth - document.body.clientWidth") == 0
