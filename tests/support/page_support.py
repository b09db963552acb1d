# SPDX-License-Identifier: Apache-2.0
"""The annotation page as its users handle it."""

from __future__ import annotations

from browser_support import Browser


class Page:
    """The page with a study open in it."""

    def __init__(self, browser: Browser, url: str, study: str) -> None:
        self.browser = browser
        choose(browser, url, study)
        self.settled()
        assert self.study() == study

    def settled(self) -> None:
        """Wait until what was begun is done, and the picture has the place that texts around it left to it."""
        idle = "return document.getElementById('study').textContent && !document.body.dataset.busy"
        self.browser.wait_for(lambda: self.browser.run(idle))
        self.browser.answered()
        assert self.browser.run("return document.getElementById('message').className") == ""

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where in the window a pixel of the radiograph is."""
        left, top, scale, dx, dy = self.browser.run(
            "const stage = document.getElementById('stage'), r = stage.getBoundingClientRect(), d = stage.dataset;"
            "return [r.x, r.y, Number(d.scale), Number(d.x), Number(d.y)]"
        )
        return left + dx + scale * x, top + dy + scale * y

    def study(self) -> str:
        return self.browser.run("return document.getElementById('study').textContent")

    def message(self) -> str:
        return self.browser.run("return document.getElementById('message').textContent")

    def changed(self) -> bool:
        return self.browser.run("return document.body.dataset.changed") == "true"

    def save(self) -> None:
        self.browser.click("#save")
        self.browser.wait_for(lambda: not self.changed())
        self.settled()

    def asked(self, dialog: str = "question") -> str:
        """Wait until a dialog is open, and return its text."""
        opened = f"const d = document.getElementById('{dialog}'); return d.open && d.innerText"
        return self.browser.wait_for(lambda: self.browser.run(opened))

    def answer(self, value: str, dialog: str = "question") -> None:
        """Press a button of the open dialog."""
        self.asked(dialog)
        self.browser.click(f"#{dialog} button[value='{value}']")

    def polygon(self, *corners: tuple[float, float]) -> None:
        """Begin a polygon, and do not close it."""
        self.browser.click("[data-tool='polygon']")
        for corner in corners:
            self.browser.drag(self.at(*corner))

    def corners(self) -> int:
        """Return the number of corners of the polygon that was begun."""
        return int(self.browser.run("return document.body.dataset.corners"))


def choose(browser: Browser, url: str, study: str) -> None:
    """Load the page, and click a study in its list."""
    browser.open("about:blank")
    browser.open(f"{url}/lungseg/")
    browser.wait_for(lambda: browser.run("return document.body.dataset.ready"))
    browser.run(
        "[...document.querySelectorAll('#studies button')].find(b => b.dataset.id === arguments[0]).click()", study
    )
