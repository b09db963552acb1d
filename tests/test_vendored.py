# SPDX-License-Identifier: Apache-2.0
"""Files of other projects that lie in this one are those that were published."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

VENDOR = Path(__file__).parents[1] / "workflows" / "label" / "page" / "vendor"


@pytest.mark.safety("vendored-script")
def test_every_vendored_script_has_its_recorded_checksum():
    scripts = list(VENDOR.rglob("*.js"))
    assert scripts
    for script in scripts:
        (recorded,) = re.findall("[0-9a-f]{64}", script.with_name("README.md").read_text("utf-8"))
        assert hashlib.sha256(script.read_bytes()).hexdigest() == recorded
