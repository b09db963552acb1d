# SPDX-License-Identifier: Apache-2.0
"""Recognise archives, in which the files of a study often come, and the commands that unpack them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from lungseg.io.formats import HEAD_BYTES, inflated_head, split_ending

_NAMES = re.compile(r"\.(zip|7z|rar|iso|tar|tgz|tbz2?|txz|tar\.(bz2|gz|xz|zst))$", re.IGNORECASE)
_TAR = "mkdir {folder} && tar -xf {file} -C {folder}"
# Commands for an archive, by its first bytes.
_COMMANDS = {
    re.compile(rb"PK(\x03\x04|\x05\x06|\x07\x08)"): "unzip {file} -d {folder}",
    re.compile(rb"7z\xbc\xaf\x27\x1c"): "7z x {file} -o{folder}",
    re.compile(rb"Rar!\x1a\x07"): "unrar x {file} {folder}/",
    re.compile(rb".{257}ustar", re.DOTALL): _TAR,
}
# Commands for one packed file: bzip2, xz, Zstandard. Whether it is a tar archive inside, only its name says.
_PACKED = {
    re.compile(rb"BZh[1-9]1AY&SY"): "bunzip2 -k {file}",
    re.compile(rb"\xfd7zXZ\0"): "unxz -k {file}",
    re.compile(rb"\x28\xb5\x2f\xfd"): "unzstd {file}",
}
# Documents and programs that are ZIP archives inside.
_DOCUMENTS = re.compile(r"\.(docx|pptx|xlsx|od[pst]|epub|jar|apk|npz|pth?|onnx)$", re.IGNORECASE)


def is_named_as_archive(name: str) -> bool:
    """Return whether a file has the name of an archive."""
    return _NAMES.search(name) is not None


def is_archive(path: Path) -> bool:
    """Return whether a file in a folder is an archive: by its name, or by its first bytes if it has no known ending."""
    if is_named_as_archive(path.name):
        return True
    return not split_ending(path.name) and how_to_unpack(path, _first_bytes(path)) is not None


def how_to_unpack(path: Path, head: bytes | None = None) -> str | None:
    """Return the commands that make an archive a folder of radiographs; None if the file is not an archive.

    Args:
        path: the file.
        head: its first bytes, if they are known.
    """
    head = _first_bytes(path) if head is None else head
    if _DOCUMENTS.search(path.name):
        return None
    named = _NAMES.search(path.name)
    folder = path.with_name(path.name[: named.start()] if named and named.start() else f"{path.name}-unpacked")
    command = _first_match(_COMMANDS, inflated_head(head))
    packed = _first_match(_PACKED, head)
    if packed and named:
        command = _TAR
    elif packed:
        return packed.format(file=shlex.quote(str(path)))
    command = command and f"{command}, then lungseg predict {{folder}}"
    return command and command.format(file=shlex.quote(str(path)), folder=shlex.quote(str(folder)))


def _first_match(commands: dict[re.Pattern[bytes], str], head: bytes) -> str | None:
    return next((command for first_bytes, command in commands.items() if first_bytes.match(head)), None)


def _first_bytes(path: Path) -> bytes:
    """Return the first bytes of a file; none if it cannot be read, which its reader will report."""
    try:
        # Opening a pipe would wait for its writer for ever.
        if not path.is_file():
            return b""
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""
