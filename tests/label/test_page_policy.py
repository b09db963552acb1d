# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser obeys its content security policy, and other pages cannot frame it."""

from __future__ import annotations

import pytest
from browser_support import Browser, needs_browser

pytestmark = [needs_browser, pytest.mark.safety("foreign-script")]

# Adds scripts as an attacker would who can write into the page, and returns what the policy refused.
ATTACK = """
window.refused = [];
document.addEventListener("securitypolicyviolation", (event) => window.refused.push(event.effectiveDirective));
const foreign = document.createElement("script");
foreign.src = "http://127.0.0.1:9/foreign.js";
const inline = document.createElement("script");
inline.textContent = "window.attacked = true";
document.body.append(foreign, inline);
document.body.insertAdjacentHTML("beforeend", "<img src='data:,x' onerror='window.attacked = true'>");
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    window = Browser(tmp_path_factory.mktemp("profile"))
    yield window
    window.close()


def test_the_page_works_under_its_policy_and_foreign_scripts_do_not_run(browser, label_server):
    browser.open(f"{label_server.url}/lungseg/")
    browser.wait_for(lambda: browser.run("return document.body.dataset.ready"))
    browser.run("[...document.querySelectorAll('#studies button')].find(b => b.dataset.id === 'photo').click()")
    drawn = "return document.getElementById('study').textContent && !document.body.dataset.busy"
    browser.wait_for(lambda: browser.run(drawn))
    assert browser.run("return document.getElementById('message').className") == ""
    assert browser.errors() == []

    browser.run(ATTACK)
    refused = {"script-src-elem", "script-src-attr", "img-src"}
    browser.wait_for(lambda: set(browser.run("return window.refused")) == refused)
    assert not browser.run("return window.attacked")
    browser.errors()


def test_pages_cannot_frame_it(browser, label_server):
    browser.open(f"{label_server.url}/lungseg/")
    browser.run(
        "const frame = document.createElement('iframe'); frame.src = '/lungseg/'; document.body.append(frame);"
        "frame.addEventListener('load', () => (window.framed = true));"
    )
    browser.wait_for(lambda: browser.run("return window.framed"))
    # The document of a page that may be framed could be read here, even before it is loaded.
    assert browser.run("return document.querySelector('iframe').contentDocument === null")
    browser.errors()
