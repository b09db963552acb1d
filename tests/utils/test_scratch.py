# SPDX-License-Identifier: Apache-2.0
"""Temporary files of a process that was killed go when the next one begins, and those of others stay."""

from __future__ import annotations

import os
from pathlib import Path

from lungseg.utils.files import only_user
from lungseg.utils.scratch import LOCK, YOUNG, scratch_folder


def left(parent: Path, name: str, age: float, *, locked: bool = True) -> Path:
    """Make a folder as a killed process leaves it."""
    folder = parent / name
    folder.mkdir()
    (folder / "radiograph").write_bytes(b"copy")
    if locked:
        (folder / LOCK).touch()
    moment = os.stat(folder).st_mtime - age
    os.utime(folder, (moment, moment))
    return folder


def test_folders_of_killed_processes_are_removed(tmp_path):
    old = left(tmp_path, "lungseg-old", 10 * YOUNG)
    young = left(tmp_path, "lungseg-young", 0)
    unknown = left(tmp_path, "lungseg-unknown", 10 * YOUNG, locked=False)
    used = left(tmp_path, "lungseg-used", 10 * YOUNG)
    others = left(tmp_path, "of-another-program", 10 * YOUNG)
    with only_user(used / LOCK), scratch_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not old.exists()
        (folder / "radiograph").write_bytes(b"copy")
    assert not folder.exists()
    assert all(one.is_dir() for one in (young, unknown, used, others))


def test_a_folder_goes_whatever_happens_in_it(tmp_path):
    try:
        with scratch_folder(tmp_path) as folder:
            raise ZeroDivisionError
    except ZeroDivisionError:
        assert not folder.exists()
