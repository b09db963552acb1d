# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.deploy`: the loop with Orthanc: its speed, and its results when things go wrong.

Phantoms are sent by dcmtk's storescu to an Orthanc on loopback, beside which a worker runs. In each disturbance,
the results at the end are compared with the studies sent: `lost` has no segmentation or no overlay, `doubled` has two,
`wrong` has another mask than `lungseg predict` finds, or was made from an object that is not a radiograph.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np

from benchmarks import record
from benchmarks.machine import describe
from benchmarks.orthanc_node import Node, Worker, program, wait_until
from benchmarks.tables import NOT_MEASURED, markdown_table
from recipes.command import add_trial, parser, run

SPEED_SIDE, SIDE = 1024, 512
SPEED_COUNT, COUNT = 200, 30
_TRIAL_COUNT = 10
# More would take longer to draw than to segment.
_DIFFERENT = 5
_SECONDS = 3600
_SMALL, _LARGE = "2m", "2g"


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the tables."""
    options = parser("benchmarks.deploy", "Send studies to an Orthanc beside which `lungseg deploy watch` runs.")
    add_trial(options)
    options = options.parse_args(arguments)
    if options.trial:
        record.show(tables(measure(_TRIAL_COUNT, _TRIAL_COUNT)))
        return
    if not options.tables_only:
        record.save("deploy", measure(SPEED_COUNT, COUNT))
    record.publish(tables(record.load("deploy", None)))


def measure(speed_count: int, count: int) -> dict:
    """Send and disturb.

    Args:
        speed_count: studies for the speed.
        count: studies for each disturbance.

    Returns:
        {"machine", "speed": {"studies", "side", "sending", "seconds", "stages"}, "disturbances": [{"name", "studies",
        "lost", "doubled", "wrong"}]}; seconds are of all studies.
    """
    for name in ("Orthanc", "storescu"):
        program(name)
    numbers = {"machine": describe(), "speed": measure_speed(speed_count), "disturbances": []}
    for name, disturb in DISTURBANCES.items():
        print(f"{name}: {count} studies", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            numbers["disturbances"].append({"name": name, "studies": count, **disturb(Path(folder), count)})
        print(numbers["disturbances"][-1], flush=True)
    return numbers


def measure_speed(count: int) -> dict:
    """Send studies as fast as storescu can, and wait for the last result."""
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


def write_studies(folder: Path, count: int, side: int) -> dict[str, np.ndarray]:
    """Write one radiograph per study and return each one's label map by its SOP instance UID."""
    import lungseg
    from lungseg.data import phantom

    folder.mkdir(parents=True)
    predictor, kinds = lungseg.load(device="cpu"), []
    for number in range(_DIFFERENT):
        pixels = phantom(number, (side, side))[0].astype(np.uint16) * 16
        write_radiograph(folder / "probe.dcm", pixels, "probe")
        kinds.append((pixels, predictor.predict(folder / "probe.dcm").labels))
    (folder / "probe.dcm").unlink()
    masks = {}
    for number in range(count):
        pixels, labels = kinds[number % _DIFFERENT]
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


def compare(node: Node, masks: dict[str, np.ndarray]) -> dict[str, int]:
    """Count lost, doubled and wrong results in an Orthanc."""
    from highdicom.seg import segread

    results = node.results()
    lost = doubled = 0
    wrong = len(set(results) - set(masks))
    for source, labels in masks.items():
        kinds = Counter(result.Modality for result in results.get(source, []))
        lost += kinds["SEG"] == 0 or kinds["OT"] == 0
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


def settled(node: Node, worker: Worker, sources: int) -> None:
    """Wait until all results are there and the worker has caught up with the feed that they are in."""
    state = worker.log_file.parent / "state" / "sequence.json"

    def quiet() -> bool:
        counted = node.get("/statistics")["CountInstances"]
        last = node.get("/changes?last")["Last"]
        return counted >= 3 * sources and state.is_file() and f" {last}}}" in state.read_text()

    wait_until(quiet, "the worker does not catch up", _SECONDS)


def worker_killed(folder: Path, count: int) -> dict:
    """The worker is killed after a third and again after two thirds of the studies, and started again."""
    masks, node = write_studies(folder / "in", count, SIDE), Node(folder / "orthanc")
    worker = Worker(node, folder)
    try:
        worker.wait_for("following")
        node.send(folder / "in")
        for share in (1, 2):
            wait_for_studies(worker, share * count // 3)
            worker.kill()
            worker = Worker(node, folder)
        settled(node, worker, count)
        return compare(node, masks)
    finally:
        worker.kill()
        node.stop()


def orthanc_stopped(folder: Path, count: int, stop: Callable[[Node], None] = Node.stop) -> dict:
    """Orthanc is stopped for fifteen seconds while the worker processes the first half of the studies."""
    first = write_studies(folder / "in1", count // 2, SIDE)
    second = write_studies(folder / "in2", count - count // 2, SIDE)
    node = Node(folder / "orthanc")
    worker = Worker(node, folder)
    try:
        worker.wait_for("following")
        node.send(folder / "in1")
        wait_for_studies(worker, count // 6)
        stop(node)
        time.sleep(15)
        node.start()
        node.send(folder / "in2")
        settled(node, worker, count)
        return compare(node, first | second)
    finally:
        worker.kill()
        node.stop()


def orthanc_killed(folder: Path, count: int) -> dict:
    """As when it is stopped, but without a warning."""
    return orthanc_stopped(folder, count, Node.kill)


def disk_full(folder: Path, count: int, whose: str) -> dict:
    """A disk of two megabytes is full from the beginning; after twenty seconds it becomes large enough."""
    masks = write_studies(folder / "in", count, SIDE)
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SMALL}", "lungseg", disk], check=True)
    worker = node = None
    try:
        # A full disk under the index is not part of this test.
        storage = {"StorageDirectory": str(disk)} if whose == "Orthanc" else {}
        node = Node(folder / "orthanc", **storage)
        at = disk / "worker" if whose == "worker" else folder
        worker = Worker(node, folder, "--state", at / "state")
        worker.wait_for("following")
        if whose == "worker":
            (disk / "ballast").write_bytes(bytes(1_900_000))
        sending = node.send(folder / "in")
        time.sleep(20)
        subprocess.run(["mount", "-o", f"remount,size={_LARGE}", disk], check=True)
        assert sending.returncode or "postponed" in worker.log, "nothing was full"
        if sending.returncode:
            # The modality sends again the studies that Orthanc refused.
            node.send(folder / "in")
        wait_until(lambda: node.get("/statistics")["CountInstances"] >= 3 * count, "it is slow", _SECONDS)
        return compare(node, masks)
    finally:
        if worker:
            worker.kill()
        if node:
            node.stop()
        subprocess.run(["umount", "-l", disk], check=True)


def association_aborted(folder: Path, count: int) -> dict:
    """The sender is killed in the middle of its transfer, three times, and then sends all."""
    masks, node = write_studies(folder / "in", count, SIDE), Node(folder / "orthanc")
    worker = Worker(node, folder)
    try:
        worker.wait_for("following")
        for share in (5, 4, 3):
            sender = subprocess.Popen(
                [
                    program("storescu"),
                    "+sd",
                    "-aet",
                    "PACS",
                    "-aec",
                    "LUNGSEG",
                    "127.0.0.1",
                    str(node.dicom),
                    folder / "in",
                ]
            )
            while len(node.get("/studies")) < count // share:
                time.sleep(0.001)
            assert sender.poll() is None, "it was done before it was killed: send more"
            sender.kill()
            sender.wait()
        node.send(folder / "in")
        settled(node, worker, count)
        return compare(node, masks)
    finally:
        worker.kill()
        node.stop()


def malformed_objects(folder: Path, count: int) -> dict:
    """Before each tenth study, send a damaged one, or one that is not a radiograph."""
    masks, node = write_studies(folder / "in", count, SIDE), Node(folder / "orthanc")
    pixels = np.zeros((SIDE, SIDE), np.uint16)
    damages = (
        {"PixelData": b"\0" * 100},
        {"Rows": 60000, "Columns": 60000},
        {"BitsAllocated": 12},
        {"PhotometricInterpretation": "NONSENSE"},
        {"Rows": 0},
        {},  # nothing to see
    )
    for number, damage in enumerate(damages):
        write_radiograph(
            folder / "in" / f"{number * count // 10:04d}-damaged.dcm", pixels, f"damaged {number}", **damage
        )
    worker = Worker(node, folder)
    try:
        worker.wait_for("following")
        node.send(folder / "in")
        wait_for_studies(worker, count + len(damages))
        return compare(node, masks)
    finally:
        worker.kill()
        node.stop()


DISTURBANCES: dict[str, Callable[[Path, int], dict]] = {
    "worker killed (-9) twice": worker_killed,
    "Orthanc stopped for a while": orthanc_stopped,
    "Orthanc killed (-9) for a while": orthanc_killed,
    "the worker's disk full for a while": lambda folder, count: disk_full(folder, count, "worker"),
    "Orthanc's disk full for a while": lambda folder, count: disk_full(folder, count, "Orthanc"),
    "association aborted in mid-transfer": association_aborted,
    "malformed objects among the others": malformed_objects,
}


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the tables about the loop."""
    if not numbers:
        return dict.fromkeys(("deploy", "deploy-disturbed"), NOT_MEASURED)
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
    disturbed = [
        [one["name"], *(str(one[figure]) for figure in ("studies", "lost", "doubled", "wrong"))]
        for one in numbers["disturbances"]
    ]
    return {
        "deploy": f"{markdown_table(['Figure', 'Measured'], rows)}\n\n{note}",
        "deploy-disturbed": markdown_table(["Disturbance", "Studies", "Lost", "Doubled", "Wrong"], disturbed),
    }


if __name__ == "__main__":
    sys.exit(run(main))
