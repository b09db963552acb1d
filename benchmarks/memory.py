# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.memory`: the memory of `lungseg predict` for many files and for large ones.

The command is run as a user runs it, and watched from outside, with its workers and the processes that read files.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import record
from benchmarks.machine import describe
from benchmarks.peak_memory import PeakMemory
from benchmarks.tables import NOT_MEASURED, markdown_table
from lungseg.utils.errors import LungsegError
from recipes.command import add_trial, parser, run


class Case(NamedTuple):
    """A folder of phantoms, and how often it is segmented: results that are there are reused the second time."""

    kind: str
    height: int
    width: int
    files: int
    times: int = 1


# From 200 files on, workers are processes instead of threads.
CASES = (
    Case("PNG, 8 bit", 80, 96, 1_000),
    Case("PNG, 8 bit", 80, 96, 10_000, times=2),
    Case("PNG, 8 bit", 512, 512, 1_000),
    Case("DICOM, 16 bit", 5_000, 4_000, 60),
    Case("DICOM, 16 bit, JPEG 2000", 5_000, 4_000, 60),
    Case("DICOM, 16 bit", 5_000, 4_000, 200),
)
_TRIAL = (Case("PNG, 8 bit", 80, 96, 20, times=2), Case("DICOM, 16 bit, JPEG 2000", 500, 400, 5))
# More would take longer to draw than to segment.
_DIFFERENT = 5
# A phantom of this many pixels a side is drawn, and enlarged.
_DRAWN = 1_024


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table."""
    options = parser("benchmarks.memory", "Watch the memory of lungseg predict.")
    add_trial(options)
    options.add_argument("--weights", default="shipped", help="shipped (default), a file, or a run's folder")
    options = options.parse_args(arguments)
    if options.trial:
        record.show(tables(measure(options.weights, _TRIAL)))
        return
    if not options.tables_only:
        record.save("memory", measure(options.weights, CASES))
    record.publish(tables(record.load("memory", None)))


def measure(weights: str, cases: tuple[Case, ...]) -> dict:
    """Segment folders of phantoms.

    Returns:
        {"machine", "cases": [{"kind", "height", "width", "files", "again" (all results are there before it),
        "process_bytes", "bytes", "processor_seconds" (see `PeakMemory`)}]}.
    """
    found = []
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            write_inputs(Path(folder) / "in", case)
            for time in range(case.times):
                print(f"{case.files} files of {case.width} x {case.height} pixels, {case.kind}", flush=True)
                facts = case._asdict() | {"again": time > 0} | watch(weights, f"{folder}/in", f"{folder}/out")
                del facts["times"]
                found.append(facts)
    return {"machine": describe(), "cases": found}


def watch(weights: str, inputs: str, output: str) -> dict:
    """Return the figures of one run.

    Raises:
        LungsegError: the command fails.
    """
    call = [sys.executable, "-m", "lungseg", "predict", inputs, "-o", output, "--weights", weights, "--device", "cpu"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(call, stdout=said, stderr=said)
        with PeakMemory(process.pid) as memory:
            status = process.wait()
        if status:
            said.seek(0)
            raise LungsegError("the command failed: " + said.read().decode("utf-8", "replace")[-500:])
    return {name: getattr(memory, name) for name in ("process_bytes", "bytes", "processor_seconds")}


def write_inputs(folder: Path, case: Case) -> None:
    """Write the files of a case; a few different ones, over and over."""
    ending = "dcm" if case.kind.startswith("DICOM") else "png"
    for number in range(min(case.files, _DIFFERENT)):
        file = folder / f"{number:06d}.{ending}"
        if ending == "dcm":
            _write_dicom(file, _deep_pixels(number, case), "JPEG 2000" in case.kind)
        else:
            from lungseg.data import phantom
            from lungseg.io import write_png

            write_png(file, phantom(number, (case.width, case.height))[0])
    for number in range(_DIFFERENT, case.files):
        os.link(folder / f"{number % _DIFFERENT:06d}.{ending}", folder / f"{number:06d}.{ending}")


def _deep_pixels(number: int, case: Case) -> np.ndarray:
    """Return a phantom (H, W) uint16 with noise in its lower bits, which costs a decoder as much as a real picture."""
    from lungseg.data import phantom

    factor = max(1, -(-max(case.height, case.width) // _DRAWN))
    small = phantom(number, (-(-case.width // factor), -(-case.height // factor)), bits=16)[0]
    pixels = np.kron(small, np.ones((factor, factor), small.dtype))[: case.height, : case.width]
    noise = np.random.default_rng(number).integers(0, 64, pixels.shape, dtype=np.uint16)
    return np.minimum(pixels, np.uint16(2**16 - 64)) + noise


def _write_dicom(path: Path, pixels: np.ndarray, compress: bool) -> None:
    from PIL import Image
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import (
        DigitalXRayImageStorageForPresentation,
        ExplicitVRLittleEndian,
        JPEG2000Lossless,
        generate_uid,
    )

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = JPEG2000Lossless if compress else ExplicitVRLittleEndian
    dataset = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.PatientName, dataset.Modality, dataset.ViewPosition = "Phantom", "DX", "PA"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    # As most radiographs have one.
    dataset.WindowCenter, dataset.WindowWidth = 2**15, 2**16
    if compress:
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "JPEG2000", no_jp2=True)
        dataset.PixelData = encapsulate([content.getvalue()])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    else:
        dataset.PixelData = pixels.astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the table."""
    if not numbers:
        return {"memory": NOT_MEASURED}
    rows = [
        [
            f"{one['files']:,}{', again' if one['again'] else ''}",
            one["kind"],
            f"{one['width']:,} x {one['height']:,}",
            _mebibytes(one["process_bytes"]),
            _mebibytes(one["bytes"]),
            f"{one['processor_seconds']:.0f} s",
        ]
        for one in numbers["cases"]
    ]
    header = ["Files", "Format", "Pixels", "Largest process", "All processes", "Processor time"]
    return {"memory": f"{markdown_table(header, rows, text_columns=(1,))}\n\n{numbers['machine']}."}


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


if __name__ == "__main__":
    sys.exit(run(main))
