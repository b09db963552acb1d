# SPDX-License-Identifier: Apache-2.0
"""A name that a stranger chose never becomes a path that leaves its folder or follows a link."""

from __future__ import annotations

from pathlib import Path

import pytest
from errors_support import fails
from hypothesis import given
from hypothesis import strategies as st

from lungseg.utils.names import is_uid, path_inside

pytestmark = pytest.mark.safety("foreign-names")
FOLDER = Path("/nowhere/studies")


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2", "2.25.0", "1", "1.02", "9" * 64])
def test_uids_are_known(uid):
    assert is_uid(uid)


@pytest.mark.parametrize(
    "text", ["", "1.", ".1", "1..2", "1.2/3", "../1", "1.2\n", "1.2\0", "\u0663.\u0661", "1 2", "9" * 65]
)
def test_other_texts_are_not_uids(text):
    assert not is_uid(text)


@pytest.mark.parametrize("name", ["", ".", "..", "/etc/passwd", "../a", "a/b", "a\\b", "a\0b"])
def test_a_path_is_not_a_name(tmp_path, name):
    with fails("name-is-path"):
        path_inside(tmp_path, name)
    with fails("name-is-path"):
        path_inside(tmp_path, "labels", name)


@given(st.text(max_size=40))
def test_no_name_leaves_the_folder(name):
    if name in ("", ".", "..") or set(name) & {"/", "\\", "\0"}:
        with fails("name-is-path"):
            path_inside(FOLDER, "labels", name)
    else:
        path = path_inside(FOLDER, "labels", name)
        assert (path.parent, path.name) == (FOLDER / "labels", name)


def test_links_are_not_followed(tmp_path):
    (tmp_path / "secret.png").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "folder" / "dangling.png").symlink_to("gone")
    (tmp_path / "folder" / "inside").symlink_to(tmp_path)
    for names in (("a.png",), ("dangling.png",), ("inside", "secret.png")):
        with fails("name-is-link"):
            path_inside(tmp_path / "folder", *names)


def test_the_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert path_inside(tmp_path / "link", "a.png") == tmp_path / "link" / "a.png"
