# SPDX-License-Identifier: Apache-2.0
"""The loop with a real Orthanc: each radiograph that a modality sends is segmented once, and nothing else is."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess

import numpy as np
import pytest
import requests
from data_support import REAL
from deploy_support import check_carried_over, check_valid, labels_of_seg, needed, other_weights, write_study_file
from pydicom import dcmread
from pydicom.uid import CTImageStorage, EnhancedSRStorage, SecondaryCaptureImageStorage, SegmentationStorage
from stopping_support import hooked, let_go, marks

from benchmarks.orthanc_node import ENVIRONMENT, PASSWORD, Node, Worker, free_port, wait_until
from lungseg.cli.demo import real_radiograph
from lungseg.data import phantom
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.workflows.deploy.orthanc import watch
from lungseg.workflows.deploy.orthanc.client import Orthanc
from lungseg.workflows.deploy.orthanc.state import State

pytest.importorskip("holoscan", reason="the extra `deploy` is not installed")
from lungseg.workflows.deploy.app import LungsApplication
from lungseg.workflows.deploy.operators import find, verify, write_overlay, write_segmentation
from lungseg.workflows.deploy.operators.segment import SegmentLungsOperator
from lungseg.workflows.deploy.operators.summarize import SummarizeOperator


@pytest.fixture(scope="module", autouse=True)
def _installed():
    """Skip the tests where a package is missing."""
    for name in ("Orthanc", "storescu", "storescp"):
        needed(name)


@pytest.fixture
def credentials(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def node(tmp_path, credentials):
    node = Node(tmp_path / "orthanc")
    yield node
    node.stop()


@pytest.fixture(scope="module")
def warm():
    """Load the application once for all workers in this process."""
    return functools.cache(watch.load_application)


@pytest.fixture
def catch_up(command, tmp_path, monkeypatch, warm):
    """Call `lungseg deploy watch --once`, in this process, with one state."""
    monkeypatch.setattr(watch, "load_application", warm)

    def call(node: Node, *arguments: object):
        state = ("--state", tmp_path / "state")
        return command("deploy", "watch", "--orthanc", node.url, "--once", *state, *arguments)

    return call


def is_stable(node: Node) -> bool:
    """Return whether Orthanc calls each study stable, and has said so in its feed, which comes a little later."""
    changes, studies = node.get("/changes", limit=10_000)["Changes"], node.studies()
    reported = {change["ID"] for change in changes if change["ChangeType"] == "StableStudy"}
    return reported.issuperset(studies) and all(node.get(f"/studies/{study}")["IsStable"] for study in studies)


def processed(worker: Worker) -> int:
    """Return the number of radiographs that a worker has processed, by its log.

    The number of studies could be larger: one that arrives slowly is stable several times.
    """
    outcomes = re.findall(r"study [^:]+: (.+) \(fetch ", worker.log)
    return sum(int(number) for outcome in outcomes for number in re.findall(r"\d+", outcome))


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """A worker beside an Orthanc, some studies that were sent to it, and the folder of their files."""
    folder = tmp_path_factory.mktemp("loop")
    arrival_port = free_port()
    pacs = {"AET": "PACS", "Host": "127.0.0.1", "Port": arrival_port, "AllowStore": True}
    node = Node(folder / "orthanc", DicomModalities={"pacs": pacs})
    (folder / "arrived").mkdir()
    arrival = subprocess.Popen(
        [needed("storescp"), "-od", folder / "arrived", "-fe", ".dcm", str(arrival_port)], stderr=subprocess.DEVNULL
    )
    worker = Worker(node, folder / "worker", "--send-to", "pacs")
    worker.wait_for("following")
    studies = folder / "studies"
    write_study_file(studies / "one" / "pa.dcm", "one", ViewPosition="PA")
    write_study_file(studies / "one" / "lateral.dcm", "one", ViewPosition="LL")
    write_study_file(studies / "one" / "ct.dcm", "one", 2, SOPClassUID=CTImageStorage, Modality="CT")
    write_study_file(studies / "two" / "first.dcm", "two")
    write_study_file(studies / "two" / "second.dcm", "two", 2)
    noise = np.random.default_rng(0).integers(0, 255, (130, 110), dtype=np.uint8)
    write_study_file(studies / "flagged" / "noise.dcm", "flagged", pixels=noise)
    real = [] if real_radiograph() is None else [real_radiograph()]
    real += sorted((REAL / "dicom").glob("*.dcm"))
    for path in real:
        (studies / "real").mkdir(exist_ok=True)
        (studies / "real" / path.name).write_bytes(path.read_bytes())
    for options in (("-xy",), ()):
        node.send(studies, options=options)
    wanted = [path for path in studies.rglob("*.dcm") if path.stem not in ("lateral", "ct", "noise")]
    uids = {str(dcmread(path).SOPInstanceUID): path for path in wanted}
    # With the lateral one and the noise.
    wait_until(lambda: processed(worker) == len(uids) + 2, "some radiograph was not processed")
    yield node, worker, uids, folder
    arrival.kill()
    arrival.wait()
    if worker.process.poll() is None:
        worker.kill()
    node.stop()


def test_segmentation_and_overlay_are_in_the_right_study(loop, tmp_path):
    node, _, sources, _ = loop
    results = node.results()
    assert set(results) == set(sources)
    for source_uid, made in results.items():
        source = dcmread(sources[source_uid])
        assert {result.SOPClassUID for result in made} == {SecondaryCaptureImageStorage, SegmentationStorage}
        assert len(made) == 2
        for result in made:
            check_carried_over(result, source)
            result.save_as(tmp_path / "result.dcm")
            check_valid(tmp_path / "result.dcm", sources[source_uid])


@pytest.mark.safety("wrong-result")
def test_the_masks_are_those_of_predict(loop, tmp_path, command):
    node, _, sources, folder = loop
    assert command("predict", folder / "studies", "-o", tmp_path, "--save", "dicom-seg").status < 2
    predicted = {
        dcmread(path, stop_before_pixels=True).SourceImageSequence[0].ReferencedSOPInstanceUID: path
        for path in (tmp_path / "dicom-seg").rglob("*.dcm")
    }
    for source_uid, made in node.results().items():
        (seg,) = (result for result in made if result.SOPClassUID == SegmentationStorage)
        seg.save_as(tmp_path / "seg.dcm")
        source = dcmread(sources[source_uid])
        expected = labels_of_seg(predicted[source_uid], source)
        assert expected.any()
        np.testing.assert_array_equal(labels_of_seg(tmp_path / "seg.dcm", source), expected)


def test_dicomweb_finds_them(loop):
    node, _, sources, _ = loop
    studies = {str(dcmread(path).StudyInstanceUID) for path in sources.values()}
    found = [
        instance
        for study in studies
        for instance in node.get(f"/dicom-web/studies/{study}/instances")
        if instance["00080060"]["Value"][0] in ("SEG", "OT")
    ]
    assert len(found) == 2 * len(sources)


def test_its_own_results_never_trigger_work(loop):
    node, worker, sources, _ = loop
    wait_until(lambda: is_stable(node), "the studies do not become stable")
    last = node.get("/changes?last")["Last"]
    state = worker.log_file.parent / "state" / "sequence.json"
    wait_until(lambda: int(state.read_text().split(":")[1].strip("} \n")) >= last, "the state does not catch up")
    assert processed(worker) == len(sources) + 2
    assert len(node.results()) == len(sources)
    assert not list(worker.log_file.parent.glob("state/work/**/*.dcm"))


def test_outcomes_are_kept_with_the_radiographs(loop):
    node, _, _, _ = loop
    statuses = [outcome["status"] for outcome in node.outcomes().values() if outcome]
    assert statuses.count("flagged") == 1
    assert statuses.count("skipped") == 1


@pytest.mark.safety("patients-in-log")
def test_the_log_names_no_patients(loop):
    _, worker, sources, _ = loop
    for path in sources.values():
        source = dcmread(path)
        for value in (source.PatientName, source.PatientID, source.get("AccessionNumber")):
            assert not value or str(value) not in worker.log
    assert PASSWORD not in worker.log


def test_orthanc_sends_them_on(loop):
    _, _, sources, folder = loop

    def arrived() -> bool:
        return len(list((folder / "arrived").glob("*.dcm"))) == 2 * len(sources)

    wait_until(arrived, "some results were not sent on")


@pytest.mark.safety("one-worker")
def test_a_second_worker_refuses_to_start(loop):
    node, worker, _, _ = loop
    second = Worker(node, worker.log_file.parent)
    wait_until(lambda: second.process.poll() is not None, "it starts")
    assert second.process.returncode == 2
    assert f"lungseg: {worker.log_file.parent / 'state'}: " in worker.log


@pytest.mark.safety("stranger-sends")
def test_strangers_are_refused(loop, tmp_path):
    node, _, _, _ = loop
    write_study_file(tmp_path / "stranger.dcm", "stranger")
    assert node.send(tmp_path / "stranger.dcm", title="STRANGER").returncode != 0
    assert not node.get("/dicom-web/studies", PatientID="Pstranger")


def test_it_starts_at_the_latest_change_and_since_takes_a_backlog(node, catch_up, tmp_path):
    write_study_file(tmp_path / "old.dcm", "old")
    assert node.send(tmp_path / "old.dcm").returncode == 0
    wait_until(lambda: is_stable(node), "the study does not become stable")
    assert catch_up(node).status == 0
    assert not node.results()
    assert catch_up(node, "--since", 0).status == 0
    assert {len(made) for made in node.results().values()} == {2}


def test_a_dry_run_does_nothing(node, catch_up, tmp_path):
    write_study_file(tmp_path / "old.dcm", "old")
    node.send(tmp_path / "old.dcm")
    wait_until(lambda: is_stable(node), "the study does not become stable")
    done = catch_up(node, "--since", 0, "--dry-run")
    assert f"study {node.studies()[0]}: would process 1 radiograph\n" in done.out
    assert not node.results()
    assert not (tmp_path / "state").exists()


def test_new_weights_make_a_new_series_beside_the_old(node, catch_up, tmp_path):
    write_study_file(tmp_path / "one.dcm", "one")
    node.send(tmp_path / "one.dcm")
    wait_until(lambda: is_stable(node), "the study does not become stable")
    bundle = other_weights(tmp_path / "bundle")
    for arguments in ((), ("-m", bundle), ("-m", bundle)):
        assert catch_up(node, "--since", 0, *arguments).status == 0
    (made,) = node.results().values()
    assert len({result.SeriesInstanceUID for result in made}) == len(made) == 4


@pytest.mark.safety("killed-anywhere")
def test_killed_at_any_point_it_catches_up(node, catch_up, tmp_path, monkeypatch):
    """Stopped before each of its calls to Orthanc in turn, and started again, it makes one copy of each result."""
    catch_up(node)  # starts at the latest change
    call, calls, limit = Orthanc._call, [], 0

    def killed(self, *arguments, **content):
        calls.append(arguments)
        if len(calls) == limit:
            raise KeyboardInterrupt
        return call(self, *arguments, **content)

    monkeypatch.setattr(Orthanc, "_call", killed)
    status = None
    while status != 0:
        point = len(node.studies()) + 1
        write_study_file(tmp_path / f"{point}.dcm", point)
        node.send(tmp_path / f"{point}.dcm")
        wait_until(lambda: is_stable(node), "the study does not become stable")
        calls.clear()
        limit = point
        status = catch_up(node).status
        limit = 0
        assert catch_up(node).status == 0
    assert point > 8
    results = node.results()
    assert len(results) == len(node.studies())
    assert {len(made) for made in results.values()} == {2}


@pytest.mark.safety("killed-anywhere")
def test_a_study_that_was_arriving_when_orthanc_was_killed_is_not_lost(tmp_path, catch_up, credentials):
    """Orthanc never reports such a study as stable."""
    node = Node(tmp_path / "orthanc", StableAge=600)
    try:
        assert catch_up(node).status == 0
        write_study_file(tmp_path / "one.dcm", "one")
        node.send(tmp_path / "one.dcm")
        assert catch_up(node).status == 0
        assert not node.results()
        node.kill()
        stopped = catch_up(node)
        assert stopped.status == 1
        assert node.url in stopped.sentence
        node.start()
        assert catch_up(node).status == 0
        assert {len(made) for made in node.results().values()} == {2}
    finally:
        node.stop()


@pytest.mark.safety("study-alone")
def test_malformed_objects_fail_once_and_block_nothing(node, catch_up, tmp_path):
    write_study_file(tmp_path / "bad.dcm", "bad", BitsAllocated=8, PixelData=b"\0" * 10)
    write_study_file(tmp_path / "good.dcm", "good")
    assert node.send(tmp_path / "bad.dcm", tmp_path / "good.dcm").returncode == 0
    wait_until(lambda: is_stable(node), "the studies do not become stable")
    done = catch_up(node, "--since", 0)
    assert done.status == 0
    assert "1 failed" in done.out
    assert "\nlungseg: instance " in f"\n{done.err}"
    assert list(node.results()) == [str(dcmread(tmp_path / "good.dcm").SOPInstanceUID)]
    assert "failed" not in catch_up(node, "--since", 0).out


@pytest.mark.safety("deleted-stays-deleted")
def test_a_deleted_study_is_ignored(node, catch_up, tmp_path):
    catch_up(node)
    write_study_file(tmp_path / "one.dcm", "one")
    node.send(tmp_path / "one.dcm")
    wait_until(lambda: is_stable(node), "the study does not become stable")
    requests.delete(f"{node.url}/studies/{node.studies()[0]}", auth=("lungseg", PASSWORD), timeout=30)
    assert catch_up(node).status == 0


def test_a_wrong_password_is_refused(node, catch_up, monkeypatch):
    monkeypatch.setenv("LUNGSEG_ORTHANC_PASSWORD", "wrong")
    done = catch_up(node)
    assert done.status == 2
    assert node.url in done.sentence


def test_credentials_from_a_file(node, catch_up, tmp_path, monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    file.write_text(f"lungseg:{PASSWORD}\n")
    file.chmod(0o644)
    assert "chmod 600" in catch_up(node, "--credentials", file).sentence
    file.chmod(0o600)
    assert catch_up(node, "--credentials", file).status == 0


def test_the_state_of_another_orthanc_is_refused(node, catch_up, tmp_path):
    write_study_file(tmp_path / "one.dcm", "one")
    node.send(tmp_path / "one.dcm")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "sequence.json").write_text('{"sequence": 1000}')
    refused = catch_up(node)
    assert refused.status == 1
    assert "1000" in refused.sentence


def test_it_leaves_no_signal_handler_behind(command, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    done = command("deploy", "watch", "--orthanc", "http://127.0.0.1:1", "--state", tmp_path / "state", "--once")
    assert done.status == 1
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_failed_transfer_is_repeated(tmp_path, catch_up, credentials):
    port = free_port()
    pacs = {"AET": "PACS", "Host": "127.0.0.1", "Port": port, "AllowStore": True}
    node = Node(tmp_path / "orthanc", DicomModalities={"pacs": pacs})
    arrival = None
    try:
        write_study_file(tmp_path / "one.dcm", "one")
        node.send(tmp_path / "one.dcm")
        wait_until(lambda: is_stable(node), "the study does not become stable")
        assert "elsewhere" in catch_up(node, "--send-to", "elsewhere").sentence
        assert catch_up(node, "--since", 0, "--send-to", "pacs").status == 0
        wait_until(lambda: [job["State"] for job in node.get("/jobs", expand="")] == ["Failure"], "it does not fail")
        (tmp_path / "arrived").mkdir()
        arrival = subprocess.Popen([needed("storescp"), "-od", tmp_path / "arrived", str(port)])
        orthanc = Orthanc(node.url, ("lungseg", PASSWORD))

        def arrived() -> bool:
            # The receiver may not listen yet.
            orthanc.resubmit_failed(["pacs"])
            return len(list((tmp_path / "arrived").iterdir())) == 2

        wait_until(arrived, "it was not sent")
    finally:
        node.stop()
        if arrival:
            arrival.kill()
            arrival.wait()


def outcome(node: Node, instance: str) -> dict:
    return node.outcomes()[instance]


@pytest.mark.safety("study-alone")
def test_an_object_that_says_two_things_about_itself_blocks_nothing(node, catch_up, tmp_path):
    write_study_file(tmp_path / "odd.dcm", "odd")
    odd = dcmread(tmp_path / "odd.dcm")
    odd.file_meta.MediaStorageSOPClassUID = EnhancedSRStorage
    odd.save_as(tmp_path / "odd.dcm")
    write_study_file(tmp_path / "good.dcm", "good")
    instances = [node.store(tmp_path / f"{name}.dcm") for name in ("odd", "good")]
    wait_until(lambda: is_stable(node), "the studies do not become stable")
    assert catch_up(node, "--since", 0).status == 0
    assert outcome(node, instances[1])["status"] == "ok"
    assert outcome(node, instances[0])["status"] in ("ok", "failed", "skipped")


_ERRORS = (
    UsageError("wrong", remedy="r"),
    LungsegError("bad", code="c"),
    ValueError(),
    OSError("not of the disk"),
    MemoryError(),
    RecursionError(),
    SystemExit(3),
)
# Where the error is thrown; and whether the stage has a study's radiographs together, so that they are tried again.
_STAGES = {
    "look": (Orthanc, "series", True),
    "fetch": (Orthanc, "fetch", True),
    "find": (find, "find_radiographs", True),
    "segment": (SegmentLungsOperator, "predict", False),
    "write the segmentation": (write_segmentation, "encode_dicom_seg", False),
    "write the overlay": (write_overlay, "draw_overlay", False),
    "verify": (verify, "_find_fault", False),
    "summarize": (SummarizeOperator, "_write", True),
    "store": (Orthanc, "store", True),
}


@pytest.fixture
def break_stage(monkeypatch):
    """Let a stage raise the error that `choose` returns for the study or instance that is under way."""

    def set_up(stage: str, choose) -> None:
        owner, name, _ = _STAGES[stage]
        call, begin, under_way = getattr(owner, name), State.begin, []

        def noted(self, resource):
            under_way.append(resource)
            return begin(self, resource)

        def failing(*arguments, **named):
            error = choose(arguments[1] if stage == "look" else under_way[-1])
            if error is not None:
                raise error
            return call(*arguments, **named)

        monkeypatch.setattr(State, "begin", noted)
        monkeypatch.setattr(owner, name, failing)

    return set_up


@pytest.mark.safety("study-alone")
@pytest.mark.parametrize("stage", _STAGES)
def test_no_error_of_any_stage_blocks_the_other_studies(node, catch_up, tmp_path, break_stage, stage):
    """Each study but the last one fails with another error whenever it reaches the stage."""
    studies = {}
    for number in range(len(_ERRORS) + 1):
        write_study_file(tmp_path / f"{number}.dcm", f"s{number}")
        instance = node.store(tmp_path / f"{number}.dcm")
        studies[node.get(f"/instances/{instance}/study")["ID"]] = instance
    wait_until(lambda: is_stable(node), "the studies do not become stable")

    def choose(resource):
        number = next(place for place, pair in enumerate(studies.items()) if resource in pair)
        return _ERRORS[number] if number < len(_ERRORS) else None

    break_stage(stage, choose)
    *bad, good = studies.values()
    done = [catch_up(node, "--since", 0) for _ in range(4)]
    assert outcome(node, good)["status"] == "ok"
    assert all(one.status in (0, 1) for one in done)
    assert len(node.results()) == 1
    if stage != "look":  # without its series nothing is known of a study that could have an outcome
        assert done[-1].status == 0
        given_up = _STAGES[stage][2]
        for instance in bad:
            assert outcome(node, instance)["status"] == "failed"
            assert (outcome(node, instance)["code"] == "given-up") == given_up


@pytest.mark.safety("killed-anywhere")
@pytest.mark.parametrize("stage", _STAGES)
def test_a_stop_in_any_stage_is_not_held_against_a_study(node, catch_up, tmp_path, break_stage, stage):
    write_study_file(tmp_path / "one.dcm", "one")
    instance = node.store(tmp_path / "one.dcm")
    wait_until(lambda: is_stable(node), "the study does not become stable")
    stops = [KeyboardInterrupt()] * 4
    break_stage(stage, lambda resource: stops.pop() if stops else None)
    assert [catch_up(node, "--since", 0).status for _ in range(5)] == [130] * 4 + [0]
    assert outcome(node, instance)["status"] == "ok"
    assert {len(made) for made in node.results().values()} == {2}


@pytest.mark.safety("killed-anywhere")
def test_sigterm_ends_a_worker_in_the_middle_of_a_study(node, tmp_path, monkeypatch):
    count = 12
    for number in range(count):
        write_study_file(tmp_path / "in" / f"{number}.dcm", "one", pixels=phantom(number, (400, 350))[0])
    for file in (tmp_path / "in").iterdir():
        node.store(file)
    wait_until(lambda: is_stable(node), "the study does not become stable")
    hook = tmp_path / "hook"
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", hooked(hook, ".dcm", "wait")["PYTHONPATH"])
        worker = Worker(node, tmp_path, "--since", 0)
    try:
        wait_until(lambda: marks(hook), "it does not begin")
        worker.process.terminate()
        let_go(hook)
        assert worker.process.wait(timeout=600) in (130, 143)
    finally:
        worker.kill()
    assert "postponed" not in worker.log
    assert "Traceback" not in worker.log
    assert not node.results()
    assert not (worker.state / "work").exists()
    worker = Worker(node, tmp_path)
    wait_until(lambda: all(node.outcomes().values()), "the next worker does not continue")
    worker.stop()
    assert {len(made) for made in node.results().values()} == {2}
    assert len(node.results()) == count


@pytest.mark.safety("given-up")
def test_what_ended_the_worker_several_times_is_given_up(node, catch_up, tmp_path):
    write_study_file(tmp_path / "one.dcm", "one")
    write_study_file(tmp_path / "two.dcm", "one", 2)
    instances = [node.store(tmp_path / f"{name}.dcm") for name in ("one", "two")]
    wait_until(lambda: is_stable(node), "the study does not become stable")
    (tmp_path / "state").mkdir()
    # As a worker leaves it that was killed in mid-study, and then three times in the same radiograph.
    tries = {node.studies()[0]: 1, instances[0]: 3}
    (tmp_path / "state" / "tries.json").write_text(json.dumps(tries))
    assert catch_up(node, "--since", 0).status == 0
    assert [outcome(node, instance)["code"] for instance in instances] == ["given-up", ""]
    assert json.loads((tmp_path / "state" / "tries.json").read_text()) == {}


@pytest.mark.safety("deleted-stays-deleted")
def test_what_is_deleted_meanwhile_stays_deleted(node, catch_up, tmp_path, monkeypatch):
    write_study_file(tmp_path / "one.dcm", "one")
    write_study_file(tmp_path / "two.dcm", "two")
    instances = [node.store(tmp_path / f"{name}.dcm") for name in ("one", "two")]
    wait_until(lambda: is_stable(node), "the studies do not become stable")
    process, deleted = LungsApplication.process, []

    def meanwhile(self, source, output):
        summary = process(self, source, output)
        if (source / f"{instances[0]}.dcm").exists():
            url = f"{node.url}/studies/{node.get(f'/instances/{instances[0]}/study')['ID']}"
            deleted.append(requests.delete(url, auth=("lungseg", PASSWORD), timeout=30).status_code)
        return summary

    monkeypatch.setattr(LungsApplication, "process", meanwhile)
    assert catch_up(node, "--since", 0).status == 0
    assert deleted == [200]
    assert len(node.studies()) == 1
    assert outcome(node, instances[1])["status"] == "ok"


@pytest.mark.safety("private-state")
def test_no_other_user_can_read_a_radiograph_meanwhile(node, catch_up, tmp_path, monkeypatch):
    write_study_file(tmp_path / "one.dcm", "one")
    instance = node.store(tmp_path / "one.dcm")
    wait_until(lambda: is_stable(node), "the study does not become stable")
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    process, modes = LungsApplication.process, {}

    def meanwhile(self, source, output):
        summary = process(self, source, output)
        modes.update({path: path.stat().st_mode & 0o777 for path in (state, *state.rglob("*"))})
        return summary

    monkeypatch.setattr(LungsApplication, "process", meanwhile)
    before = os.umask(0o022)
    try:
        assert catch_up(node, "--since", 0).status == 0
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert state / "work" / "in" / f"{instance}.dcm" in modes
    assert len([path for path in modes if path.suffix == ".dcm"]) == 3
    assert set(modes.values()) == {0o700, 0o600}
