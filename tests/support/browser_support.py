# SPDX-License-Identifier: Apache-2.0
"""Drives a headless Chromium through its driver's own protocol (W3C WebDriver)."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER) and "LUNGSEG_TEST_EVERYTHING" not in os.environ,
    reason="chromium and chromium-driver are not installed",
)
_LISTENS = re.compile(r"started successfully on port (\d+)")
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

# A frame is drawn after the events that were waiting, and a timer runs after the frame.
_ANSWERED = "const done = arguments[0]; requestAnimationFrame(() => setTimeout(done, 0));"

_KEYS = {
    **{"Control": "\ue009", "Shift": "\ue008", "Enter": "\ue007", "Escape": "\ue00c", "Tab": "\ue004", "End": "\ue010"},
    **{"Home": "\ue011", "ArrowLeft": "\ue012", "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowDown": "\ue015"},
}


class Browser:
    """One window.

    Args:
        profile: an empty folder.
    """

    def __init__(self, profile: Path, size: tuple[int, int] = (1280, 860)) -> None:
        # It takes a port by itself and says which: one that is chosen before may be another program's by then.
        self._driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
        try:
            self._root = f"http://127.0.0.1:{self._port()}"
            self._root += f"/session/{self._begin(profile, size)}"
        except BaseException:
            self._end_driver()
            raise
        self._acted = False

    def _port(self) -> int:
        """Wait until the driver says at which port it listens."""
        said = []
        for line in self._driver.stdout:
            if found := _LISTENS.search(line):
                return int(found[1])
            said.append(line)
        raise AssertionError(f"the driver did not start: {''.join(said)}")

    def _begin(self, profile: Path, size: tuple[int, int]) -> str:
        """Open the window, and return its name."""
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        arguments += [f"--user-data-dir={profile}", "--window-size={},{}".format(*size)]
        options = {"args": arguments, "binary": CHROMIUM}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
        return self._ask("POST", "/session", {"capabilities": wanted})["sessionId"]

    def _end_driver(self) -> None:
        self._driver.terminate()
        self._driver.wait(300)
        self._driver.stdout.close()

    def close(self) -> None:
        """End the browser."""
        try:
            self._ask("DELETE", "")
        finally:
            self._end_driver()

    def open(self, url: str) -> None:
        """Go to a page."""
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments):
        """Run JavaScript, the body of a function, and return what it returns.

        It runs once the page has answered the last action: a dialog that a key closes says so in an event of its
        own, after the driver has answered.
        """
        if self._acted:
            self.answered()
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def answered(self) -> None:
        """Wait until events that were waiting are over, and the page is laid out and drawn as they left it."""
        self._acted = False
        self._ask("POST", "/execute/async", {"script": _ANSWERED, "args": []})

    def click(self, selector: str) -> None:
        """Click an element."""
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"/element/{found[_ELEMENT]}/click", {})
        self._acted = True

    def press(self, *keys: str) -> None:
        """Press keys together, such as Control and z."""
        keys = tuple(_KEYS.get(key, key) for key in keys)
        steps = [{"type": "keyDown", "value": key} for key in keys]
        steps += [{"type": "keyUp", "value": key} for key in reversed(keys)]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": steps}]})
        self._acted = True

    def drag(self, *points: tuple[float, float], button: int = 0, let_go: bool = True) -> None:
        """Press the mouse at the first point of the window, draw it over the others, and let go."""
        (x, y), *others = [(round(x), round(y)) for x, y in points]
        steps = [{"type": "pointerMove", "x": x, "y": y}, {"type": "pointerDown", "button": button}]
        steps += [{"type": "pointerMove", "x": x, "y": y, "duration": 60} for x, y in others]
        if let_go:
            steps.append({"type": "pointerUp", "button": button})
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps}
        self._ask("POST", "/actions", {"actions": [mouse]})
        self._acted = True

    def let_go(self) -> None:
        """Release the mouse."""
        self._ask("DELETE", "/actions")
        self._acted = True

    def screenshot(self) -> bytes:
        """Return a PNG of the window."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def errors(self) -> list[str]:
        """Return the errors of the page since the last call."""
        return [
            line["message"] for line in self._ask("POST", "/se/log", {"type": "browser"}) if line["level"] == "SEVERE"
        ]

    def wait_for(self, condition, seconds: float = 300):
        """Return what `condition` returns as soon as it is true."""
        end = time.monotonic() + seconds
        while True:
            try:
                if result := condition():
                    return result
            except OSError:
                pass
            assert time.monotonic() < end, "timed out"
            time.sleep(0.1)

    def _ask(self, method: str, path: str, content: dict | None = None):
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"].splitlines()[0]) from error
