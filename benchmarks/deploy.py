# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.deploy`: the loop with Orthanc: its speed, and its results when things go wrong.

Phantoms are sent by dcmtk's storescu to an Orthanc on loopback, beside which a worker runs. In each disturbance,
the results at the end are compared with the studies sent: `lost` has no segmentation or no overlay, `doubled` has two,
`wrong` has another mask than `lungseg predict` finds, or was made from an object that is not a radiograph. Among the
studies of each disturbance there are poisonous objects (`benchmarks.poison`), which must end with an outcome.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np

from benchmarks import record
from benchmarks.machine import describe
from benchmarks.orthanc_node import Node, Worker, program, wait_until
from benchmarks.poison import Poison, write_poison
from benchmarks.tables import NOT_MEASURED, markdown_table
from recipes.command import add_trial, parser, run

SPEED_SIDE, SIDE = 1024, 512
SPEED_COUNT, COUNT = 200, 30
_TRIAL_COUNT = 10
# More would take longer to draw than to segment.
_DIFFERENT = 5
_SECONDS = 1200
_SMALL, _LARGE = "2m", "2g"


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the tables."""
    options = parser("benchmarks.deploy", "Send studies to an Orthanc beside which `lungseg deploy watch` runs.")
    add_trial(options)
    options.add_argument("--disturb-only", action="store_true", help="keep the speeds, for a machine that is busy")
    options = options.parse_args(arguments)
    numbers = record.load("deploy", {})
    if not options.tables_only:
        for name in ("Orthanc", "storescu"):
            program(name)
        if not options.disturb_only:
            speed = measure_speed(_TRIAL_COUNT if options.trial else SPEED_COUNT)
            numbers |= {"machine": describe(), "speed": speed}
        numbers["disturbances"] = measure_disturbances(_TRIAL_COUNT if options.trial else COUNT)
    if options.trial:
        record.show(tables(numbers))
        return
    if not options.tables_only:
        record.save("deploy", numbers)
    record.publish(tables(numbers))


def measure_disturbances(count: int) -> list[dict]:
    """Send and disturb.

    Args:
        count: studies for each disturbance.

    Returns:
        [{"name", "studies", "poison": {name: outcome}, "lost", "doubled", "wrong"}]
    """
    found = []
    for name, disturb in DISTURBANCES.items():
        print(f"{name}: {count} studies", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            found.append({"name": name, "studies": count, **disturb(Path(folder), count)})
        print(found[-1], flush=True)
    return found


def measure_speed(count: int) -> dict:
    """Send studies as fast as storescu can, and wait for the last result.

    Returns:
        {"studies", "side", "sending", "seconds", "stages"}; seconds are of all studies.
    """
    print(f"speed: {count} studies", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        masks = write_studies(folder / "in", count, SPEED_SIDE)
        node, worker = Node(folder / "orthanc"), None
        try:
            worker = Worker(node, folder)
            worker.wait_for("following")
            began = time.perf_counter()
            assert node.send(folder / "in").returncode == 0
            sent = time.perf_counter()
            wait_for_studies(worker, count)
            ended = time.perf_counter()
            assert not any(compare(node, masks).values()), compare(node, masks)
            return {
                "studies": count,
                "side": SPEED_SIDE,
                "sending": sent - began,
                "seconds": ended - began,
                "stages": stages_of(worker.log),
            }
        finally:
            if worker:
                worker.kill()
            node.stop()


def stages_of(log: str) -> dict[str, float]:
    """Add up the seconds of each stage that the worker logs."""
    total: Counter[str] = Counter()
    for line in log.splitlines():
        if line.startswith("study ") and line.endswith(" s)"):
            for part in line.rpartition("(")[2][:-1].split(", "):
                stage, seconds, _ = part.split()
                total[stage] += float(seconds)
    return dict(total)


@cache
def phantoms(side: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return some radiographs, each with its label map."""
    import lungseg
    from lungseg.data import phantom

    predictor, found = lungseg.load(device="cpu"), []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(_DIFFERENT):
            pixels = phantom(number, (side, side))[0].astype(np.uint16) * 16
            write_radiograph(file := Path(folder) / "probe.dcm", pixels, "probe")
            found.append((pixels, predictor.predict(file).labels))
    return found


def write_studies(folder: Path, count: int, side: int) -> dict[str, np.ndarray]:
    """Write one radiograph per study and return each one's label map by its SOP instance UID."""
    folder.mkdir(parents=True)
    masks = {}
    for number in range(count):
        pixels, labels = phantoms(side)[number % _DIFFERENT]
        masks[write_radiograph(folder / f"{number:04d}.dcm", pixels, f"{folder.name} {number}")] = labels
    return masks


def write_radiograph(path: Path, pixels: np.ndarray, name: str, **attributes) -> str:
    """Write (H, W) uint16 pixels of twelve bits as a computed radiograph and return its SOP instance UID."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

    uids = {kind: generate_uid(entropy_srcs=[kind, name]) for kind in ("Study", "Series", "SOP")}
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = uids["SOP"]
    dataset = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "SOPClassUID": ComputedRadiographyImageStorage,
        "SOPInstanceUID": uids["SOP"],
        "StudyInstanceUID": uids["Study"],
        "SeriesInstanceUID": uids["Series"],
        "PatientID": name,
        "PatientName": f"Phantom^{name}",
        "Modality": "CR",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PixelData": pixels.tobytes(),
    }
    for keyword, value in (values | attributes).items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)
    return str(uids["SOP"])


def compare(node: Node, masks: dict[str, np.ndarray], poison: Sequence[Poison] = ()) -> dict[str, int]:
    """Count lost, doubled and wrong results in an Orthanc."""
    from highdicom.seg import segread

    results = node.results()
    expected = masks | {one.uid: one.labels for one in poison if one.labels is not None}
    lost = doubled = 0
    wrong = len(set(results) - set(expected))
    for source, labels in expected.items():
        kinds = Counter(result.Modality for result in results.get(source, []))
        lost += source in masks and (kinds["SEG"] == 0 or kinds["OT"] == 0)
        doubled += kinds["SEG"] > 1 or kinds["OT"] > 1
        for result in results.get(source, []):
            if result.Modality == "SEG":
                content = BytesIO()
                result.save_as(content)
                content.seek(0)
                found = segread(content).get_pixels_by_source_instance([source], combine_segments=True)[0]
                wrong += not np.array_equal(found, labels)
    return {"lost": lost, "doubled": doubled, "wrong": wrong}


def wait_for_studies(worker: Worker, count: int) -> None:
    """Wait until the worker, or those before it, has logged that many studies."""
    wait_until(lambda: worker.log.count("study") >= count, "some studies were not processed", _SECONDS)


class Loop:
    """An Orthanc with a worker beside it, and the objects that are sent to it: `count` studies and some poison.

    Args:
        folder: for all files.
        count: number of studies.
        node: other settings of the Orthanc.
        state: folder of the worker's state.
    """

    def __init__(self, folder: Path, count: int, state: Path | None = None, **node) -> None:
        self.folder, self.state = folder, state
        self.masks = write_studies(folder / "in", count, SIDE)
        self.poison = write_poison(folder / "poison", write_radiograph, *phantoms(SIDE)[0])
        self.node = Node(folder / "orthanc", **node)
        self.start_worker()
        self.worker.wait_for("following")

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_) -> None:
        self.worker.kill()
        self.node.stop()

    def start_worker(self) -> None:
        """Start a worker that continues where the last one ended."""
        self.worker = Worker(self.node, self.folder, state=self.state)

    def send(self) -> CompletedProcess:
        """Send every object: half of the poison, the studies, the other half."""
        for one in self.poison[::2]:
            one.store(self.node)
        done = self.node.send(self.folder / "in")
        for one in self.poison[1::2]:
            one.store(self.node)
        return done

    def result(self) -> dict:
        """Wait until every object has an outcome and the worker has read the changes that it made; count."""
        state = self.worker.state / "sequence.json"

        def settled() -> bool:
            assert self.worker.process.poll() is None, f"the worker was stopped: {self.worker.log[-2000:]}"
            last = self.node.get("/changes?last")["Last"]
            if not (state.is_file() and f" {last}}}" in state.read_text()):
                return False
            return all(self.node.outcomes().values())

        wait_until(settled, "the worker does not catch up", _SECONDS)
        outcomes = self.node.outcomes()
        ends = {one.name: one.outcome(outcomes) for one in self.poison}
        return {"poison": ends, **compare(self.node, self.masks, self.poison)}


def worker_killed(folder: Path, count: int) -> dict:
    """The worker is killed after a third and again after two thirds of the studies, and started again."""
    with Loop(folder, count) as loop:
        loop.send()
        for share in (1, 2):
            wait_for_studies(loop.worker, share * count // 3)
            loop.worker.kill()
            loop.start_worker()
        return loop.result()


def orthanc_stopped(folder: Path, count: int, stop: Callable[[Node], None] = Node.stop) -> dict:
    """Orthanc is stopped for fifteen seconds after a third of the studies; some arrive after that."""
    with Loop(folder, count) as loop:
        (folder / "later").mkdir()
        for file in sorted((folder / "in").iterdir())[count // 2 :]:
            file.rename(folder / "later" / file.name)
        loop.send()
        wait_for_studies(loop.worker, count // 3)
        stop(loop.node)
        time.sleep(15)
        loop.node.start()
        loop.node.send(folder / "later")
        return loop.result()


def orthanc_killed(folder: Path, count: int) -> dict:
    """As when it is stopped, but without a warning."""
    return orthanc_stopped(folder, count, Node.kill)


def both_killed(folder: Path, count: int) -> dict:
    """Both are killed after a third of the studies, and started again, the worker first."""
    with Loop(folder, count) as loop:
        loop.send()
        wait_for_studies(loop.worker, count // 3)
        loop.node.kill()
        loop.worker.kill()
        loop.start_worker()
        time.sleep(5)
        loop.node.start()
        return loop.result()


def disk_full(folder: Path, count: int, whose: str) -> dict:
    """A disk of two megabytes is full from the beginning; after twenty seconds it becomes large enough."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SMALL}", "lungseg", disk], check=True)
    try:
        # A full disk under the index is not part of this test.
        storage = {"StorageDirectory": str(disk)} if whose == "Orthanc" else {}
        with Loop(folder, count, disk / "state" if whose == "worker" else None, **storage) as loop:
            if whose == "worker":
                (disk / "ballast").write_bytes(bytes(1_900_000))
            sending = loop.send()
            time.sleep(20)
            subprocess.run(["mount", "-o", f"remount,size={_LARGE}", disk], check=True)
            assert sending.returncode or "postponed" in loop.worker.log, "nothing was full"
            if sending.returncode:
                # The modality sends again the studies that Orthanc refused.
                loop.send()
            return loop.result()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def association_aborted(folder: Path, count: int) -> dict:
    """The sender is killed in the middle of its transfer, three times, and then sends all."""
    with Loop(folder, count) as loop:
        node, to = loop.node, ["-aet", "PACS", "-aec", "LUNGSEG", "127.0.0.1", str(loop.node.dicom)]
        for share in (5, 4, 3):
            sender = subprocess.Popen([program("storescu"), "+sd", *to, folder / "in"])
            while len(node.get("/studies")) < count // share:
                time.sleep(0.001)
            assert sender.poll() is None, "it was done before it was killed: send more"
            sender.kill()
            sender.wait()
        loop.send()
        return loop.result()


def malformed_objects(folder: Path, count: int) -> dict:
    """Before each tenth study, a modality sends a damaged one, or one that is not a radiograph."""
    pixels = np.zeros((SIDE, SIDE), np.uint16)
    damages = (
        {"PixelData": b"\0" * 100},
        {"Rows": 60000, "Columns": 60000},
        {"BitsAllocated": 12},
        {"PhotometricInterpretation": "NONSENSE"},
        {"Rows": 0},
        {},  # nothing to see
    )
    with Loop(folder, count) as loop:
        for number, damage in enumerate(damages):
            file = folder / "in" / f"{number * count // 10:04d}-damaged.dcm"
            write_radiograph(file, pixels, f"damaged {number}", **damage)
        loop.send()
        return loop.result()


DISTURBANCES: dict[str, Callable[[Path, int], dict]] = {
    "worker killed (-9) twice": worker_killed,
    "Orthanc stopped for a while": orthanc_stopped,
    "Orthanc killed (-9) for a while": orthanc_killed,
    "both killed (-9) together": both_killed,
    "the worker's disk full for a while": lambda folder, count: disk_full(folder, count, "worker"),
    "Orthanc's disk full for a while": lambda folder, count: disk_full(folder, count, "Orthanc"),
    "association aborted in mid-transfer": association_aborted,
    "malformed objects among the others": malformed_objects,
}


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the tables about the loop."""
    if not numbers:
        return dict.fromkeys(("deploy", "deploy-disturbed", "deploy-poison"), NOT_MEASURED)
    speed = numbers["speed"]
    busy = sum(speed["stages"].values())
    network = speed["stages"]["fetch"] + speed["stages"]["store"]
    rows = [
        ["Studies per minute", f"{60 * speed['studies'] / speed['seconds']:.0f}"],
        ["Studies per minute, as sent by storescu", f"{60 * speed['studies'] / speed['sending']:.0f}"],
        ["Share of the worker's time in the application", f"{speed['stages']['run'] / busy:.0%}"],
        ["Share spent fetching and storing", f"{network / busy:.0%}"],
    ]
    of = f"of one radiograph each, {speed['side']} x {speed['side']} pixels"
    note = f"{speed['studies']} studies {of}. {numbers['machine']}."
    disturbed, ends = [], {}
    for one in numbers["disturbances"]:
        silent = sum(outcome is None for outcome in one["poison"].values())
        figures = (one["studies"], one["lost"], one["doubled"], one["wrong"], len(one["poison"]), silent)
        disturbed.append([one["name"], *map(str, figures)])
        for name, outcome in one["poison"].items():
            ends.setdefault(name, Counter())[outcome or "none"] += 1
    poison = [
        [name, ", ".join(end if len(found) == 1 else f"{end} ({times} x)" for end, times in found.items())]
        for name, found in ends.items()
    ]
    return {
        "deploy": f"{markdown_table(['Figure', 'Measured'], rows)}\n\n{note}",
        "deploy-disturbed": markdown_table(
            ["Disturbance", "Studies", "Lost", "Doubled", "Wrong", "Poisonous", "Without an outcome"], disturbed
        ),
        "deploy-poison": markdown_table(["Poisonous object", "Outcome"], poison, (0, 1)),
    }


if __name__ == "__main__":
    sys.exit(run(main))
