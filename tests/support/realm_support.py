# SPDX-License-Identifier: Apache-2.0
"""A Keycloak realm of the tests, in a process of its own: see `pretended_realm.py`."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from label_support import free_port, require_environment, wait_until_listening


class PretendedRealm:
    """A running realm."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/realms/monailabel"

    def made(self, claims: dict | None = None, **how) -> str:
        """Return a signed token; see `pretended_realm.py`."""
        return self._post("/made", {"claims": claims or {}, **how})["access_token"]

    def rotate(self) -> None:
        """Change the key that signs."""
        self._post("/rotated", {})

    def _post(self, path: str, content: dict) -> dict:
        with urllib.request.urlopen(self.root + path, json.dumps(content).encode()) as answer:
            return json.load(answer)

    def asked_for_keys(self) -> int:
        """Return how often somebody asked for the keys."""
        with urllib.request.urlopen(self.root + "/asked") as answer:
            return json.load(answer)["asked_for_keys"]


@contextmanager
def running_realm() -> Iterator[PretendedRealm]:
    """Run a realm."""
    port = free_port()
    command = [require_environment(), Path(__file__).with_name("pretended_realm.py"), str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until_listening(process, port)
        yield PretendedRealm(port)
    finally:
        process.kill()
        process.wait()
