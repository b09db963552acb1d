# SPDX-License-Identifier: Apache-2.0
"""Bad and hostile files of every kind, with the codes of their errors, and good files to lie beside them."""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from images_support import COMPRESSED, GREY, GREY16, compress, write_dicom
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

HEIGHT, WIDTH = GREY.shape
NOISE = np.random.default_rng(0).bytes(4000)


# Parts of the files


def _encoded(kind: str, array=GREY, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def _pages(kind: str) -> bytes:
    return _encoded(kind, save_all=True, append_images=[Image.fromarray(255 - GREY)])


def _changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width=WIDTH, height=HEIGHT, depth=8, colour=0, data=None, extra=b"") -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(bytes((WIDTH + 1) * HEIGHT) if data is None else data))
    return b"\x89PNG\r\n\x1a\n" + header + extra + data + _chunk(b"IEND", b"")


def _tiff(change: dict[int, int] | None = None, leave_out: int | None = None, following: int = 0) -> bytes:
    """Return a grey TIFF with one strip, some of its tags with other values."""
    tags = {256: WIDTH, 257: HEIGHT, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: HEIGHT, 279: GREY.size}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    tags |= change or {}
    if leave_out:
        del tags[leave_out]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + struct.pack("<I", following) + GREY.tobytes()


def _jpeg_claiming(height: int, width: int) -> bytes:
    return _changed(JPEG, JPEG.index(b"\xff\xc0") + 5, struct.pack(">HH", height, width))


def _nifti(array=GREY.T, change: dict[int, bytes] | None = None) -> bytes:
    """Return a NIfTI file, some bytes of its header replaced."""
    content = nibabel.Nifti1Image(np.asarray(array), np.eye(4)).to_bytes()
    for at, new in (change or {}).items():
        content = _changed(content, at, new)
    return content


def _dims(*dims: int) -> dict[int, bytes]:
    return {40: struct.pack("<8h", *dims, *[1] * (8 - len(dims)))}


def _zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(20_000_000))
    return buffer.getvalue()


def _dicom(pixels=GREY, **attributes) -> Callable[[Path], None]:
    """Return a function that writes a DICOM file."""
    return lambda path: write_dicom(path, pixels, **attributes)


def _claiming(syntax: bytes) -> Callable[[Path], None]:
    """Return a function that writes a DICOM file that claims to be in another transfer syntax than it is."""
    syntax += b"\0" * (len(syntax) % 2)

    def change(content: bytes) -> bytes:
        at = content.index(b"\x02\0\x10\0UI") + 6
        length, end = struct.unpack_from("<H", content, at)[0], struct.unpack_from("<I", content, 140)[0]
        content = content[:at] + struct.pack("<H", len(syntax)) + syntax + content[at + 2 + length :]
        return _changed(content, 140, struct.pack("<I", end + len(syntax) - length))

    return _rewritten(change)


def _encapsulated(syntax: UID, *frames: bytes, **attributes) -> Callable[[Path], None]:
    """Return a function that writes a DICOM file with these bytes for its compressed frame."""

    def write(path: Path) -> None:
        dataset = write_dicom(path, GREY, **attributes)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate(list(frames))
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path, write_like_original=False)

    return write


def _spoilt(syntax: str, where: Callable[[bytes], int], new: bytes) -> Callable[[Path], None]:
    """Return a function that compresses a DICOM file and overwrites some of its bytes."""

    def write(path: Path) -> None:
        write_dicom(path, GREY if COMPRESSED[syntax] == 8 else GREY16)
        compress(path, syntax)
        content = path.read_bytes()
        path.write_bytes(_changed(content, where(content), new))

    return write


def _rewritten(change: Callable[[bytes], bytes], **attributes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        write_dicom(path, GREY, **attributes)
        path.write_bytes(change(path.read_bytes()))

    return write


def _gzipped_dicom(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return a function that writes a gzipped DICOM file, its bytes changed."""
    return _rewritten(lambda content: change(gzip.compress(content, mtime=0)))


def _deflated_bomb(path: Path) -> None:
    write_dicom(path, GREY, syntax=DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    end = 144 + int.from_bytes(content[140:144], "little")
    # After a full flush, what was packed stands for itself and can be repeated.
    compressor = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    packed = compressor.compress(bytes(10_000_000)) + compressor.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(content[:end] + packed * 101 + compressor.flush())


def _bare_bomb(path: Path) -> None:
    """Without a preamble, and without a length of the meta information."""
    _deflated_bomb(path)
    path.write_bytes(path.read_bytes()[144:])


def _matryoshka(path: Path) -> None:
    """Sequences within sequences, deeper than Python recurses."""
    write_dicom(path, GREY, PixelData=None)
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
    path.write_bytes(path.read_bytes() + struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + item * 5000)


def _deflated_elements(path: Path) -> None:
    """Millions of empty private elements in a few bytes."""
    write_dicom(path, GREY, syntax=DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    end = 144 + int.from_bytes(content[140:144], "little")
    elements = b"".join(struct.pack("<HH2sH", 0x0009, 0x1000 + at, b"LO", 0) for at in range(1000)) * 5000
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    path.write_bytes(content[:end] + compressor.compress(elements) + compressor.flush())


def _long_meta_element(path: Path) -> None:
    """The first element of the file states a length of 4 GB, of which the file has all, as a hole."""
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 1, b"OB", 0, 0xFFFFFFF0))
        file.truncate(0xFFFFFFFF)


def _windows(path: Path) -> None:
    """Ten thousand alternative windows."""
    write_dicom(path, GREY16, WindowCenter=[30000.0 + at for at in range(5000)], WindowWidth=[60000.0] * 5000)


def _many_previews() -> bytes:
    pages = [Image.fromarray(GREY)] * 400
    return _encoded("TIFF", save_all=True, append_images=pages, tiffinfo={254: 1})


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(PNG)
        file.truncate(2_000_000_000)


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _socket(path: Path) -> None:
    # Its address may have a hundred characters at most, fewer than the folders of a test.
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


PNG, JPEG, TIFF = _encoded("PNG"), _encoded("JPEG"), _encoded("TIFF")
_PROGRESSIVE = _encoded("JPEG", progressive=True)
_LAST_SCAN = _PROGRESSIVE[_PROGRESSIVE.rindex(b"\xff\xda") : -2]
LZW = _encoded("TIFF", compression="tiff_lzw")
BMP, GIF, WEBP, LOSSLESS = _encoded("BMP"), _encoded("GIF"), _encoded("WEBP"), _encoded("WEBP", lossless=True)
JP2, J2K = _encoded("JPEG2000", GREY16), _encoded("JPEG2000", no_jp2=True)
NIFTI = _nifti()
ZIPPED = gzip.compress(NIFTI, mtime=0)
_ZEROS = zlib.compress(bytes(20_000_000), 1)
_ZIPPED_ZEROS = gzip.compress(bytes(20_000_000), 1)
_NAN = np.where(GREY > 9, GREY, np.nan).astype(np.float32)
_ELEMENT_PAST_THE_END = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 0xFFFFFFF0)

# Name: the content (bytes, or a function that writes the path), and the code of the error, or several by version.
BAD: dict[str, tuple[bytes | Callable[[Path], None], str]] = {
    # Not pictures
    "empty.png": (b"", "empty-file"),
    "one-byte.png": (b"\x89", "unknown-format"),
    "text.png": (b"this is a text file\n", "unknown-format"),
    "table.dcm": (b"file,label\n" * 100, "unknown-format"),
    "page.jpg": (b"<!DOCTYPE html><title>Sign in</title>", "unknown-format"),
    "document.tif": (b"%PDF-1.7\n" * 99, "unknown-format"),
    "zeros.dcm": (bytes(5000), "unknown-format"),
    "noise": (NOISE, "unknown-format"),
    "drawing.png": (b"<?xml version='1.0'?><svg></svg>", "unknown-format"),
    "photo.jpg": (b"\0\0\0\x18ftypheic" + NOISE, "unknown-format"),
    "pointer.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git-lfs-pointer"),
    "annexed.png": (b"/annex/objects/SHA256E-s9--0.png\n", "git-annex-pointer"),
    "sent.by.mac.png": (b"\0\5\x16\7\0\2\0\0" + bytes(99), "unknown-format"),
    "business memo.bmp": (b"BM is short for business memo", "unknown-format"),
    "zip-bomb.dcm": (_zip_bomb(), "archive"),
    # BMP, GIF, WebP, JPEG 2000
    "half.bmp": (BMP[: len(BMP) // 2], "damaged"),
    "header-cut.bmp": (BMP[:30], "damaged"),
    "huge.bmp": (_changed(BMP, 18, struct.pack("<ii", 70_000, 70_000)), "too-large"),
    "flat.bmp": (_changed(BMP, 22, struct.pack("<i", 0)), "damaged|too-small"),
    "strange-compression.bmp": (_changed(BMP, 30, struct.pack("<I", 77)), "damaged"),
    "half.gif": (GIF[: len(GIF) // 2], "damaged"),
    "header-cut.gif": (GIF[:12], "damaged"),
    "no-picture.gif": (GIF[:781] + b";", "damaged"),
    "huge.gif": (_changed(GIF, 6, struct.pack("<HH", 65_000, 65_000)), "too-large"),
    "frame-beyond.gif": (_changed(GIF, GIF.index(b",\0\0\0\0F") + 5, struct.pack("<HH", 65_000, 65_000)), "too-large"),
    "animation.gif": (_pages("GIF"), "several-pictures"),
    "half.webp": (WEBP[: len(WEBP) // 2], "damaged"),
    "header-cut.webp": (WEBP[:25], "damaged"),
    "huge.webp": (_changed(LOSSLESS, 21, struct.pack("<I", 0x0FFFFFFF)), "too-large"),
    "huge-canvas.webp": (_changed(_pages("WEBP"), 24, b"\xff" * 6), "too-large"),
    "animation.webp": (_pages("WEBP"), "several-pictures"),
    "half.jp2": (JP2[: len(JP2) // 2], "damaged"),
    "header-cut.jp2": (JP2[:60], "damaged"),
    "half.j2k": (J2K[: len(J2K) // 2], "damaged"),
    "huge.jp2": (_changed(JP2, JP2.index(b"ihdr") + 4, struct.pack(">II", 70_000, 70_000)), "too-large"),
    "bomb.jp2": (_changed(JP2, JP2.index(b"\xff\x4f\xff\x51") + 8, struct.pack(">II", 70_000, 70_000)), "too-large"),
    "bomb.j2k": (_changed(J2K, 8, struct.pack(">II", 2**31, 2**31)), "too-large"),
    "tiles.j2k": (_changed(J2K, 8, struct.pack(">6I", 8000, 9000, 0, 0, 1, 1)), "damaged"),
    "boxes.jp2": (JP2[:12] + struct.pack(">I4s", 8, b"free") * 100_000, "damaged"),
    # gzip
    "half.dcm.gz": (_gzipped_dicom(lambda packed: packed[: len(packed) // 2]), "damaged"),
    "checksum.dcm.gz": (_gzipped_dicom(lambda packed: _changed(packed, len(packed) - 8, b"\0\0\0\0")), "damaged"),
    "bomb.dcm.gz": (_gzipped_dicom(lambda packed: packed + _ZIPPED_ZEROS * 55), "too-large|too-much-memory"),
    "bomb.png.gz": (gzip.compress(PNG) + _ZIPPED_ZEROS * 55, "too-large|too-much-memory"),
    "twice.dcm.gz": (_gzipped_dicom(gzip.compress), "unknown-format"),
    # PNG
    "signature.png": (PNG[:8], "damaged"),
    "header-cut.png": (PNG[:20], "damaged"),
    "half.png": (PNG[: len(PNG) // 2], "damaged"),
    "no-end.png": (PNG[:-12], "damaged"),
    "flipped-bit.png": (_changed(PNG, len(PNG) // 2, bytes([PNG[len(PNG) // 2] ^ 1])), "damaged"),
    "header-checksum.png": (_changed(PNG, 29, b"\0\0\0\0"), "damaged"),
    "named-as-jpeg.jpg": (PNG[:300], "damaged"),
    "no-data.png": (_png().replace(b"IDAT", b"iDAT"), "damaged"),
    "short-data.png": (_png(data=bytes(100)), "damaged"),
    "no-width.png": (_png(width=0), "damaged"),
    "flat.png": (_png(height=15), "too-small"),
    "long.png": (_png(width=8_000_000, height=16), "too-large"),
    "large.png": (_png(9_000, 9_000, data=bytes(10_000_000)), "too-large"),
    "huge.png": (_png(60_000, 60_000), "too-large"),
    "beyond.png": (_png(2**31 - 1, 2**31 - 1), "too-large"),
    "strange-colour.png": (_png(colour=5), "damaged"),
    "strange-depth.png": (_png(depth=7), "damaged"),
    "chunk-past-the-end.png": (_changed(PNG, 33, b"\x7f\xff\xff\xff"), "damaged"),
    "text-bomb.png": (_png(extra=_chunk(b"zTXt", b"a\0\0" + _ZEROS)), "damaged"),
    "profile-bomb.png": (_png(extra=_chunk(b"iCCP", b"icc\0\0" + _ZEROS), data=b""), "damaged"),
    "two.png": (_pages("PNG"), "several-pictures"),
    "frames.png": (_png(extra=_chunk(b"acTL", struct.pack(">II", 400_000_000, 0))), "several-pictures"),
    "chunks.png": (_png(extra=_chunk(b"prVt", b"") * 150_000), "too-many-parts"),
    # JPEG
    "start.jpg": (JPEG[:3], "damaged"),
    "header-cut.jpg": (JPEG[:10], "damaged"),
    "half.jpg": (JPEG[: len(JPEG) // 2], "damaged"),
    "tables-cut.jpg": (JPEG[:200], "damaged"),
    "no-size.jpg": (_jpeg_claiming(0, 0), "damaged"),
    "huge.jpg": (_jpeg_claiming(65_000, 65_000), "too-large"),
    "scans.jpg": (JPEG[:-2] + _LAST_SCAN * 100 + JPEG[-2:], "too-many-parts"),
    "noise.jpg": (JPEG[:3] + NOISE, "damaged"),
    # TIFF
    "header.tif": (TIFF[:8], "damaged"),
    "half.tif": (TIFF[: len(TIFF) // 2], "damaged"),
    "half-lzw.tif": (LZW[: len(LZW) // 2], "damaged"),
    "directory-past-the-end.tif": (_changed(_tiff(), 4, struct.pack("<I", 10**9)), "damaged"),
    "strip-past-the-end.tif": (_tiff({273: 10**9}), "damaged"),
    "no-strip.tif": (_tiff(leave_out=273), "damaged"),
    "no-width.tif": (_tiff(leave_out=256), "damaged"),
    "zero-width.tif": (_tiff({256: 0}), "damaged|too-small"),
    "huge.tif": (_tiff({256: 70_000, 257: 70_000}), "too-large"),
    "unknown-compression.tif": (_tiff({259: 65_000}), "damaged"),
    "false-compression.tif": (_tiff({259: 5}), "damaged"),
    "thirteen-bits.tif": (_tiff({258: 13}), "damaged"),
    "doubles.tif": (_tiff({258: 64, 339: 3}), "damaged"),
    "previews.tif": (_many_previews(), "several-pictures"),
    "two.tif": (_pages("TIFF"), "several-pictures"),
    "nan.tif": (_encoded("TIFF", _NAN), "not-finite"),
    "infinite.tif": (_encoded("TIFF", np.where(GREY > 9, GREY, np.inf).astype(np.float32)), "not-finite"),
    # NIfTI
    "header.nii": (NIFTI[:348], "damaged"),
    "half.nii": (NIFTI[: len(NIFTI) // 2], "damaged"),
    "half.nii.gz": (ZIPPED[: len(ZIPPED) // 2], "damaged"),
    "checksum.nii.gz": (_changed(ZIPPED, len(ZIPPED) - 8, b"\0\0\0\0"), "damaged"),
    "text.nii.gz": (gzip.compress(b"this is a text file\n"), "unknown-format"),
    "bomb.nii.gz": (_ZIPPED_ZEROS * 50, "unknown-format"),
    "far-bomb.nii.gz": (
        gzip.compress(_nifti(change={108: struct.pack("<f", 9e8)})) + _ZIPPED_ZEROS * 50,
        "damaged",
    ),
    "noise.nii.gz": (b"\x1f\x8b\x08" + NOISE, "unknown-format"),
    "volume.nii": (_nifti(np.zeros((20, 21, 22), np.uint8)), "several-pictures"),
    "series.nii": (_nifti(np.zeros((20, 21, 1, 5), np.uint8)), "several-pictures"),
    "line.nii": (_nifti(np.zeros(500, np.uint8)), "too-small"),
    "complex.nii": (_nifti(GREY.T.astype(np.complex64)), "complex-values"),
    "elsewhere.hdr": (_nifti(change={344: b"ni1\0"}), "pixels-elsewhere"),
    "negative.nii": (_nifti(change=_dims(2, -70, 48)), "damaged|too-small"),
    "no-dimension.nii": (_nifti(change=_dims(0)), "damaged|too-small"),
    "huge.nii": (_nifti(change=_dims(2, 32_000, 32_000)), "too-large"),
    "strange-type.nii": (_nifti(change={70: struct.pack("<hh", 777, 8)}), "damaged"),
    "offset-nan.nii": (_nifti(change={108: struct.pack("<f", np.nan)}), "damaged"),
    "affine-nan.nii": (_nifti(change={280: struct.pack("<f", np.nan)}), "damaged"),
    "nan.nii": (_nifti(_NAN.T), "not-finite"),
    # DICOM
    "preamble.dcm": (bytes(128) + b"DICM", "no-picture"),
    "preamble-and-noise.dcm": (bytes(128) + b"DICM" + NOISE, "damaged|no-picture"),
    "bare-and-noise": (b"\x08\0\x05\0CS" + NOISE, "damaged|no-picture"),
    "png-in-preamble.dcm": (PNG[:128] + b"DICM" + NOISE, "damaged|no-picture"),
    "no-pixels.dcm": (_dicom(PixelData=None), "no-picture"),
    "no-rows.dcm": (_dicom(Rows=None), "no-picture"),
    "no-columns.dcm": (_dicom(Rows=0), "too-small"),
    "empty-pixels.dcm": (_dicom(PixelData=b""), "damaged|no-picture"),
    "short-pixels.dcm": (_dicom(PixelData=GREY[:20].tobytes()), "damaged"),
    "half.dcm": (_rewritten(lambda content: content[: len(content) // 2]), "damaged|no-picture"),
    "length-past-the-end.dcm": (_rewritten(lambda c: c + _ELEMENT_PAST_THE_END, PixelData=None), "damaged|no-picture"),
    "huge.dcm": (_dicom(Rows=65535, Columns=65535), "too-large"),
    "flat.dcm": (_dicom(GREY[:4]), "too-small"),
    "film.dcm": (_dicom(NumberOfFrames=2, PixelData=GREY.tobytes() * 2), "several-pictures"),
    "frames.dcm": (_dicom(NumberOfFrames=10**9), "several-pictures"),
    "strange-photometric.dcm": (_dicom(PhotometricInterpretation="HSV"), "colours-unsupported"),
    "no-palette.dcm": (_dicom(PhotometricInterpretation="PALETTE COLOR"), "damaged"),
    "slope-nan.dcm": (_dicom(RescaleSlope="nan", RescaleIntercept=0), "damaged|not-finite"),
    "elements.dcm": (_deflated_elements, "too-many-parts"),
    "long-meta-element.dcm": (_long_meta_element, "too-large"),
    "matryoshka.dcm": (_matryoshka, "damaged|no-picture"),
    "private-syntax.dcm": (_claiming(b"1.2.3.4.5"), "transfer-syntax-unknown"),
    "items.dcm": (_dicom(PixelData=b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + NOISE), "transfer-syntax-unknown"),
    "bare-codestream.dcm": (_dicom(PixelData=b"\xff\x4f\xff\x51" + NOISE), "damaged"),
    "no-photometric-and-short.dcm": (_dicom(PhotometricInterpretation=None, PixelData=NOISE[:9]), "damaged"),
    "bits-that-do-not-fit.dcm": (_dicom(BitsAllocated=13, PixelData=GREY.tobytes() * 3), "damaged"),
    "not-deflated.dcm": (_claiming(b"1.2.840.10008.1.2.1.99"), "damaged"),
    "strip.png": (_png(width=40000, height=16), "too-large"),
    "deflate-bomb.dcm": (_deflated_bomb, "too-large"),
    "bare-bomb.dcm": (_bare_bomb, "too-large"),
    "empty-frame.dcm": (_encapsulated(JPEGBaseline8Bit, b"\0\0"), "damaged"),
    "jpeg-noise.dcm": (_encapsulated(JPEGBaseline8Bit, NOISE), "damaged"),
    "jpeg-cut.dcm": (_encapsulated(JPEGBaseline8Bit, JPEG[:-300]), "damaged"),
    "jpeg-bomb.dcm": (
        _encapsulated(JPEGBaseline8Bit, _jpeg_claiming(65_000, 65_000)),
        "damaged",
    ),
    "jpeg-2000-bomb.dcm": (
        _spoilt("JPEG2000Lossless", lambda c: c.index(b"\xff\x4f\xff\x51") + 8, struct.pack(">II", 10**9, 10**9)),
        "damaged",
    ),
    "jpeg-as-jpeg-2000.dcm": (_encapsulated(JPEG2000Lossless, PNG + b"\xff\xd9"), "damaged"),
    "lossless-noise.dcm": (
        _spoilt("JPEGLosslessProcess14_1", lambda c: c.index(b"\xff\xda") + 2, NOISE[:200]),
        "damaged",
    ),
    "rle-noise.dcm": (_encapsulated(RLELossless, NOISE), "damaged"),
    "rle-short.dcm": (_encapsulated(RLELossless, struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0"), "damaged"),
    # The file system
    "dangling.png": (_link("nowhere.png"), "not-found"),
    "loop.png": (_link("loop.png"), "not-readable"),
    "endless.png": (_link("/dev/zero"), "not-regular-file"),
    "pipe.png": (os.mkfifo, "not-regular-file"),
    "socket.png": (_socket, "not-regular-file"),
    "folder-link.png": (_link("/proc/self/mem"), "empty-file"),
    "sparse.png": (_sparse, "too-large"),
    "line\nbreak.png": (PNG[:99], "damaged"),
    "\x1b[31mred.png": (PNG[:99], "damaged"),
    os.fsdecode(b"caf\xe9.png"): (PNG[:99], "damaged"),
    " .png": (PNG[:99], "damaged"),
    "-o.png": (PNG[:99], "damaged"),
    "%s{0}$HOME`.png": (PNG[:99], "damaged"),
    "n" * 230 + ".png": (PNG[:99], "damaged"),
}
GOOD: dict[str, bytes | Callable[[Path], None]] = {
    "good.png": PNG,
    "good.tif": LZW,
    "good.nii.gz": ZIPPED,
    "windows.dcm": _windows,
    "good.bmp": BMP,
    "good.gif": GIF,
    "good.webp": WEBP,
    "good.jp2": JP2,
    "good.j2k": J2K,
    "good.dcm.gz": _gzipped_dicom(bytes),
    "shutters.dcm": _dicom(
        ShutterShape=["POLYGONAL", "CIRCULAR", "BITMAP"],
        VerticesOfThePolygonalShutter=[2**30, -(2**30)] * 2000,
        CenterOfCircularShutter=[2**30, 5],
        RadiusOfCircularShutter=2**30,
        ShutterOverlayGroup=0x6000,
    ),
    # Its list of directories leads round in a circle, its only picture is whole.
    "circle.tif": _tiff(following=8),
    "line\nfeed.png": PNG,
    os.fsdecode(b"na\xefve.png"): PNG,
}


def write_file(path: Path, what: bytes | Callable[[Path], None]) -> None:
    if isinstance(what, bytes):
        path.write_bytes(what)
    else:
        what(path)
