# SPDX-License-Identifier: Apache-2.0
"""The MONAI Label app on a DICOMweb service (Orthanc if it is installed): list, segment, save and delete."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from images_support import write_dicom
from label_support import COMPLETE, LabelServer, free_port, require_environment, wait_until_listening
from pretended_dicomweb import described, pretended_dicomweb

from lungseg.data import phantom

ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = next(Path("/usr").glob("share/orthanc/plugins/libOrthancDicomWeb.so*"), None)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """An Orthanc with a study of two radiographs in one series, and a CT image."""
    if not COMPLETE and not (os.path.exists(ORTHANC) and PLUGIN):
        pytest.skip("orthanc and orthanc-dicomweb are not installed")
    folder = tmp_path_factory.mktemp("orthanc")
    port = free_port()
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen([ORTHANC, folder / "orthanc.json"], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_listening(process, port)
        for number, changes in enumerate(({}, {}, {"Modality": "CT", "SeriesInstanceUID": "1.2.3.5"})):
            send(url, folder, number, **changes)
        yield url
    finally:
        process.terminate()
        process.wait()


def send(url: str, folder: Path, number: int, **changes: str) -> None:
    """Put a radiograph of the one series into Orthanc."""
    series = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "PatientID": "phantom"}
    file = folder / f"{number}.dcm"
    pixels = phantom((8, number), (150 + 10 * number, 200))[0]
    write_dicom(file, pixels, **(series | {"SOPInstanceUID": f"1.2.3.9.{number}"} | changes))
    urllib.request.urlopen(urllib.request.Request(f"{url}/instances", file.read_bytes(), method="POST"))


@pytest.fixture(scope="module")
def server(orthanc, tmp_path_factory):
    require_environment()
    with LabelServer(f"{orthanc}/dicom-web", "--workspace", tmp_path_factory.mktemp("work")) as running:
        yield running


def test_every_radiograph_is_a_study(server):
    names = {study["id"] for study in server.get("/lungseg/studies").json}
    assert names >= {"1.2.3.9.0", "1.2.3.9.1"}
    assert "1.2.3.9.2" not in names  # the CT image
    assert server.get("/lungseg/studies/1.2.3.9.1/picture").labels.shape == (200, 160)


def test_segment_correct_save_and_find_again(server, segment):
    name = "1.2.3.9.1"
    labels = server.infer(name).labels
    np.testing.assert_array_equal(labels, segment(phantom((8, 1), (160, 200))[0]).labels)
    corrected = labels.copy()
    corrected[:10, :20] = 1
    assert server.save(name, corrected).status == 200
    np.testing.assert_array_equal(server.get("/datastore/label", label=name, tag="final").labels, corrected)
    np.testing.assert_array_equal(server.get(f"/lungseg/studies/{name}/label").labels, corrected)
    assert server.get("/info/").json["datastore"]["completed"] == 1
    assert server.post("/activelearning/lowest-quality").json["id"] != name


@pytest.mark.safety("study-as-path")
def test_only_listed_radiographs_are_fetched(server):
    for name in ("1.2.3.9.2", "9.9.9", "../1.2.3.9.0"):
        assert server.infer(name).status == 404


def test_a_radiograph_that_arrives_later_in_a_known_series_is_listed(server, orthanc, tmp_path):
    assert "1.2.3.9.7" not in {study["id"] for study in server.get("/lungseg/studies").json}
    send(orthanc, tmp_path, 7)
    server.wait(lambda: "1.2.3.9.7" in {study["id"] for study in server.get("/lungseg/studies").json})
    assert server.infer("1.2.3.9.7").labels.shape == (200, 220)


def test_a_deleted_label_is_not_listed(tmp_path):
    require_environment()
    pixels, labels = phantom((8, 0), (150, 200))
    write_dicom(tmp_path / "one.dcm", pixels, SOPInstanceUID="1.2.3.9.0")
    work = tmp_path / "work"
    with pretended_dicomweb(tmp_path / "one.dcm") as url, LabelServer(url, "--workspace", work) as server:
        assert server.save("1.2.3.9.0", labels).status == 200
        assert [one["labelled"] for one in server.get("/lungseg/studies").json] == [True]
        assert server.ask("DELETE", "/datastore/label?id=1.2.3.9.0&tag=final").status == 200
        assert [one["labelled"] for one in server.get("/lungseg/studies").json] == [False]
        assert server.get("/datastore/", output="train").json == []
        assert server.post("/activelearning/random").json["id"] == "1.2.3.9.0"
        assert server.save("1.2.3.9.0", labels).status == 200


@pytest.mark.safety("foreign-names")
def test_a_uid_that_is_a_path_leaves_that_radiograph_out(tmp_path):
    require_environment()
    pixels, labels = phantom((8, 0), (150, 200))
    write_dicom(tmp_path / "one.dcm", pixels, SOPInstanceUID="1.2.3.9.0")
    shutil.copy(tmp_path / "one.dcm", tmp_path / "other.dcm")
    work = tmp_path / "above" / "work"
    # From the folder of radiographs, in the workspace, and from its folder of labels.
    paths = ["../../../other", "../../../../../other", str(tmp_path / "other")]
    odd = [described("1.2.3", "1.2.3.4", path) for path in paths]
    odd += [described("../1", "1.2.3.4", "1.2.3.9.0"), described("1.2.3", "a/b", "1.2.3.9.0"), {}, "x", None, {"x": 1}]
    with pretended_dicomweb(tmp_path / "one.dcm", odd) as url, LabelServer(url, "--workspace", work) as server:
        assert [one["id"] for one in server.get("/lungseg/studies").json] == ["1.2.3.9.0"]
        for path in paths:
            assert server.get("/datastore/image", image=path).status == 404
            assert server.save(path, labels).status == 404
        assert server.save("1.2.3.9.0", labels).status == 200
        assert server.form("PUT", "/datastore/image", files={"file": ("x.png", b"x")}, image="new").status == 400
    assert "not listed" in server.output
    assert {path.name for path in tmp_path.iterdir()} == {"one.dcm", "other.dcm", "above"}
    assert [path.name for path in work.parent.iterdir()] == ["work"]
    assert {path.name for path in (work / "dicomweb").glob("*.dcm")} == {"1.2.3.9.0.dcm"}
    for folder in (work, work / "dicomweb"):
        assert folder.stat().st_mode & 0o777 == 0o700
