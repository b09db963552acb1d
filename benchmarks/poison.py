# SPDX-License-Identifier: Apache-2.0
"""Objects that a stranger may store in an Orthanc: each one alone in its study, among those of innocent patients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import requests
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import BasicTextSRStorage, JPEG2000Lossless

from benchmarks.orthanc_node import Node

_FOUR_GIGABYTES = b"\xfe\xff\xff\xff"


@dataclass
class Poison:
    """A poisonous object.

    Attributes:
        name: says what is wrong with it.
        file: holds it.
        uid: its SOP instance UID.
        labels: the label map of its radiograph; None if it must get no results.
        instance: Orthanc's identifier, None while it is not stored.
        refusal: in words, why it is not stored.
    """

    name: str
    file: Path
    uid: str
    labels: np.ndarray | None
    instance: str | None = None
    refusal: str = "refused by Orthanc"

    def store(self, node: Node) -> None:
        """Send it to an Orthanc, which may refuse it; one that is ended by it is started again."""
        try:
            self.instance = node.store(self.file)
        except requests.ConnectionError:
            node.process.wait(timeout=60)
            node.start()
            self.refusal = f"ends Orthanc {node.get('/system')['Version']} itself, which is started again"

    def outcome(self, outcomes: dict[str, dict | None]) -> str | None:
        """Return in words how it ended, given all outcomes in the Orthanc; None without an outcome."""
        if self.instance is None:
            return self.refusal
        outcome = outcomes.get(self.instance)
        if outcome is None:
            return None
        return f"{outcome['status']} ({outcome['code']})" if outcome["code"] else outcome["status"]


def write_poison(folder: Path, write: Callable[..., str], pixels: np.ndarray, labels: np.ndarray) -> list[Poison]:
    """Write one file of each kind.

    Args:
        folder: is created.
        write: see :func:`benchmarks.deploy.write_radiograph`.
        pixels: (H, W) uint16, a radiograph.
        labels: its label map.
    """
    folder.mkdir(parents=True)
    found = []
    for number, (name, attributes, change, readable) in enumerate(_KINDS):
        file = folder / f"{number}.dcm"
        uid = write(file, pixels, f"{folder.parent.name} poison {number}", **attributes)
        if change:
            change(file)
        found.append(Poison(name, file, attributes.get("SOPInstanceUID", uid), labels if readable else None))
    return found


def _edited(edit: Callable[[Dataset], None]) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        dataset = dcmread(file)
        edit(dataset)
        dataset.save_as(file)

    return change


def _rewritten(rewrite: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        file.write_bytes(rewrite(file.read_bytes()))

    return change


def _call_it_a_report(dataset: Dataset) -> None:
    dataset.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage


def _compress_noise(dataset: Dataset) -> None:
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([np.random.default_rng(0).bytes(4000)])
    dataset["PixelData"].is_undefined_length = True


def _claim_much_in_the_head(content: bytes) -> bytes:
    at = content.index(b"\x02\x00\x01\x00OB\0\0") + 8
    return content[:at] + _FOUR_GIGABYTES + content[at + 4 :]


def _claim_much_at_the_end(content: bytes) -> bytes:
    return content + b"\xfc\xff\xfc\xffOB\0\0" + _FOUR_GIGABYTES


def _cut_in_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


# Its name; other attributes; a change of its file; whether the radiograph in it is whole.
_KINDS: tuple[tuple[str, dict, Callable[[Path], None] | None, bool], ...] = (
    ("The file's head says report, the data set says radiograph", {}, _edited(_call_it_a_report), True),
    ("Pixels that end too soon", {"PixelData": bytes(1000)}, None, False),
    ("A file that was cut in half", {}, _rewritten(_cut_in_half), False),
    ("An element after the pixels claims 4 GB", {}, _rewritten(_claim_much_at_the_end), False),
    ("An element of the file's head claims 4 GB", {}, _rewritten(_claim_much_in_the_head), False),
    ("Compressed pixels that are noise", {}, _edited(_compress_noise), False),
    ("A billion frames", {"NumberOfFrames": 10**9}, None, False),
    ("Control characters in the patient's name", {"PatientName": "a\x1b[2J\x07\nb^c"}, None, True),
    ("An instance UID that is a path", {"SOPInstanceUID": "../../../../tmp/poison"}, None, False),
    ("A study UID that is a path", {"StudyInstanceUID": "/tmp/poison"}, None, False),
)
