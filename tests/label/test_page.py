# SPDX-License-Identifier: Apache-2.0
"""The annotation page, in a real browser: open, segment, paint, undo, save, and find the saved pixels again."""

from __future__ import annotations

import numpy as np
import pytest
from browser_support import Browser, needs_browser
from label_support import MODEL
from page_support import Page, choose

from lungseg.io import write_png

pytestmark = needs_browser
STUDY = "real one (1)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    window = Browser(tmp_path_factory.mktemp("profile"))
    yield window
    window.close()


@pytest.fixture
def page(browser, label_server):
    yield Page(browser, label_server.url, STUDY)
    browser.run("window.onbeforeunload = null")
    label_server.ask("DELETE", "/datastore/label?id=real+one+(1)&tag=final")
    assert browser.errors() == []


def saved(server) -> np.ndarray:
    return server.get("/datastore/label", label=STUDY, tag="final").labels


def test_paint_undo_save_and_reload(browser, page, label_server, tmp_path):
    model = label_server.infer(STUDY).labels
    page.save()  # what the model drew, untouched
    np.testing.assert_array_equal(saved(label_server), model)

    height, width = model.shape
    spot = (width // 2, height - 40)
    browser.click("[data-label='2']")
    browser.drag(page.at(*spot), page.at(spot[0] + 30, spot[1]))
    assert page.changed()
    browser.press("Control", "z")
    assert not page.changed()
    browser.press("Control", "Shift", "z")
    browser.click("[data-label='1']")
    browser.drag(page.at(40, 60), page.at(40, 90))
    browser.click("#undo")
    browser.click("[data-tool='eraser']")
    lung = np.argwhere(model == 1).mean(0)[::-1]
    browser.drag(page.at(*lung))
    (tmp_path / "page.png").write_bytes(browser.screenshot())
    page.save()

    labels = saved(label_server)
    assert labels.dtype == np.uint8
    assert labels.shape == model.shape
    assert (labels[spot[1] - 5 : spot[1] + 5, spot[0] : spot[0] + 30] == 2).all()
    assert (labels[round(lung[1]) - 5 : round(lung[1]) + 5, round(lung[0]) - 5 : round(lung[0]) + 5] == 0).all()
    np.testing.assert_array_equal(labels[55:95, 20:60], model[55:95, 20:60])  # undone
    y, x = np.nonzero(labels != model)
    assert set(zip(x // 100, y // 100, strict=True)) <= {
        (cx // 100, cy // 100)
        for cx0, cy0 in (spot, lung)
        for cx in range(int(cx0) - 20, int(cx0) + 52)
        for cy in range(int(cy0) - 20, int(cy0) + 21)
    }

    # A stroke in the place of one that was saved and taken back is not saved.
    browser.click("#undo")
    browser.drag(page.at(40, 60), page.at(40, 90))
    assert page.changed()
    page.save()
    labels = saved(label_server)

    again = Page(browser, label_server.url, STUDY)
    again.save()  # opened with the saved label, and saved as it is
    np.testing.assert_array_equal(saved(label_server), labels)


def test_the_heart_and_its_ratio_are_shown_and_not_saved(browser, page, label_server):
    result = label_server.infer(STUDY, "json").json
    text = browser.run("return document.getElementById('ratio').textContent")
    assert text.startswith(f"Cardiothoracic ratio {result['measurements']['ctr']:.2f} (")
    page.save()
    assert set(np.unique(saved(label_server))) == {0, 1, 2}


@pytest.fixture
def unfit_label(label_server, label_studies):
    """The study's final label, put there by another program and too small."""
    file = label_studies / "labels" / "final" / f"{STUDY}.png"
    write_png(file, np.zeros((10, 10), np.uint8))
    label_server.wait(lambda: label_server.get("/lungseg/studies").json[-1]["labelled"])
    yield file
    label_server.ask("DELETE", "/datastore/label?id=real+one+(1)&tag=final")


def test_a_label_that_cannot_be_shown_is_not_replaced_by_an_empty_one(browser, label_server, unfit_label):
    before = unfit_label.read_bytes()
    choose(browser, label_server.url, STUDY)
    browser.wait_for(lambda: browser.run("return document.getElementById('message').className") == "bad")
    browser.wait_for(lambda: not browser.run("return document.body.dataset.busy"))
    assert browser.run("return document.getElementById('save').disabled")
    browser.press("s")
    assert unfit_label.read_bytes() == before
    # The model draws what can be saved instead.
    browser.click("#run")
    browser.wait_for(lambda: not browser.run("return document.getElementById('save').disabled"))
    browser.click("#save")
    browser.wait_for(lambda: "Saved" in browser.run("return document.getElementById('message').textContent"))
    assert unfit_label.read_bytes() != before
    np.testing.assert_array_equal(saved(label_server), label_server.infer(STUDY).labels)
    browser.errors()  # the browser's own line about what could not be loaded


def test_nothing_is_drawn_while_the_page_is_busy(browser, page):
    stroke = page.at(40, 60), page.at(40, 90)
    browser.run("document.body.dataset.busy = 'true'")
    browser.drag(*stroke)
    assert not page.changed()
    browser.run("delete document.body.dataset.busy")
    browser.drag(*stroke)
    assert page.changed()
    browser.click("#undo")


def test_a_polygon_where_the_picture_was_zoomed_and_moved(browser, page, label_server):
    browser.click("[data-tool='polygon']")
    browser.click("#in")
    browser.click("#in")
    browser.drag(page.at(100, 100), page.at(120, 110), button=1)
    browser.click("[data-label='1']")
    corners = [(200, 200), (260, 200), (260, 240), (200, 240)]
    before = label_server.infer(STUDY).labels
    for corner in corners:
        browser.drag(page.at(*corner))
    browser.press("Enter")
    page.save()
    labels = saved(label_server)
    assert (labels[202:238, 202:258] == 1).all()
    outside = np.ones(labels.shape, dtype=bool)
    outside[198:242, 198:262] = False
    np.testing.assert_array_equal(labels[outside], before[outside])


def test_a_polygon_beside_the_picture_changes_nothing(browser, page):
    rects = browser.run(
        "return import('/lungseg/page/labelmap.js').then(({ LabelMap }) => [-9, 40].map((y) => {"
        "const labels = new LabelMap(20, 30); labels.begin();"
        "labels.polygon([[2, y], [9, y], [9, y + 5]], 1); return labels.end(); }))"
    )
    assert rects == [None, None]


def test_the_window_changes_the_picture_and_not_the_labels(browser, page, label_server):
    model = label_server.infer(STUDY).labels
    before = browser.screenshot()
    browser.run(
        "for (const [id, value] of [['black', 60], ['white', 180]]) {"
        "const slider = document.getElementById(id); slider.value = value; slider.dispatchEvent(new Event('input')); }"
    )
    assert browser.screenshot() != before
    assert not page.changed()
    page.save()
    np.testing.assert_array_equal(saved(label_server), model)


def test_the_list_is_sorted_and_next_leads_to_the_worst(browser, page, label_server):
    def studies() -> list[dict]:
        return label_server.get("/lungseg/studies").json

    label_server.wait_until_scored()
    qualities = [study["quality"] for study in studies() if not study["labelled"]]
    assert qualities == sorted(qualities)
    page.save()
    browser.wait_for(lambda: "1 of 7 labelled" in browser.run("return document.getElementById('progress').textContent"))
    worst = next(study["id"] for study in studies() if not study["reserved_by"])
    browser.click("#next")
    page.settled()
    assert page.study() == worst
    assert studies()[-1]["id"] == STUDY


@pytest.mark.safety("foreign-page")
def test_nothing_comes_from_another_server(browser, page, label_server):
    loaded = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert any(name.endswith("konva.min.js") for name in loaded)
    assert all(name.startswith(label_server.url) for name in loaded)
    assert any(MODEL in name for name in loaded)
