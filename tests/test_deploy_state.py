# SPDX-License-Identifier: Apache-2.0
"""Where a worker keeps its state: each Orthanc has a folder of its own."""

from __future__ import annotations

import pytest

from lungseg.workflows.deploy.state import default_folder


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:8042", "127.0.0.1_8042"),
        ("https://pacs.example.org/", "pacs.example.org_https"),
        ("https://pacs.example.org/a", "pacs.example.org_https_a"),
        ("https://pacs.example.org/a/", "pacs.example.org_https_a"),
        ("https://pacs.example.org/b", "pacs.example.org_https_b"),
        ("https://pacs.example.org/b/c", "pacs.example.org_https_b%2Fc"),
        ("http://pacs.example.org:81/..", "pacs.example.org_81_.."),
    ],
)
def test_each_orthanc_has_a_folder_of_its_own(url, name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_folder(url) == tmp_path / "lungseg" / name
