# SPDX-License-Identifier: Apache-2.0
"""`lungseg deploy run`: the MONAI Deploy application on a folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_support import REAL, needs_real_data
from deploy_support import by_name, check_carried_over, check_valid, labels_of_seg, other_weights, write_study_file
from highdicom.seg import segread
from pydicom import dcmread
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage
from stopping_support import hooked, let_go, marks

from benchmarks.orthanc_node import wait_until
from lungseg.cli.demo import real_radiograph
from lungseg.data import phantom
from lungseg.io import read_radiograph
from lungseg.model.paths import bundle_root
from lungseg.quality import flags

pytest.importorskip("holoscan", reason="the extra `deploy` is not installed")

ROOT = Path(__file__).resolve().parents[2]
NOT_A_CHEST = np.random.default_rng(0).integers(0, 255, (130, 110), dtype=np.uint8)


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> Path:
    """Two studies with everything that may lie beside a frontal radiograph."""
    folder = tmp_path_factory.mktemp("studies")
    write_study_file(folder / "a" / "pa.dcm", "a", ViewPosition="PA", PixelSpacing=[0.2, 0.2])
    write_study_file(folder / "a" / "lateral.dcm", "a", ViewPosition="LL")
    # The same position in the same series: the SDK's own loader would keep only one of them.
    write_study_file(folder / "a" / "again.dcm", "a", pixels=phantom(5, (120, 140))[0], ViewPosition="AP")
    write_study_file(folder / "a" / "other_series.dcm", "a", 2, ViewPosition="AP")
    write_study_file(folder / "a" / "ct.dcm", "a", 3, SOPClassUID=CTImageStorage, Modality="CT")
    write_study_file(folder / "b" / "no_chest.dcm", "b", pixels=NOT_A_CHEST)
    write_study_file(folder / "b" / "capture.dcm", "b", 2, SOPClassUID=SecondaryCaptureImageStorage, Modality="DX")
    write_study_file(folder / "b" / "chart.dcm", "b", 3, SOPClassUID=SecondaryCaptureImageStorage, Modality="OT")
    (folder / "b" / "copy.dcm").write_bytes((folder / "b" / "capture.dcm").read_bytes())
    (folder / "b" / "report.pdf").write_bytes(b"%PDF")
    (folder / "b" / "notes").write_text("not DICOM")
    return folder


@pytest.fixture(scope="module")
def processed(studies, tmp_path_factory):
    """The output of `lungseg deploy run` and what it printed."""
    output = tmp_path_factory.mktemp("processed") / "out"
    return output, start("-m", "lungseg", "deploy", "run", "-i", studies, "-o", output)


def start(*arguments: object, **options) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_all_radiographs_of_all_studies_are_found(processed):
    output, done = processed
    entries = by_name(output)
    assert done.returncode == 0, done
    assert {name: entry["status"] for name, entry in entries.items()} == {
        "pa": "ok",
        "again": "ok",
        "other_series": "ok",
        "lateral": "skipped",
        "ct": "skipped",
        "no_chest": "flagged",
        "capture": "ok",
        "copy": "skipped",
        "chart": "skipped",
        "report": "skipped",
        "notes": "skipped",
    }
    assert {name: entry["code"] for name, entry in entries.items() if entry["code"]} == {
        "no_chest": "not-frontal",
        "lateral": "lateral",
        "ct": "not-radiograph",
        "copy": "duplicate",
        "chart": "not-radiograph",
        "report": "not-listed",
        "notes": "not-dicom",
    }
    assert all(bool(entry["reason"]) == (entry["status"] != "ok") for entry in entries.values())
    assert "4 ok, 1 flagged, 6 skipped" in done.stdout


def test_the_mask_is_that_of_predict(processed, studies, tmp_path, command):
    output, _ = processed
    assert command("predict", studies / "a" / "pa.dcm", "-o", tmp_path, "--save", "dicom-seg").status == 0
    source = dcmread(studies / "a" / "pa.dcm")
    entry = by_name(output)["pa"]
    labels = labels_of_seg(output / entry["results"]["segmentation"]["file"], source)
    assert labels.any()
    np.testing.assert_array_equal(labels, labels_of_seg(tmp_path / "dicom-seg" / "pa.dcm", source))


def test_results_are_valid_and_carry_over_patient_and_study(processed, studies):
    output, _ = processed
    for name, entry in by_name(output).items():
        for result in entry.get("results", {}).values():
            source, written = dcmread(entry["file"]), dcmread(output / result["file"])
            check_valid(output / result["file"], Path(entry["file"]))
            check_carried_over(written, source)
            referenced = written.SourceImageSequence[0]
            assert referenced.ReferencedSOPInstanceUID == source.SOPInstanceUID, name
            assert written.SOPInstanceUID == result["sop_instance_uid"]
            assert written.SeriesInstanceUID == result["series_instance_uid"] != source.SeriesInstanceUID


def test_the_overlay_shows_the_outline_in_colour(processed, studies):
    output, _ = processed
    overlay = dcmread(output / by_name(output)["pa"]["results"]["overlay"]["file"])
    source = dcmread(studies / "a" / "pa.dcm")
    assert overlay.SOPClassUID == SecondaryCaptureImageStorage
    assert (overlay.Rows, overlay.Columns) == (source.Rows, source.Columns)
    pixels = overlay.pixel_array.astype(int)
    assert (pixels.max(axis=2) != pixels.min(axis=2)).any()


@pytest.mark.safety("doubtful-result")
def test_an_image_that_is_not_a_chest_gets_no_results_and_a_reason(processed):
    output, done = processed
    entry = by_name(output)["no_chest"]
    assert entry["results"] == {}
    assert entry["reason"].endswith("its results are withheld")
    assert "not-frontal" in entry["doubts"]
    assert f"flagged: {entry['file']}: {entry['reason']}" in done.stderr
    assert not list(output.rglob(f"{entry['sop_instance_uid']}*"))


def test_the_summary_measures(processed):
    output, _ = processed
    entry = by_name(output)["pa"]
    assert entry["measures"]["lungs_px"] > 0
    assert entry["measures"]["lungs_mm2"] == pytest.approx(entry["measures"]["lungs_px"] * 0.04, abs=0.1)
    assert entry["measures"]["full_lungs_px"] >= entry["measures"]["lungs_px"]
    # The file states the view, so that nothing is to be said against the ratio.
    assert (entry["ctr_note"], 0 < entry["measures"]["ctr"] < 1) == ("", True)
    assert 0.8 < entry["quality"] <= 1
    assert 0 < entry["quality_lower"] <= entry["quality"]
    assert "lungs_mm2" not in by_name(output)["again"]["measures"]


def settings_with(folder: Path, **changed: str) -> Path:
    """Write a copy of app.yaml with other values, and return its path."""
    text = (ROOT / "workflows" / "deploy" / "app.yaml").read_text(encoding="utf-8")
    for name, value in changed.items():
        text, count = re.subn(rf"^  {name}: .*$", f"  {name}: {value}", text, flags=re.MULTILINE)
        assert count == 1
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    return folder / "mine.yaml"


@pytest.fixture
def doubted(monkeypatch):
    """Every result is doubted, as a difficult radiograph's is."""
    monkeypatch.setitem(flags._DOUBT_RULES, "low-quality", lambda *seen: True)


@pytest.mark.safety("doubtful-result")
def test_a_doubtful_result_is_written_and_says_so(doubted, tmp_path, command):
    write_study_file(tmp_path / "in" / "pa.dcm", "a", pixels=phantom(3, (520, 440))[0])
    assert command("deploy", "run", "-i", tmp_path / "in", "-o", tmp_path / "out").status == 0
    entry = by_name(tmp_path / "out")["pa"]
    assert (entry["status"], entry["code"]) == ("flagged", "")
    assert entry["reason"] == flags.DOUBTS["low-quality"]
    seg, overlay = (dcmread(tmp_path / "out" / entry["results"][kind]["file"]) for kind in ("segmentation", "overlay"))
    assert seg.SeriesDescription == "Lungs, research use only, doubtful: low-quality"
    assert seg.ContentDescription.endswith(", doubtful: low-quality")
    assert [one.SegmentLabel for one in seg.SegmentSequence] == [
        "Right lung, doubtful: low-quality",
        "Left lung, doubtful: low-quality",
    ]
    assert overlay.SeriesDescription == "Lungs, overlay, research use only, doubtful: low-quality"
    # The text: white on black along the upper edge.
    line = overlay.pixel_array[:20]
    assert line[:, -1].max() == 0
    assert line.max() > 200
    for result in entry["results"].values():
        check_valid(tmp_path / "out" / result["file"], tmp_path / "in" / "pa.dcm")


@pytest.mark.safety("research-use")
def test_every_result_says_that_it_is_for_research(tmp_path, command):
    write_study_file(tmp_path / "in" / "pa.dcm", "a")
    assert command("deploy", "run", "-i", tmp_path / "in", "-o", tmp_path / "out").status == 0
    results = by_name(tmp_path / "out")["pa"]["results"]
    seg, overlay = (dcmread(tmp_path / "out" / results[kind]["file"]) for kind in ("segmentation", "overlay"))
    for result in (seg, overlay):
        assert result.SeriesDescription.endswith(", research use only")
        assert result.ImageComments.startswith("For research use only; not a medical device. Made by lungseg ")
    assert seg.ContentDescription == "Visible lung fields, research use only"
    # The words are burnt in: white on black along the upper edge.
    line = overlay.pixel_array[:8]
    assert line[:, -1].max() == 0
    assert line.max() > 200


def test_doubtful_results_are_withheld_where_the_settings_say_so(doubted, tmp_path, command):
    write_study_file(tmp_path / "in" / "pa.dcm", "a")
    settings = settings_with(tmp_path, doubtful="withhold")
    done = command("deploy", "run", "-i", tmp_path / "in", "-o", tmp_path / "out", "--settings", settings)
    assert done.status == 0
    entry = by_name(tmp_path / "out")["pa"]
    assert (entry["status"], entry["code"], entry["results"]) == ("flagged", "doubtful", {})
    assert entry["reason"] == f"{flags.DOUBTS['low-quality']}; its results are withheld"


def test_what_is_not_frontal_gets_results_where_the_settings_say_so(studies, tmp_path, command):
    settings = settings_with(tmp_path, not_frontal="send", overlays="false")
    done = command("deploy", "run", "-i", studies / "b", "-o", tmp_path / "out", "--settings", settings)
    assert done.status == 0
    assert list(by_name(tmp_path / "out")["no_chest"]["results"]) == ["segmentation"]


def test_heart_and_full_extent_are_written_where_the_settings_ask_for_them(tmp_path, command):
    write_study_file(tmp_path / "in" / "pa.dcm", "a")
    frames = {}
    for extent, heart in (("visible", "false"), ("full", "true")):
        (folder := tmp_path / extent).mkdir()
        settings = settings_with(folder, extent=extent, heart=heart)
        done = command("deploy", "run", "-i", tmp_path / "in", "-o", folder, "--settings", settings)
        assert done.status == 0
        results = by_name(folder)["pa"]["results"]
        assert set(results) == {"segmentation", "overlay"}
        seg = segread(folder / results["segmentation"]["file"])
        frames[extent] = seg.pixel_array
        check_valid(folder / results["segmentation"]["file"], tmp_path / "in" / "pa.dcm")
    assert [seg.get_segment_description(number).segment_label for number in (1, 2, 3)] == [
        "Right lung",
        "Left lung",
        "Heart",
    ]
    assert len(frames["visible"]) == 2
    assert len(frames["full"]) == 3
    # The lungs to their full extent hold the visible ones.
    assert (frames["full"][:2] >= frames["visible"]).all()
    assert frames["full"][:2].sum() > frames["visible"].sum()


def test_a_mirrored_radiograph_gets_only_its_overlay(tmp_path, command):
    """The sides of a segmentation would contradict the file."""
    write_study_file(tmp_path / "in" / "mirrored.dcm", "a", PatientOrientation=["R", "F"])
    done = command("deploy", "run", "-i", tmp_path / "in", "-o", tmp_path / "out")
    assert done.status == 0
    entry = by_name(tmp_path / "out")["mirrored"]
    assert list(entry["results"]) == ["overlay"]
    assert "mirrored-header" in entry["notes"]
    assert "the segmentation was not written" in entry["reason"]


def test_a_segmentation_that_cannot_be_made_fails_without_another_commands_remedy(tmp_path, command):
    write_study_file(tmp_path / "in" / "a.dcm", "a")
    header = dcmread(tmp_path / "in" / "a.dcm")
    del header.SOPClassUID
    header.save_as(tmp_path / "in" / "a.dcm")
    done = command("deploy", "run", "-i", tmp_path / "in", "-o", tmp_path / "out")
    assert done.status == 1
    (failure,) = done.failures
    assert str(tmp_path / "in" / "a.dcm") in failure
    assert "SOPClassUID" in failure
    assert "dicom-seg" not in failure


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("doubtful", "perhaps"),
        ("not_frontal", "true"),
        ("overlays", "1"),
        ("overlays", ""),
        ("extent", "wide"),
        ("heart", "yes please"),
    ],
)
def test_a_wrong_setting_is_refused(studies, tmp_path, command, name, value):
    settings = settings_with(tmp_path, **{name: value})
    done = command("deploy", "run", "-i", studies, "-o", tmp_path / "out", "--settings", settings)
    assert done.status == 2
    assert f"results.{name}" in done.sentence


@pytest.mark.safety("study-alone")
def test_damaged_files_fail_and_the_others_are_processed(studies, tmp_path, command):
    source = tmp_path / "in"
    write_study_file(source / "good.dcm", "a")
    content = (source / "good.dcm").read_bytes()
    (source / "cut.dcm").write_bytes(content[: len(content) // 2])
    (source / "header.dcm").write_bytes(content[:200])
    write_study_file(source / "evil.dcm", "c", SOPInstanceUID="1.2.3/../../evil")
    os.mkfifo(source / "pipe.dcm")
    (source / "link.dcm").symlink_to(source / "gone.dcm")
    done = command("deploy", "run", "-i", source, "-o", tmp_path / "out")
    entries = by_name(tmp_path / "out")
    assert done.status == 1
    assert {name: entry["status"] for name, entry in entries.items()} == {
        "good": "ok",
        "cut": "failed",
        "header": "failed",
        "evil": "failed",
        "pipe": "failed",
        "link": "failed",
    }
    assert entries["evil"]["code"] == "uid-invalid"
    assert all(entry["code"] for entry in entries.values() if entry["status"] == "failed")
    assert len(done.failures) == 5
    assert not list(tmp_path.rglob("*evil.*.dcm"))


def test_start_by_the_sdk_with_a_torchscript_file(studies, processed, tmp_path):
    """In a container, environment variables of the SDK name the folders."""
    settings = {
        "ckpt_file": "models/model.pt",
        "meta_file": "configs/metadata.json",
        "config_file": "configs/inference.json",
        "filepath": tmp_path / "lungs.ts",
        "use_trace": True,
        "input_shape": "[1, 1, 256, 256]",
    }
    export = [word for name, value in settings.items() for word in (f"--{name}", value)]
    done = start("-m", "monai.bundle", "ckpt_export", "network_def", *export, cwd=bundle_root())
    assert done.returncode == 0, done
    variables = {"HOLOSCAN_INPUT_PATH": str(studies / "a"), "HOLOSCAN_OUTPUT_PATH": str(tmp_path / "out")}
    done = start(ROOT / "workflows" / "deploy", "--model", tmp_path / "lungs.ts", "--trust", env=os.environ | variables)
    assert done.returncode == 0, done
    output, _ = processed
    source = dcmread(studies / "a" / "pa.dcm")
    with_folder, with_file = (
        labels_of_seg(folder / by_name(folder)["pa"]["results"]["segmentation"]["file"], source)
        for folder in (output, tmp_path / "out")
    )
    np.testing.assert_array_equal(with_file, with_folder)


@pytest.mark.parametrize("model", ["packed.zip", "weights.pt", "folder", "missing"])
def test_a_path_that_is_not_a_bundle_is_refused(studies, tmp_path, command, model):
    assert command("pack", "--output", tmp_path / "packed.zip").status == 0
    (tmp_path / "weights.pt").write_bytes((bundle_root() / "models" / "model.pt").read_bytes())
    (tmp_path / "folder").mkdir()
    done = command("deploy", "run", "-i", studies, "-o", tmp_path / "out", "-m", tmp_path / model)
    assert done.status == 2
    assert str(tmp_path / model) in done.sentence


def test_another_bundle_folder_is_used(studies, tmp_path, command):
    """A bundle whose threshold is above one finds no lungs; it lies in a folder of models, as in a container."""
    shutil.copytree(bundle_root(), tmp_path / "models" / "lungs")
    config = tmp_path / "models" / "lungs" / "configs" / "inference.json"
    config.write_text(config.read_text().replace('"threshold": 0.45', '"threshold": 1.1'))
    done = command("deploy", "run", "-i", studies / "a", "-o", tmp_path / "out", "-m", tmp_path / "models")
    assert done.status == 0
    assert by_name(tmp_path / "out")["pa"]["measures"]["lungs_px"] == 0


@pytest.mark.parametrize("source", ["empty", "missing"])
def test_an_input_without_files_is_wrong_use(tmp_path, command, source):
    (tmp_path / "empty").mkdir()
    done = command("deploy", "run", "-i", tmp_path / source, "-o", tmp_path / "out")
    assert done.status == 2
    assert str(tmp_path / source) in done.sentence
    assert not (tmp_path / "out" / "summary.json").exists()


def test_results_do_not_go_among_the_inputs(studies, tmp_path, command):
    write_study_file(tmp_path / "in" / "a.dcm", "a")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for output in ("in", "link"):
        done = command("deploy", "run", "-i", tmp_path / "in", "-o", tmp_path / output)
        assert done.status == 2
        assert done.sentence.startswith(f"lungseg: {tmp_path / output}: ")
    assert [path.name for path in (tmp_path / "in").rglob("*")] == ["a.dcm"]


def test_a_name_that_is_not_text_is_still_reported(tmp_path, command):
    write_study_file(tmp_path / "in" / "a.dcm", "a")
    (tmp_path / "in" / "a.dcm").rename(tmp_path / "in" / os.fsdecode(b"caf\xe9.dcm"))
    done = command("deploy", "run", "-i", tmp_path / "in", "-o", tmp_path / "out")
    assert done.status == 0, done.err
    ((name, entry),) = by_name(tmp_path / "out").items()
    assert (name, entry["status"]) == ("caf\udce9", "ok")
    assert "caf\\udce9.dcm" in (tmp_path / "out" / "summary.json").read_text(encoding="utf-8")


def test_a_second_run_makes_the_same_objects(studies, processed, tmp_path, command):
    output, _ = processed
    source = dcmread(studies / "a" / "pa.dcm")
    # Other pixels, and so another mask, under the UID of the same radiograph.
    write_study_file(
        tmp_path / "in" / "pa.dcm", "a", pixels=phantom(1, (130, 110))[0], SOPInstanceUID=source.SOPInstanceUID
    )
    assert command("deploy", "run", "-i", tmp_path / "in", "-o", tmp_path / "out").status == 0
    first, second = (by_name(folder)["pa"]["results"] for folder in (output, tmp_path / "out"))
    for kind in ("segmentation", "overlay"):
        assert first[kind]["sop_instance_uid"] == second[kind]["sop_instance_uid"]
    assert (
        command(
            "deploy", "run", "-i", tmp_path / "in", "-o", tmp_path / "new", "-m", other_weights(tmp_path / "bundle")
        ).status
        == 0
    )
    new = by_name(tmp_path / "new")["pa"]["results"]
    assert new["segmentation"]["series_instance_uid"] != first["segmentation"]["series_instance_uid"]


def test_its_own_results_are_skipped(processed, tmp_path, command):
    output, _ = processed
    done = command("deploy", "run", "-i", output, "-o", tmp_path / "out")
    assert done.status == 0
    assert {entry["status"] for entry in by_name(tmp_path / "out").values()} == {"skipped"}


@pytest.mark.parametrize("writer", ["write_segmentation.encode_dicom_seg", "write_overlay.encode_dicom_overlay"])
@pytest.mark.safety("wrong-result")
def test_a_wrong_result_is_found_and_removed(studies, tmp_path, command, monkeypatch, writer):
    """The writer makes the result of another radiograph, which no input can bring about."""
    from importlib import import_module

    module, name = writer.split(".")
    module = import_module(f"lungseg.workflows.deploy.operators.{module}")
    encode = getattr(module, name)
    write_study_file(tmp_path / "other.dcm", "z")
    other = read_radiograph(tmp_path / "other.dcm").source
    monkeypatch.setattr(module, name, lambda pixels, source, *rest, **more: encode(pixels, other, *rest, **more))
    done = command("deploy", "run", "-i", studies / "a", "-o", tmp_path / "out")
    assert done.status == 1
    entry = by_name(tmp_path / "out")["pa"]
    assert (entry["status"], entry["code"]) == ("failed", "result-damaged")
    assert not list((tmp_path / "out").rglob("*.dcm"))


def test_a_full_disk_stops_the_run(studies, tmp_path):
    code = (
        "import resource, signal, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from lungseg.cli.main import main; sys.exit(main())"
    )
    done = start("-c", code, "deploy", "run", "-i", studies, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert not (tmp_path / "out" / "summary.json").exists()
    assert not list((tmp_path / "out").rglob("*.overlay.dcm"))


@pytest.mark.safety("stopped-run")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_after_the_file_under_way(tmp_path, number):
    count = 40
    for case in range(count):
        write_study_file(tmp_path / "in" / f"{case}.dcm", "a", pixels=phantom(case, (400, 350))[0])
    command = [sys.executable, "-m", "lungseg", "deploy", "run", "-i", tmp_path / "in", "-o", tmp_path / "out"]
    hook = tmp_path / "hook"
    held = hooked(hook, ".dcm", "wait")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=held) as process:
        try:
            wait_until(lambda: marks(hook), "it does not begin")
            process.send_signal(number)
            let_go(hook)
            printed, _ = process.communicate(timeout=600)
        finally:
            process.kill()
    assert process.returncode in (128 + number, -number)
    assert "Traceback" not in printed
    assert "not shut down" not in printed
    assert len(list((tmp_path / "out").rglob("*.overlay.dcm"))) < count
    for result in (tmp_path / "out").rglob("*.dcm"):
        assert dcmread(result).SourceImageSequence
    if number == signal.SIGINT:
        assert not list((tmp_path / "out").rglob(".*"))


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG1_J2KR.dcm"])
def test_a_real_radiograph(tmp_path, command, name):
    if real_radiograph() is None:
        pytest.skip("the package pydicom-data is not installed")
    check_real(real_radiograph().with_name(name), tmp_path, command)


@needs_real_data
@pytest.mark.parametrize("name", ["nih_dx_monochrome2.dcm", "rsna_cr_monochrome2_jpeg.dcm"])
def test_real_data(tmp_path, command, name):
    check_real(REAL / "dicom" / name, tmp_path, command)


def check_real(path: Path, folder: Path, command) -> None:
    (folder / "in").mkdir()
    copy = folder / "in" / path.name
    copy.write_bytes(path.read_bytes())
    assert command("deploy", "run", "-i", folder / "in", "-o", folder / "out").status == 0
    results = by_name(folder / "out")[path.stem]["results"]
    assert set(results) == {"segmentation", "overlay"}
    for result in results.values():
        check_valid(folder / "out" / result["file"], copy)
        check_carried_over(dcmread(folder / "out" / result["file"]), dcmread(copy))


def test_the_summary_names_the_weights(processed):
    from lungseg.model.weights import weights_hash

    output, _ = processed
    algorithm = json.loads((output / "summary.json").read_text(encoding="utf-8"))["algorithm"]
    assert algorithm["weights"] == weights_hash(bundle_root() / "models" / "model.pt")
