# SPDX-License-Identifier: Apache-2.0
"""Two annotators with a window each, in a real browser: nobody's work is lost without a word."""

from __future__ import annotations

import re

import numpy as np
import pytest
from browser_support import Browser, needs_browser
from label_support import LabelServer, require_environment
from page_support import Page

from lungseg.data import phantom
from lungseg.io import write_png

pytestmark = needs_browser
NAMES = tuple(f"study-{number:02}" for number in range(24))
STUDY = NAMES[0]
CORNERS = ((30, 30), (70, 30), (70, 60))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    require_environment()
    folder = tmp_path_factory.mktemp("shared") / "studies"
    for number, name in enumerate(NAMES):
        write_png(folder / f"{name}.png", phantom((14, number), (144, 120))[0])
    with LabelServer(folder) as running:
        running.wait_until_scored()
        yield running


@pytest.fixture(scope="module")
def browsers(tmp_path_factory):
    windows = [Browser(tmp_path_factory.mktemp("profile")) for _ in range(2)]
    yield windows
    for window in windows:
        window.close()


@pytest.fixture
def ann(server, browsers):
    yield from opened(server, browsers[0])


@pytest.fixture
def bob(server, browsers):
    yield from opened(server, browsers[1])


def opened(server, browser):
    yield Page(browser, server.url, STUDY)
    leave(browser)
    server.ask("DELETE", f"/datastore/label?id={STUDY}&tag=final")
    # The browser reports every answer of 412 itself.
    assert [line for line in browser.errors() if "status of 412" not in line] == []


def leave(browser: Browser) -> None:
    """Close the page; it may ask whether to leave."""
    browser.run("window.addEventListener('beforeunload', (event) => event.stopImmediatePropagation(), true)")
    browser.open("about:blank")


def saved(server, study: str = STUDY) -> np.ndarray:
    return server.get("/datastore/label", label=study, tag="final").labels


def kept(server) -> int:
    return len(list((server.work / "replaced").rglob("*.png")))


def paint(page: Page, x: float, y: float) -> None:
    """Paint a stroke of the right lung."""
    page.browser.click("[data-tool='brush']")
    page.browser.click("[data-label='1']")
    page.browser.drag(page.at(x, y), page.at(x + 5, y))
    assert page.changed()


def shows(page: Page, x: int, y: int) -> bool:
    """Return whether a pixel of the contours' layer is coloured."""
    script = "return Konva.stages[0].getLayers()[2].findOne('Image').image().getContext('2d')"
    return page.browser.run(f"{script}.getImageData({x}, {y}, 1, 1).data[3]") > 0


@pytest.mark.safety("same-study-twice")
def test_next_gives_each_annotator_another_study(server, browsers):
    pages = []
    for browser in browsers:
        browser.open("about:blank")
        browser.open(f"{server.url}/lungseg/")
        browser.wait_for(lambda browser=browser: browser.run("return document.body.dataset.ready"))
        pages.append(object.__new__(Page))
        pages[-1].browser = browser
    seen = set()
    for _ in range(3):
        for page in pages:
            page.browser.click("#next")
        for page in pages:
            page.settled()
        now = {page.study() for page in pages}
        assert len(now) == 2
        seen |= now
    first, second = pages
    # Each sees in the list where the other one is.
    row = f"return document.querySelector(`#studies [data-id='{second.study()}'] .reserved`)?.textContent"
    first.browser.wait_for(lambda: first.browser.run(row) == "another annotator is at work")
    # Who opens a study of another all the same is warned.
    first.browser.click(f"#studies [data-id='{second.study()}']")
    first.settled()
    assert first.browser.run("return document.getElementById('others').textContent") == (
        "Another annotator is at work on this study too"
    )
    # A page that is closed gives its study back.
    held = second.study()
    leave(second.browser)
    everyone = "return document.getElementById('others').textContent"
    first.browser.wait_for(lambda: first.browser.run(everyone) == "")
    assert first.study() == held
    leave(first.browser)
    server.wait(lambda: not any(one["reserved_by"] for one in server.get("/lungseg/studies").json))
    assert first.browser.errors() == second.browser.errors() == []


@pytest.mark.safety("same-study-twice")
def test_when_all_studies_are_reserved_the_page_says_so(server, ann):
    for name in NAMES[1:]:
        assert server.ask("PUT", f"/lungseg/studies/{name}/reservation?client_id={name}").status == 200
    ann.browser.click("#next")
    ann.browser.wait_for(lambda: ann.message().startswith("Others are annotating all other studies"))
    assert ann.study() == STUDY
    for name in NAMES[1:]:
        server.ask("DELETE", f"/lungseg/studies/{name}/reservation?client_id={name}")


def test_a_reservation_is_renewed_while_the_page_is_used(ann):
    script = """
    return import('/lungseg/page/reservation.js').then(async ({ Reservation }) => {
      let now = 0;
      const taken = [];
      const held = new Reservation((study) => taken.push([study, now]), () => now);
      await held.hold('a');
      for (now of [30000, 70000]) { window.dispatchEvent(new Event('wheel')); await held.tend(); }
      for (now of [140000, 900000]) await held.tend();
      return taken;
    })"""
    assert ann.browser.run(script) == [["a", 0], ["a", 70000]]


def both_saved(server, ann: Page, bob: Page) -> None:
    """Ann saves her stroke at (20, 20), and Bob tries to save his at (20, 100)."""
    paint(ann, 20, 20)
    paint(bob, 20, 100)
    ann.save()
    bob.browser.click("#save")
    text = bob.asked("conflict")
    # The day is named as well once it is over.
    assert re.search("Someone else saved another label of this study( on .+)? at ", text)
    assert saved(server)[20, 22] == 1
    assert saved(server)[100, 22] == 0


@pytest.mark.safety("label-replaced-unseen")
def test_the_second_one_sees_both_labels_and_saves_over_the_first(server, ann, bob, tmp_path):
    both_saved(server, ann, bob)
    count = kept(server)
    bob.browser.click("#conflict [data-shown='theirs']")
    assert shows(bob, 22, 20)
    assert not shows(bob, 22, 100)
    (tmp_path / "conflict.png").write_bytes(bob.browser.screenshot())
    bob.browser.click("#conflict [data-shown='mine']")
    assert shows(bob, 22, 100)
    bob.answer("mine", "conflict")
    bob.settled()
    assert not bob.changed()
    assert saved(server)[100, 22] == 1
    assert kept(server) == count + 1
    # Now Ann's page is the one that is behind.
    paint(ann, 60, 120)
    ann.browser.click("#save")
    ann.answer("theirs", "conflict")
    ann.settled()
    assert not ann.changed()
    ann.save()
    assert saved(server)[100, 22] == 1


@pytest.mark.safety("label-replaced-unseen")
def test_the_second_one_keeps_the_first_label_and_can_have_its_own_again(server, ann, bob):
    both_saved(server, ann, bob)
    bob.answer("theirs", "conflict")
    bob.settled()
    assert "Undo brings yours back" in bob.message()
    assert not bob.changed()
    assert shows(bob, 22, 20)
    bob.browser.press("Control", "z")
    assert bob.changed()
    assert shows(bob, 22, 100)
    bob.save()  # the other label was seen
    assert saved(server)[100, 22] == 1


@pytest.mark.safety("label-replaced-unseen")
def test_the_second_one_decides_later(server, ann, bob):
    both_saved(server, ann, bob)
    bob.browser.press("Escape")
    bob.browser.wait_for(lambda: bob.message().startswith("Not saved: Someone else saved another label"))
    assert bob.changed()
    assert saved(server)[20, 22] == 1
    bob.browser.click("#save")
    bob.answer("mine", "conflict")
    bob.settled()
    assert saved(server)[100, 22] == 1


@pytest.mark.safety("label-replaced-unseen")
def test_a_label_that_was_deleted_meanwhile_is_reported(server, ann):
    ann.save()
    paint(ann, 20, 20)
    server.ask("DELETE", f"/datastore/label?id={STUDY}&tag=final")
    ann.browser.click("#save")
    assert "was deleted meanwhile" in ann.asked("conflict")
    assert not ann.browser.run("return document.querySelector('#conflict [value=theirs]').checkVisibility()")
    ann.answer("mine", "conflict")
    ann.settled()
    assert saved(server)[20, 22] == 1


@pytest.mark.safety("unfinished-work")
@pytest.mark.parametrize("way", ["#next", "#save", f"#studies [data-id='{NAMES[1]}']", "[data-tool='brush']"])
def test_a_polygon_that_was_begun_is_asked_about(server, ann, way, tmp_path):
    ann.polygon(*CORNERS)
    ann.browser.click(way)
    assert "Finish the polygon?" in ann.asked()
    (tmp_path / "polygon.png").write_bytes(ann.browser.screenshot())
    ann.answer("")
    assert (ann.study(), ann.corners()) == (STUDY, 3)
    ann.browser.click(way)
    ann.answer("finish")
    if way == "#save":
        ann.browser.wait_for(lambda: "Saved" in ann.message())
        assert saved(server)[35, 65] == 1
    elif way == "[data-tool='brush']":
        assert ann.changed()
    else:
        assert "Save your changes?" in ann.asked()
        (tmp_path / "changes.png").write_bytes(ann.browser.screenshot())
        ann.answer("save")
        ann.browser.wait_for(lambda: ann.study() != STUDY)
        assert saved(server)[35, 65] == 1
    assert ann.corners() == 0


@pytest.mark.safety("unfinished-work")
def test_two_corners_cannot_be_finished_and_a_discarded_polygon_changes_nothing(ann):
    ann.polygon(*CORNERS[:2])
    ann.browser.press("n")
    assert "Discard the polygon?" in ann.asked()
    assert ann.browser.run("return document.activeElement.textContent") == "Keep drawing"
    ann.browser.press("Enter")
    ann.browser.wait_for(lambda: not ann.browser.run("return document.getElementById('question').open"))
    assert ann.corners() == 2
    ann.browser.press("n")
    ann.answer("discard")
    ann.browser.wait_for(lambda: ann.study() != STUDY)
    ann.settled()
    assert not ann.changed()


def test_a_polygon_outlives_moving_the_picture_and_undo_takes_its_last_corner(ann):
    ann.polygon(*CORNERS)
    ann.browser.click("[data-tool='pan']")
    assert ann.corners() == 3
    ann.browser.press("Control", "z")
    assert ann.corners() == 2
    ann.browser.press("Escape")
    assert ann.corners() == 0


@pytest.mark.safety("unfinished-work")
def test_closing_the_page_asks_for_a_polygon_and_for_changes(ann):
    asks = "const event = new Event('beforeunload', { cancelable: true }); return !window.dispatchEvent(event)"
    assert not ann.browser.run(asks)
    ann.polygon(CORNERS[0])
    assert ann.browser.run(asks)
    ann.browser.press("Escape")
    assert not ann.browser.run(asks)
    paint(ann, 20, 20)
    assert ann.browser.run(asks)


@pytest.mark.safety("unfinished-work")
@pytest.mark.parametrize("answer", ["", "leave"])
def test_unsaved_changes_are_asked_about(server, ann, answer):
    paint(ann, 20, 20)
    ann.browser.click(f"#studies [data-id='{NAMES[2]}']")
    ann.answer(answer)
    ann.browser.wait_for(lambda: ann.study() == (NAMES[2] if answer else STUDY))
    ann.settled()
    assert ann.changed() == (answer == "")
    assert server.get(f"/lungseg/studies/{STUDY}/label").status == 404


@pytest.mark.safety("unfinished-work")
def test_a_stroke_that_is_still_being_drawn_is_asked_about(ann):
    ann.browser.drag(ann.at(20, 20), ann.at(30, 20), let_go=False)
    ann.browser.press("n")
    assert "Save your changes?" in ann.asked()
    ann.browser.let_go()
    ann.answer("")
    assert (ann.study(), ann.changed()) == (STUDY, True)


def test_the_list_keeps_the_focus_and_its_place_when_it_changes(server, ann):
    focus = """
    const list = document.getElementById('studies'), button = list.querySelector(`[data-id='${arguments[0]}']`);
    button.focus(); list.parentElement.scrollTop = arguments[1]; return list.parentElement.scrollTop"""
    state = """
    const list = document.getElementById('studies');
    return [document.activeElement.dataset.id, list.parentElement.scrollTop, list.lastElementChild.innerText]"""
    target = ann.browser.run("return document.querySelectorAll('#studies button')[12].dataset.id")
    place = ann.browser.run(focus, target, 150)
    assert place > 100
    worst = ann.browser.run("return document.querySelector('#studies button').dataset.id")
    _, labels = phantom((14, NAMES.index(worst)), (144, 120))
    assert server.save(worst, labels).status == 200
    ann.browser.wait_for(lambda: "labelled" in ann.browser.run(state)[2])
    assert ann.browser.run(state)[:2] == [target, place]
    # Also if the focused study itself changes, moves or vanishes.
    server.ask("DELETE", f"/datastore/label?id={worst}&tag=final")
    ann.browser.wait_for(lambda: "labelled" not in ann.browser.run(state)[2])
    assert server.save(target, phantom((14, NAMES.index(target)), (144, 120))[1]).status == 200
    ann.browser.wait_for(lambda: "labelled" in ann.browser.run(state)[2])
    assert ann.browser.run(state)[:2] == [target, place]
    server.ask("DELETE", f"/datastore/label?id={target}&tag=final")


def test_a_button_keeps_the_focus_when_its_work_is_done(ann):
    ann.browser.run("document.getElementById('save').focus()")
    ann.browser.press("Enter")
    ann.browser.wait_for(lambda: "Saved" in ann.message())
    assert ann.browser.run("return document.activeElement.id") == "save"
