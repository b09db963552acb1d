# SPDX-License-Identifier: Apache-2.0
"""Open, parse and decode files in a process of its own, whose memory and time are limited.

The process answers each request, a line of JSON on stdin, with a line of JSON and raw bytes on stdout: see
:mod:`lungseg.io.reader_process`.
"""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lungseg.io.content import Content, read_content
from lungseg.io.foreign import foreign_file
from lungseg.io.formats import HEAD_BYTES, format_of
from lungseg.io.jsrt import is_jsrt, read_jsrt
from lungseg.io.radiograph import Radiograph, SourceFile
from lungseg.io.unpacking import unpack
from lungseg.utils.errors import LungsegError, as_lungseg_error, first_line
from lungseg.utils.memory import give_back_memory

# The code of an error that the other process describes.
OUT_OF_MEMORY = "out-of-memory"
# Types of pixels: integers and floating-point numbers.
PIXEL_TYPES = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8")
# Those that a radiograph is sent in; others become float32.
_NARROW = ("|u1", "<u2", "<i2", "<f4")
# Some programs write the largest float where there is no picture.
_LARGEST = 1e30
# Bytes of the pixels of a large radiograph, whose memory is given back.
_LARGE = 2**25
# Characters of a sentence.
_LONGEST = 2000

# Facts, header and pixels.
_Answer = tuple[dict[str, Any], bytes, np.ndarray | None]


def serve(memory: int, seconds: float, first: str = "") -> None:
    """Answer requests until stdin is closed.

    Args:
        memory: bytes of address space that this process may have; 0 for no limit.
        seconds: processor time for each file.
        first: path of a file that may be asked for first, in hexadecimal digits; its reader is imported meanwhile.
    """
    # The libraries must not print between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _limit_memory(memory)
    if first:
        _limit_time(seconds)
        _import_reader(os.fsdecode(bytes.fromhex(first)))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _limit_time(seconds)
        path = os.fsdecode(bytes.fromhex(request["path"]))
        facts, header, pixels = _answer(request["task"], path, request.get("query"))
        if pixels is not None:
            facts |= {"shape": pixels.shape, "type": pixels.dtype.str}
        answers.write(json.dumps(facts | {"header": len(header)}).encode() + b"\n")
        answers.write(header)
        if pixels is not None:
            answers.write(pixels.data.cast("B"))
        answers.flush()
        is_large = pixels is not None and pixels.nbytes > _LARGE
        # Not kept while this process waits.
        del facts, header, pixels
        if is_large:
            give_back_memory()


def _answer(task: str, path: str, query: dict[str, Any] | None) -> _Answer:
    try:
        with warnings.catch_warnings():
            # Errors report a damaged file. Oddities of its header do not matter here.
            warnings.simplefilter("ignore")
            return _TASKS[task](unpack(read_content(path))) if query is None else _QUERIES[task](Path(path), query)
    except MemoryError:
        return {"error": {"what": "", "remedy": "", "code": OUT_OF_MEMORY}}, b"", None
    except Exception as error:
        known = as_lungseg_error(error, "the file cannot be read", path)
        return {"error": {"what": known.what[:_LONGEST], "remedy": known.remedy, "code": known.code}}, b"", None


def _read_radiograph(content: Content) -> _Answer:
    radiograph = _decode(content)
    pixels = np.asarray(radiograph.pixels)
    if pixels.dtype.str not in _NARROW:
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32)
    if pixels.dtype.kind == "f":
        check_finite(pixels, content.path)
    facts = {
        "spacing": radiograph.spacing,
        "spacing_kind": radiograph.spacing_kind,
        "view": radiograph.view,
        "flipped": radiograph.flipped,
        "projection": radiograph.projection,
        "supine": radiograph.supine,
        "stated_object": radiograph.stated_object[:_LONGEST],
        "filled_in": radiograph.filled_in[:_LONGEST],
    }
    source = radiograph.source or SourceFile(content.path, content.sha256, "raster")
    return facts | _source_facts(source), source.header, np.ascontiguousarray(pixels)


def _read_source(content: Content) -> _Answer:
    kind = "raster" if is_jsrt(content) else format_of(content.data[:HEAD_BYTES])
    if kind is None:
        raise foreign_file(content)
    header = b""
    if kind == "dicom":
        from lungseg.io.dicom.completion import complete
        from lungseg.io.dicom.file import parse_dicom
        from lungseg.io.dicom.header_bytes import encode_header

        try:
            dataset = parse_dicom(content)
            complete(dataset)
            header = encode_header(dataset)
        except (LungsegError, MemoryError):
            raise
        except Exception as error:  # a damaged byte can lead pydicom to any exception
            what = f"the header cannot be read ({first_line(error)})"
            remedy = "copy or export the file again"
            raise LungsegError(what, content.path, remedy, code="header-unreadable") from error
    return _source_facts(SourceFile(content.path, content.sha256, kind)), header, None


def _read_mask(content: Content) -> _Answer:
    from lungseg.io.mask_values import decode_mask

    values = decode_mask(content)
    return {}, b"", np.ascontiguousarray(values, values.dtype.newbyteorder("<"))


def _read_colours(content: Content) -> _Answer:
    from lungseg.io.mask_values import decode_colours

    return {}, b"", np.ascontiguousarray(decode_colours(content), "<u4")


def _prepare_annotations(path: Path, query: dict[str, Any]) -> _Answer:
    from lungseg.io.annotations.document import prepare

    return {"done": prepare(path, query)}, b"", None


def _draw_annotation(path: Path, query: dict[str, Any]) -> _Answer:
    from lungseg.io.annotations.document import draw

    return {}, b"", np.ascontiguousarray(draw(path, query))


def _source_facts(source: SourceFile) -> dict[str, Any]:
    return {"sha256": source.sha256, "format": source.format}


def _import_reader(path: str) -> None:
    """Import what reads files of this one's format; any error about the file is for the one who asks for it."""
    with suppress(Exception):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                _reader(format_of(file.read(HEAD_BYTES)))


def _decode(content: Content) -> Radiograph:
    """Decode a file of any supported format."""
    # Raw values can begin like a file of any format.
    if is_jsrt(content):
        return read_jsrt(content)
    if reader := _reader(format_of(content.data[:HEAD_BYTES])):
        return reader(content)
    raise foreign_file(content)


def _reader(kind: str | None) -> Callable[[Content], Radiograph] | None:
    """Return what reads files of a format; each is imported when the first file needs it."""
    match kind:
        case "raster":
            from lungseg.io.raster import read_raster

            return read_raster
        case "dicom":
            from lungseg.io.dicom.reader import read_dicom

            return read_dicom
        case "nifti":
            from lungseg.io.nifti import read_nifti

            return read_nifti
    return None


def check_finite(pixels: np.ndarray, name: str | PathLike[str]) -> None:
    """Raise LungsegError if some grey values are not finite, or too large to compute with."""
    # Comparisons with NaN are false.
    if not -_LARGEST < pixels.min() <= pixels.max() < _LARGEST:
        what = "some pixels are not finite numbers, or are too large"
        raise LungsegError(what, name, "export it with finite pixel values", code="not-finite")


_TASKS: dict[str, Callable[[Content], _Answer]] = {
    "radiograph": _read_radiograph,
    "source": _read_source,
    "mask": _read_mask,
    "mask-colours": _read_colours,
}
# Those that open the file themselves, because it holds more than one image.
_QUERIES: dict[str, Callable[[Path, dict[str, Any]], _Answer]] = {
    "annotations": _prepare_annotations,
    "annotation": _draw_annotation,
}


def _limit_memory(size: int) -> None:
    """Limit the address space, where the system can; if the machine runs out of memory, this process ends first."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if size:
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def _limit_time(seconds: float) -> None:
    """End this process when the next file has taken so much processor time, where the system can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime + seconds), hard))
