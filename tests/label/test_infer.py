# SPDX-License-Identifier: Apache-2.0
"""Inference through MONAI Label's server: exactly the masks of `lungseg predict`, in every format."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import nibabel
import numpy as np
import pytest
from label_support import MODEL
from PIL import Image

from lungseg.io import find_radiographs

STUDIES = ("phantom-0", "phantom-1", "phantom-2", "photo", "real one (1)", "1.2.3")


@pytest.fixture(scope="module")
def predicted(label_studies, tmp_path_factory) -> dict[str, tuple[np.ndarray, dict]]:
    """Study -> label map and report row of `lungseg predict`."""
    from lungseg.inference.predict import predict

    folder = tmp_path_factory.mktemp("predicted")
    files = [path for path, _ in find_radiographs([label_studies], label_studies / "labels").radiographs]
    rows = predict([path for path in files if path.parent == label_studies], folder, workers=1)
    return {row.name: (np.asarray(Image.open(folder / "labels" / f"{row.name}.png")), row) for row in rows}


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_gets_the_mask_of_predict(label_server, predicted, study):
    expected, row = predicted[study]
    answer = label_server.infer(study)
    assert (answer.status, answer.type) == (200, "image/png")
    assert answer.labels.dtype == np.uint8
    np.testing.assert_array_equal(answer.labels, expected)

    result = label_server.infer(study, "json").json
    assert result["quality"] == row.quality
    assert result["quality_lower"] == row.quality_lower
    assert (" ".join(result["doubts"]), " ".join(result["notes"])) == (row.doubts, row.notes)
    assert result["label_names"] == {"right_lung": 1, "left_lung": 2}
    assert result["size"] == [expected.shape[1], expected.shape[0]]
    assert result["version"] == 0


def test_the_heart_and_its_ratio_come_by_choice(label_server, predicted):
    lungs, row = predicted["real one (1)"]
    labels = label_server.infer("real one (1)", heart=True).labels
    np.testing.assert_array_equal(np.where(labels == 3, 0, labels), lungs)
    assert 0.02 < (labels == 3).mean() < 0.3
    result = label_server.infer("real one (1)", "json", heart=True).json
    assert result["label_names"] == {"right_lung": 1, "left_lung": 2, "heart": 3}
    assert (result["measurements"].get("ctr"), result["ctr_note"]) == (row.ctr, row.ctr_note)
    (((left, _), (right, _)), ((first, _), (last, _))) = result["lines"]
    assert (right - left) / (last - first) == pytest.approx(row.ctr, abs=1e-3)
    refused = label_server.infer("real one (1)", heart=True, save_label=True)
    assert (refused.status, "lungs only" in refused.detail) == (400, True)


def test_nifti_comes_back_as_nifti_in_its_orientation(label_server, label_studies, predicted, tmp_path):
    answer = label_server.infer("volume")
    file = tmp_path / "labels.nii.gz"
    file.write_bytes(answer.body)
    image, source = nibabel.load(file), nibabel.load(label_studies / "volume.nii.gz")
    assert image.shape[:2] == source.shape[:2]
    np.testing.assert_allclose(image.affine, source.affine)
    labels, _ = predicted["volume"]
    assert np.bincount(np.asarray(image.dataobj).ravel().astype(int)).tolist() == np.bincount(labels.ravel()).tolist()
    np.testing.assert_array_equal(label_server.infer("volume", result_extension=".png").labels, labels)


def test_the_default_answer_has_the_label_map_and_the_result(label_server, predicted):
    parts = label_server.form("POST", f"/infer/{MODEL}", image="photo").parts
    assert json.loads(parts["params"])["quality"] == predicted["photo"][1].quality
    assert parts["image"].startswith(b"\x89PNG")


def test_an_uploaded_file_is_segmented(label_server, label_studies, predicted):
    content = (label_studies / "photo.jpg").read_bytes()
    answer = label_server.form("POST", f"/infer/{MODEL}", files={"file": ("any.jpg", content)}, output="image")
    np.testing.assert_array_equal(answer.labels, predicted["photo"][0])


def test_other_formats_come_back_as_the_same_label_map(label_server, predicted):
    """The formats of viewers that are built on ITK."""
    expected, _ = predicted["phantom-1"]
    for ending in (".nii.gz", ".nrrd"):
        answer = label_server.infer("phantom-1", result_extension=ending)
        assert label_server.save("phantom-1", answer.body, "trial", f"label{ending}").status == 200
        saved = label_server.get("/datastore/label", label="phantom-1", tag="trial")
        np.testing.assert_array_equal(saved.labels, expected)
    refused = label_server.infer("phantom-1", result_extension=".jpg")
    assert refused.status == 400
    assert ".png" in refused.detail


@pytest.mark.parametrize("ending", [".png", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("study", ["phantom-2", "volume"])
def test_a_result_is_saved_as_a_png_whatever_format_is_sent(label_server, label_studies, predicted, study, ending):
    saving = label_server.infer(study, "json", result_extension=ending, save_label=True, label_tag="drawn")
    assert saving.status == 200
    assert [file.name for file in (label_studies / "labels" / "drawn").glob(f"{study}.*")] == [f"{study}.png"]
    saved = label_server.get(f"/lungseg/studies/{study}/label", tag="drawn")
    np.testing.assert_array_equal(saved.labels, predicted[study][0])
    label_server.ask("DELETE", f"/datastore/label?id={study}&tag=drawn")


def test_sixteen_clients_at_a_time_all_get_the_right_mask(label_server, predicted):
    studies = [name for name in STUDIES if name != "1.2.3"]
    asked = [studies[number % len(studies)] for number in range(48)]
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(label_server.infer, asked))
    for study, answer in zip(asked, answers, strict=True):
        assert answer.status == 200, answer.body
        np.testing.assert_array_equal(answer.labels, predicted[study][0])


def test_the_server_answers_others_while_it_segments(label_server):
    with ThreadPoolExecutor(8) as clients:
        busy = [clients.submit(label_server.infer, "1.2.3") for _ in range(8)]
        assert label_server.get("/info/").status == 200
        assert not all(one.done() for one in busy)
        assert {one.result().status for one in busy} == {200}
