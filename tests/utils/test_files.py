# SPDX-License-Identifier: Apache-2.0
"""Files are written completely or not at all, and every failure has a code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path, only_user, private_folder, remove_abandoned, usable_folder, writing_failed


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
@pytest.mark.safety("half-written")
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    def write():
        with atomic_path(tmp_path / "a.json") as path:
            path.write_text("half")
            raise error

    (tmp_path / "a.json").write_text("old")
    with pytest.raises(LungsegError if isinstance(error, OSError) else type(error)):
        write()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.safety("half-written")
def test_a_full_disk_leaves_nothing(tmp_path):
    # A limit on the size of files fails like a full disk, in the middle of writing.
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from lungseg.utils.errors import LungsegError\n"
        "from lungseg.utils.files import atomic_path\n"
        "try:\n"
        "    with atomic_path(sys.argv[1]) as path:\n"
        "        path.write_bytes(bytes(9999))\n"
        "except LungsegError as error:\n"
        "    print(error.code)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.png"], capture_output=True, text=True, check=True)
    assert done.stdout == "disk-full\n"
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("")
    for path in (tmp_path / "out" / "a.png", tmp_path / "out" / "b" / "a.png"):
        with pytest.raises(UsageError) as caught, atomic_path(path) as temporary:
            temporary.write_bytes(b"")
        assert caught.value.code == "not-writable"
    with pytest.raises(UsageError) as caught:
        usable_folder(tmp_path / "out")
    assert caught.value.code == "is-file"


def test_a_path_without_a_name():
    with pytest.raises(UsageError) as caught, atomic_path("/"):
        pass
    assert caught.value.code == "is-folder"


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [
        (errno.ENOSPC, "disk-full", LungsegError),
        (errno.EDQUOT, "disk-full", LungsegError),
        (errno.EACCES, "not-writable", UsageError),
        (errno.EROFS, "not-writable", UsageError),
        (errno.ENAMETOOLONG, "name-too-long", LungsegError),
        (errno.EIO, "not-written", LungsegError),
    ],
)
def test_every_failure_has_a_code(tmp_path, number, code, kind):
    error = writing_failed(OSError(number, os.strerror(number)), tmp_path / "a.png")
    assert (error.code, type(error)) == (code, kind)
    assert "a.png" in str(error) or str(tmp_path) in str(error)


@pytest.mark.safety("killed-run-leftovers")
def test_abandoned_files_are_removed_at_once_and_others_kept(tmp_path):
    (tmp_path / "masks").mkdir()
    for name in (".a.0123abcd.png", "masks/.b.0123abcd.png", ".trial.0123abcd", "c.png", ".hidden", ".d.png"):
        (tmp_path / name).write_bytes(b"")
    remove_abandoned(tmp_path, sub_folders=False)
    assert (tmp_path / "masks" / ".b.0123abcd.png").exists()
    remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".d.png", ".hidden", "c.png", "masks"]
    assert not list((tmp_path / "masks").iterdir())


@pytest.mark.safety("one-run-per-folder")
def test_a_folder_has_one_user_at_a_time_and_the_lock_dies_with_its_process(tmp_path):
    lock = tmp_path / "lock"
    code = (
        "import sys; from lungseg.utils.files import only_user\nwith only_user(sys.argv[1]): print(); sys.stdin.read()"
    )
    held = subprocess.Popen([sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert held.stdout.readline() == b"\n"
    with pytest.raises(UsageError) as refused, only_user(lock):
        pass
    assert refused.value.code == "folder-in-use"
    held.kill()
    held.communicate()
    with only_user(lock):
        pass


@pytest.mark.safety("private-state")
def test_a_private_folder_is_closed_to_other_users(tmp_path):
    new, old = tmp_path / "above" / "new", tmp_path / "old"
    old.mkdir(mode=0o755)
    for folder in (new, old):
        assert private_folder(folder) == folder
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.safety("private-state")
def test_a_folder_for_everybody_does_not_become_private(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    with pytest.raises(UsageError) as refused:
        private_folder(tmp_path / "shared")
    assert refused.value.code == "folder-shared"
    assert (tmp_path / "shared").stat().st_mode & 0o7777 == 0o1777


def test_a_file_is_not_a_private_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as refused:
        private_folder(tmp_path / "file")
    assert refused.value.code == "is-file"
