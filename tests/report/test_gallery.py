# SPDX-License-Identifier: Apache-2.0
"""`report.html` in a browser, opened from the file system: search, filters, orders, keys, and ten thousand rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser_support import Browser, needs_browser
from report_support import HOSTILE, RUN, SHOWN, failure, row, thumbnail

from benchmarks.report_page import write_results
from lungseg.report.predictions import write_reports

pytestmark = needs_browser
SETTLED = "await new Promise(done => requestAnimationFrame(() => setTimeout(done)));"
TITLES = "return [...document.querySelectorAll('#cards .name, #lines bdi')].map(name => name.textContent)"
MANY = 10_000


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    window = Browser(tmp_path_factory.mktemp("profile"))
    yield window
    window.close()


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """The page of 103 radiographs, the names of which have nothing in common with their quality."""
    folder = tmp_path_factory.mktemp("few") / "a folder #1"
    rows = [row(number, quality=1 - number / 1000, seconds=(number * 37) % 100) for number in range(100)]
    rows += [row(100, quality=0.5, status="flagged", doubts="lateral no-lung", notes="tilted"), failure(101)]
    hostile = {"file": f"in/{HOSTILE}.png", "name": HOSTILE, "reason": "<img src=x onerror=alert(1)> no lung was found"}
    rows += [row(102, quality=0.6, status="flagged", doubts="no-lung", **hostile)]
    for each in rows:
        if each.name:
            thumbnail(folder, each.name)
            overlay = folder / "overlays" / f"{each.name}.png"
            overlay.parent.mkdir(parents=True, exist_ok=True)
            overlay.write_bytes((folder / "thumbnails" / f"{each.name}.jpg").read_bytes())
    write_reports(folder, rows, RUN)
    return folder / "report.html"


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    write_results(folder, MANY)
    return folder / "report.html"


class Shown:
    """The page as its user sees and handles it."""

    def __init__(self, browser: Browser, page: Path, fragment: str = "") -> None:
        self.browser = browser
        # Another fragment alone would not load the page again.
        browser.open("about:blank")
        browser.open(page.as_uri() + fragment)

    @property
    def titles(self) -> list[str]:
        """The radiographs that are made, in their order."""
        return self.browser.run(SETTLED + TITLES)

    @property
    def told(self) -> str:
        return self.browser.run("return document.getElementById('shown').value")

    @property
    def focused(self) -> str:
        """The radiograph that has the focus, or the kind of element."""
        return self.browser.run(
            "const element = document.activeElement; return element.querySelector('bdi')?.textContent ?? element.id"
        )

    @property
    def large(self) -> str:
        """The radiograph that is shown large."""
        return self.browser.run("return document.querySelector('#viewer[open] .title')?.textContent ?? ''")

    @property
    def counts(self) -> dict[str, str]:
        return self.browser.run(
            "return Object.fromEntries([...controls.querySelectorAll('[type=checkbox]')]"
            ".map(mark => [mark.value, mark.parentNode.querySelector('.count').textContent]))"
        )

    def address(self, wanted: str) -> None:
        """Wait for a fragment."""
        self.browser.wait_for(lambda: self.browser.run("return location.hash") == wanted)

    def tick(self, value: str) -> None:
        self.browser.click(f"[value='{value}']")

    def search(self, words: str) -> None:
        self.browser.run("document.activeElement.blur()")
        self.browser.press("/")
        for letter in words:
            self.browser.press(letter)

    def order(self, name: str) -> None:
        self.browser.run(
            "const select = document.getElementById('order'); select.value = arguments[0];"
            "select.dispatchEvent(new Event('input', { bubbles: true }))",
            name,
        )

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.browser.press(key)


@pytest.fixture
def page(browser, few) -> Shown:
    shown = Shown(browser, few)
    yield shown
    assert browser.errors() == []
    assert browser.run("return document.title") == "Lungs of 103 radiographs"


def test_the_worst_come_first_and_filters_combine(page):
    assert page.titles[:3] == ["film 100.png", f"{SHOWN}.png", "film 099.png"]
    assert page.told == "103 of 103 shown"
    page.tick("no-lung")
    assert page.titles == ["film 100.png", f"{SHOWN}.png"]
    page.tick("tilted")
    assert page.titles == ["film 100.png"]
    page.tick("ok")
    assert page.titles == []
    assert page.told == "0 of 103 shown"
    page.browser.click("#all")
    assert page.told == "103 of 103 shown"


def test_each_flag_says_how_many_it_would_leave(page):
    everything = {"ok": "100", "flagged": "2", "failed": "1", "no-lung": "2", "lateral": "1", "tilted": "1"}
    assert page.counts == everything
    page.tick("lateral")
    # Other doubts would add to this one; flags of other kinds would leave a part of it.
    assert page.counts == everything | {"ok": "0", "flagged": "1", "failed": "0"}
    page.browser.click("#all")
    page.search("film 10")
    assert page.counts == {"ok": "0", "flagged": "1", "failed": "1", "no-lung": "1", "lateral": "1", "tilted": "1"}


def test_names_and_reasons_are_searched(page):
    page.search("FILM 04")
    assert page.focused == "search"
    assert page.titles == [f"film {number:03d}.png" for number in range(49, 39, -1)]
    page.press("Escape")
    assert page.told == "103 of 103 shown"
    for words, name in (("is empty", "film 101.png"), ("onerror", f"{SHOWN}.png"), ("lateral", "film 100.png")):
        page.search(words)
        assert page.titles == [name]
        page.press("Escape")


def test_a_click_on_a_bar_shows_only_its_radiographs(page):
    label = page.browser.run("return document.querySelector('.bar[data-key=quality]').getAttribute('aria-label')")
    assert "2 flagged" in label
    page.browser.click(".bar[data-key=quality]")
    assert page.told == "2 of 103 shown"


def test_every_column_orders_both_ways_and_unknown_values_stay_last(page):
    page.order("large")
    assert page.titles[0] == f"{SHOWN}.png"
    page.order("column:seconds")
    assert page.titles[:3] == ["film 000.png", "film 073.png", "film 046.png"]
    page.browser.click("#reversed")
    assert page.titles[:3] == ["film 027.png", "film 054.png", "film 081.png"]
    for _ in range(2):
        page.press("End")
        assert page.focused in ("film 101.png", "film 100.png", f"{SHOWN}.png")
        page.browser.click("#reversed")
    options = page.browser.run("return [...document.querySelectorAll('#order optgroup option')].map(one => one.text)")
    assert {"file", "status", "reason", "quality", "image_width", "seconds", "doubts", "notes"} <= set(options)
    page.browser.click("#reversed")
    page.order("column:file")
    assert page.titles[1:4] == ["film 000.png", "film 001.png", "film 002.png"]


def test_the_table_sorts_by_its_titles(page):
    page.press("t")
    assert page.titles[:2] == ["film 100.png", f"{SHOWN}.png"]
    titles = page.browser.run("return [...document.querySelectorAll('thead button')].map(one => one.textContent)")
    for order, first in (("ascending", "film 100.png"), ("descending", "film 000.png")):
        page.browser.run(f"document.querySelectorAll('thead button')[{titles.index('quality')}].click()")
        assert page.titles[0] == first
        assert page.browser.run("return document.querySelector('th[aria-sort]').ariaSort") == order
        assert page.browser.run("return document.querySelector('th[aria-sort]').textContent") == "quality"
    cells = page.browser.run("return [...document.querySelector('#lines tr').cells].map(cell => cell.textContent)")
    assert dict(zip(titles, cells, strict=True))["quality"] == "1"
    assert page.browser.run("return document.querySelector('#table table').getAttribute('aria-rowcount')") == "104"
    page.browser.run("document.querySelector('thead button').focus()")
    page.press("Enter")
    assert page.titles[1] == "film 000.png"
    # The title keeps the focus, for another press.
    assert page.browser.run("return document.activeElement.textContent") == "file"
    page.press("Enter")
    assert page.titles[0] == "film 101.png"
    page.press("j")
    assert page.focused == "film 101.png"


def test_keys_go_through_the_pictures(page):
    page.press("j")
    assert page.focused == "film 100.png"
    page.press("j", "ArrowRight", "k")
    assert page.focused == f"{SHOWN}.png"
    across = page.browser.run(
        "return getComputedStyle(document.getElementById('cards')).gridTemplateColumns.split(' ').length"
    )
    page.press("ArrowDown", "ArrowDown", "ArrowUp", "ArrowLeft")
    assert page.focused == page.titles[across]
    page.press("End", "j")
    assert page.focused == "film 101.png"
    page.press("Home", "k")
    assert page.focused == "film 100.png"
    # A tab stop is the current one alone.
    assert page.browser.run("return document.querySelectorAll('#cards [tabindex=\"0\"]').length") == 1
    page.press("Tab")
    assert page.focused not in page.titles


def test_keys_that_are_typed_into_the_search_do_nothing_else(page):
    page.search("j/kt")
    assert page.focused == "search"
    assert page.browser.run("return document.getElementById('search').value") == "j/kt"
    page.press("Escape")
    page.search("film 05")
    page.press("Enter")
    assert page.focused == "film 059.png"


def test_enter_shows_the_radiograph_large_and_keys_lead_on(page):
    page.press("j", "Enter")
    assert page.large == "film 100.png"
    page.press("ArrowRight")
    assert page.large == f"{SHOWN}.png"
    overlay = "const image = document.querySelector('.large img'); await image.decode(); return image.naturalWidth"
    assert page.browser.run(overlay) > 0
    facts = page.browser.run("return document.querySelector('.facts').textContent")
    assert "<img src=x" in facts
    assert "no-lung" in facts
    page.press("End")
    assert page.large == "film 101.png"
    assert "the file is empty" in page.browser.run("return document.querySelector('.facts').textContent")
    page.press("k")
    assert page.large == "film 000.png"
    page.press("Escape")
    assert page.large == ""
    assert page.focused == "film 000.png"


def test_the_viewer_hides_and_pales_the_outlines(page):
    paths = "[...document.querySelectorAll('.stage .outlines path:not(.halo)')]"
    drawn = f"return {paths}.map(path => path.getAttribute('stroke'))"
    letters = "return [...document.querySelectorAll('.stage .outlines text')].map(letter => letter.textContent)"
    page.press("j", "Enter")
    assert page.browser.run(drawn) == ["#56b4e9", "#e69f00"]
    assert page.browser.run(letters) == ["R", "L"]
    page.press("o")
    assert page.browser.run(drawn) == []
    # It stays so for the next one.
    page.press("j")
    assert page.browser.run(drawn) == []
    page.press("o")
    page.browser.click("#viewer .layers input")
    assert page.browser.run(drawn) == ["#e69f00"]
    page.browser.run("document.querySelector('#viewer .opacity').focus()")
    large = page.large
    page.press("ArrowLeft", "ArrowLeft")
    # The slider has the arrows for itself.
    assert page.large == large
    opacity = "return getComputedStyle(document.querySelector('.stage .outlines')).opacity"
    assert page.browser.run(opacity) == "0.8"
    assert page.browser.run("return document.querySelector('#viewer .file').getAttribute('href')").startswith(
        "overlays/"
    )
    page.press("End")
    assert page.browser.run("return getComputedStyle(document.querySelector('.large')).display") == "flex"


def test_letters_and_outlines_lie_on_the_picture(page):
    """In the coordinates of the window: the right lung of the phantom is at a fifth to two fifths of the width."""
    page.press("j", "Enter")
    image, path, letter = (
        page.browser.run(
            "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [box.left, box.top, box.width, box.height]",
            selector,
        )
        for selector in (".stage img", ".stage path", ".stage text")
    )
    # The picture of 100 x 80 pixels fills its frame in one direction.
    scale = min(image[2] / 100, image[3] / 80)
    left = image[0] + (image[2] - 100 * scale) / 2
    top = image[1] + (image[3] - 80 * scale) / 2
    assert abs(path[0] - (left + 20 * scale)) < 0.7 * scale
    assert abs(path[1] - (top + 20 * scale)) < 0.7 * scale
    assert letter[0] + letter[2] < path[0]
    assert letter[3] >= 20


def test_escape_clears_the_search_and_then_the_filters(page):
    page.tick("flagged")
    page.search("film")
    assert page.titles == ["film 100.png"]
    page.press("Escape")
    assert len(page.titles) == 2
    page.press("Escape", "j")
    assert page.told == "103 of 103 shown"
    assert page.focused == "film 100.png"
    page.tick("failed")
    page.press("j", "Escape")
    assert page.told == "103 of 103 shown"
    assert page.focused == "film 101.png"


def test_the_focus_stays_on_a_radiograph_that_is_still_shown(page):
    page.search("film 05")
    page.press("Enter", "j", "j")
    assert page.focused == "film 057.png"
    page.press("Escape")
    assert page.told == "103 of 103 shown"
    assert page.focused == "film 057.png"


def test_a_view_can_be_sent_by_its_address(page, browser, few):
    page.tick("flagged")
    page.tick("tilted")
    page.search("film 1")
    page.order("column:right_px")
    page.browser.click("#reversed")
    page.browser.click("[value=table]")
    page.browser.click("#lines .open")
    assert page.large == "film 100.png"
    fragment = (
        "#search=film+1&status=flagged&note=tilted&order=column%3Aright_px&reversed=yes&view=table&open=film+100.png"
    )
    page.address(fragment)
    sent = Shown(browser, few, fragment)
    assert sent.large == "film 100.png"
    assert sent.titles == ["film 100.png"]
    assert browser.run("return document.getElementById('order').value") == "column:right_px"
    sent.press("Escape", "Escape", "Escape")
    sent.address("#order=column%3Aright_px&reversed=yes&view=table")
    assert sent.told == "103 of 103 shown"


@pytest.mark.parametrize(
    "fragment",
    [
        "#search=<img src=x onerror=document.title=1>",
        "#order=constructor&view=__proto__&status=%22]&range=quality:x:y&open=<b>",
        "#order=column:__proto__&%E0%A4%A&reversed",
    ],
)
def test_an_address_cannot_command_the_page(page, browser, few, fragment):
    shown = Shown(browser, few, fragment)
    assert shown.told in ("103 of 103 shown", "0 of 103 shown")
    assert browser.run("return document.querySelectorAll('img[src=x], b').length") == 0


@pytest.mark.parametrize("rows", [[], [failure(1)], [row(1)]], ids=["none", "failed", "one"])
def test_pages_of_few_radiographs_work(browser, tmp_path, rows):
    write_reports(tmp_path, rows, RUN)
    page = Shown(browser, tmp_path / "report.html")
    page.press("j", "End", "t", "j", "/", "Escape", "Escape", "t", "k")
    assert page.told == f"{len(rows)} of {len(rows)} shown"
    assert page.titles == [Path(each.file).name for each in rows]
    assert browser.errors() == []


def test_another_view_shows_the_same_radiograph(page):
    page.press("End", "k", "k", "t")
    assert page.focused == "film 001.png"
    measured = (
        "const line = document.activeElement.getBoundingClientRect(), view = document.getElementById('table');"
        "const { top, bottom } = view.getBoundingClientRect();"
        "return [top, line.top, line.bottom, bottom, innerHeight + 1]"
    )
    edges = page.browser.run(measured)
    assert edges == sorted(edges)
    page.press("t")
    assert page.focused == "film 001.png"


def test_ten_thousand_rows_are_searched_sorted_and_gone_through(browser, many):
    page = Shown(browser, many)
    assert page.told == "10,000 of 10,000 shown"
    pictures = "return [...document.querySelectorAll('#cards img')].map(image => image.getAttribute('src'))"
    assert 10 < len(page.titles) < 200
    assert all(link.startswith("thumbnails/film_") for link in browser.run(pictures))
    loaded = "return [...document.querySelectorAll('#cards img')].every(image => image.complete && image.naturalWidth)"
    browser.wait_for(lambda: browser.run(loaded))
    page.press("End")
    assert page.focused == "ward 6/film_09799.png"
    assert len(page.titles) < 200
    assert browser.run("return document.activeElement.parentNode.getAttribute('aria-posinset')") == "10000"
    page.order("column:file")
    page.press("Home")
    assert page.focused == "ward 0/film_00000.png"
    page.tick("flagged")
    assert page.told == "1,000 of 10,000 shown"
    page.search("film_0987")
    assert page.titles == ["ward 3/film_09873.png"]
    page.press("Escape", "Escape", "t", "End")
    assert page.focused == "ward 6/film_09995.png"
    assert browser.run("return document.activeElement.closest('tr').getAttribute('aria-rowindex')") == "10001"
    assert len(page.titles) < 200
    assert browser.errors() == []


def test_rows_are_made_where_the_page_is_scrolled_to(browser, many):
    page = Shown(browser, many, "#order=column%3Afile")
    browser.run("scrollTo(0, document.documentElement.scrollHeight / 2)")
    # The pictures in sight are those of the middle, and there is no gap.
    sight = SETTLED + (
        "const seen = [.2, .5, .9].map(y => document.elementFromPoint(200, y * innerHeight)?.closest('li'));"
        "return seen.map(card => Number(card?.ariaPosInSet ?? 0))"
    )
    places = browser.run(sight)
    assert all(4000 < place < 6000 for place in places)
    assert places == sorted(places)
    page.press("j")
    focused = browser.run("return Number(document.activeElement.parentNode.ariaPosInSet)")
    assert 4000 < focused < 6000
