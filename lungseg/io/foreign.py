# SPDX-License-Identifier: Apache-2.0
"""Say what a file is that holds no radiograph, and what to do: the files that come with, or instead of, pictures."""

from __future__ import annotations

import re
import shlex

from lungseg.io.archives import how_to_unpack
from lungseg.io.content import Content
from lungseg.io.formats import GZIP, HEAD_BYTES
from lungseg.utils.errors import LungsegError

_EXPORT = "export it as PNG, in grey"
_DEVELOP = "develop it to a 16-bit TIFF file, in grey, with the program of the camera"
_AGAIN = "download it again, after signing in if the website asks for it"
# By its first bytes: what a file is, and what to do. `{file}` stands for its name, `{folder}` for that of its folder.
_KINDS = (
    (rb"%PDF-", "a PDF document, not a picture", "save its pictures as files: pdfimages -png {file} picture"),
    (rb"%!PS", "a PostScript document, not a picture", _EXPORT),
    (
        rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "a document of an Office program, not a picture",
        "save its pictures as PNG files",
    ),
    (
        rb"PK\x03\x04",
        "a document or program that is packed as a ZIP archive, not a picture",
        "save its pictures as PNG files",
    ),
    (rb"(?i)(<\?xml.*?>|<!--.*?-->|<!doctype svg.*?>|\s)*<svg", "a drawing in SVG, not a picture", _EXPORT),
    (rb"(?i)(<\?xml.*?>|<!--.*?-->|\s)*<(!doctype html|html|head|body)", "a web page, not a picture", _AGAIN),
    (rb"(<\?xml|\s*<)", "an XML file, not a picture", "name the picture itself"),
    (
        rb".{4}ftyp(hei|hev|mif1|msf1)",
        "a HEIC picture, which is not read",
        "convert it: heif-convert {file} {file}.png",
    ),
    (rb".{4}ftypavi", "an AVIF picture, which is not read", "convert it: avifdec {file} {file}.png"),
    (
        rb"(.{4}ftypcrx|FUJIFILMCCD-RAW|II(RO|RS|U\0)|MMOR|FOVb)",
        "the raw picture of a camera, which is not read",
        _DEVELOP,
    ),
    (
        rb"(.{4}ftyp|RIFF.{4}AVI |\x1a\x45\xdf\xa3)",
        "a video, not a picture",
        "save the picture that shows the radiograph as PNG",
    ),
    (rb"(\xff\x0a|\0\0\0\x0cJXL )", "a JPEG XL picture, which is not read", "convert it: djxl {file} {file}.png"),
    (rb"P[1-7fF]\s", "a picture in PNM (PBM, PGM, PPM), which is not read", "convert it: magick {file} {file}.png"),
    (
        rb"(8BPS|gimp xcf|v/1\x01|SIMPLE  =|AT&TFORM|\0\0[\1\2]\0|DDS )",
        "a picture in a format that is not read",
        _EXPORT,
    ),
    (
        rb"(\x93NUMPY|\x89HDF|MATLAB 5|NRRD000|ObjectType|NDims)",
        "an array or a volume, which is not read",
        "save it as PNG or NIfTI",
    ),
)
_PATTERNS = [(re.compile(pattern, re.DOTALL), what, remedy) for pattern, what, remedy in _KINDS]
# A text file may begin with a mark of its encoding.
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# Files of macOS that keep what other file systems cannot, and lock files of Office programs.
_APPLE_DOUBLE, _LOCK = b"\0\5\x16", "~$"


def foreign_file(content: Content) -> LungsegError:
    """Return the error for a file that has no format of radiographs."""
    path, head = content.path, content.data[:HEAD_BYTES]
    names = {"file": shlex.quote(str(path)), "folder": shlex.quote(str(path.parent))}

    def error(what: str, remedy: str, code: str = "unknown-format") -> LungsegError:
        return LungsegError(f"this is {what}", path, remedy.format(**names), code=code)

    if commands := how_to_unpack(path, head):
        return LungsegError("this is an archive, not a picture", path, f"unpack it: {commands}", code="archive")
    if head.startswith(b"version https://git-lfs.github.com/"):
        return error("a Git LFS pointer, not a picture", "run git lfs pull in {folder}", "git-lfs-pointer")
    if re.match(rb"\S*/?\.git/annex/objects/|/annex/objects/", head):
        return error("a git-annex pointer, not a picture", "run git annex get {file}", "git-annex-pointer")
    if head.startswith(_APPLE_DOUBLE):
        return error(
            "a file in which macOS keeps the attributes of another one, not a picture", "name the file without ._"
        )
    if path.name.startswith(_LOCK):
        return error("the lock file of an Office program, not a picture", "name the picture itself")
    if head.startswith(GZIP):
        what, remedy = "the gzip file is damaged, or holds no picture in a known format", "unpack it first"
        return LungsegError(what, path, remedy, code="unknown-format")
    if not any(content.data[:: max(1, len(content.data) // 4096)]) and not any(content.data):
        what = "the file holds nothing but zeros, as after a copy that failed"
        return LungsegError(what, path, "copy it again", code="unknown-format")
    text = next((head.removeprefix(mark) for mark in _MARKS if head.startswith(mark)), head)
    for pattern, what, remedy in _PATTERNS:
        if pattern.match(text):
            return error(what, remedy)
    if _is_text(content.data[: 4 * HEAD_BYTES]):
        return error("a text file, not a picture", "name the picture itself, or download it again")
    remedy = "give a PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000, DICOM or NIfTI file, whatever its name"
    return LungsegError("this is not a picture in a known format", path, remedy, code="unknown-format")


def camera_raw(content: Content) -> LungsegError:
    """Return the error for a camera's file that is a TIFF file too, whose first page is a small preview."""
    what = "this is the raw picture of a camera, of which only a preview can be read"
    return LungsegError(what, content.path, _DEVELOP, code="unknown-format")


def _is_text(data: bytes) -> bool:
    """Return whether data are printable text, in UTF-8, UTF-16 with a mark, or another encoding with ASCII letters."""
    if data.startswith(_MARKS[1:]):
        data = data.replace(b"\0", b"")
    if any(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in data):
        return False
    letters = sum(byte < 127 for byte in data)
    return letters >= 0.7 * len(data)
