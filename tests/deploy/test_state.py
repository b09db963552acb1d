# SPDX-License-Identifier: Apache-2.0
"""Where a worker keeps its state, each Orthanc having a folder of its own, and where in the feed it begins."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lungseg.utils.errors import LungsegError
from lungseg.workflows.deploy.orthanc.state import default_folder
from lungseg.workflows.deploy.orthanc.watch import _from_where


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


@pytest.mark.parametrize(
    ("last", "since", "saved", "begins"),
    [(30, None, None, 30), (30, None, 20, 20), (30, 5, 20, 5), (0, None, 20, 0), (0, None, None, 0)],
)
def test_where_it_begins(last, since, saved, begins):
    assert _from_where(SimpleNamespace(last_change=lambda: last, url="u"), since, saved) == begins


def test_the_feed_of_another_orthanc_is_refused():
    with pytest.raises(LungsegError, match="it is another Orthanc"):
        _from_where(SimpleNamespace(last_change=lambda: 3, url="u"), None, 20)
