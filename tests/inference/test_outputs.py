# SPDX-License-Identifier: Apache-2.0
"""The kinds of output: each has the input's size and shows the same lungs, and its file is whole or not there."""

from __future__ import annotations

import csv
import errno
import gzip
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from images_support import write_dicom
from PIL import Image
from pydicom import dcmread
from skimage.draw import polygon2mask

from lungseg.data import phantom
from lungseg.inference.crop import crop_to, lung_box
from lungseg.inference.kinds import DEFAULT_KINDS, KINDS
from lungseg.inference.outputs import Outputs
from lungseg.inference.predictor import Predictor
from lungseg.io import read_radiograph
from lungseg.io.discovery import RESULT_FOLDERS
from lungseg.io.nifti import encode_nifti
from lungseg.io.overlay import draw_overlay, to_greys
from lungseg.model.paths import config_file
from lungseg.report.thumbnails import read_drawing
from lungseg.utils.errors import LungsegError


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def kinds_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


@pytest.fixture(scope="module")
def picture(dataset) -> Path:
    return dataset / "CXR_png" / "phantom_0001.png"


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ([], set(DEFAULT_KINDS)),
        (["--no-overlays", "--no-thumbnails"], {"masks", "labels"}),
        (["--save", "nifti"], {*DEFAULT_KINDS, "nifti"}),
        (["--save", "nifti, probabilities ", "--no-masks"], {*DEFAULT_KINDS, "nifti", "probabilities"} - {"masks"}),
        (["--save", "masks", "--save", "nifti", "--save", "nifti"], {*DEFAULT_KINDS, "nifti"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_kinds_that_were_asked_for_are_written(command, run_folder, picture, tmp_path, options, kinds):
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", run_folder, *options)
    assert done.status == 0, done.err
    assert kinds_in(tmp_path / "out") == kinds
    for kind in kinds:
        assert [file.name for file in (tmp_path / "out" / kind).iterdir()] == [f"phantom_0001{KINDS[kind][0]}"]


def test_the_help_names_every_kind(command):
    done = command("predict", "--help")
    assert all(f"--no-{kind}" in done.out for kind in DEFAULT_KINDS)
    assert all(kind in done.out for kind in KINDS)


@pytest.mark.parametrize("kinds", ["mask", "nifti, probability", "", "nifti, ,masks"])
def test_an_unknown_kind_is_wrong_use(command, run_folder, picture, tmp_path, kinds):
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", run_folder, "--save", kinds)
    assert done.status == 2
    assert "choose among masks, labels, overlays" in done.sentence
    assert not (tmp_path / "out").exists()


def test_probabilities_have_sixteen_bits_and_the_inputs_size(command, run_folder, picture, tmp_path):
    done = command("predict", picture, "-o", tmp_path, "--weights", run_folder, "--save", "probabilities")
    assert done.status == 0
    stored = pixels(tmp_path / "probabilities" / picture.name)
    prediction = Predictor(run_folder, device="cpu", keep_probabilities=True).predict(picture)
    height, width = pixels(picture).shape
    assert prediction.probabilities.shape == (2, height, width)
    assert prediction.probabilities.dtype == np.float32
    assert stored.dtype in (np.uint16, np.int32)  # Pillow's name for 16 bits depends on its version
    assert np.abs(stored / 65535 - prediction.probabilities.sum(axis=0)).max() < 1 / 65535
    # The label map is what exceeds the bundle's threshold.
    labels = pixels(tmp_path / "labels" / picture.name)
    assert 0 < (labels > 0).mean() < 1
    threshold = json.loads(config_file("inference").read_text("utf-8"))["threshold"]
    assert stored[labels > 0].min() >= round(threshold * 65535) >= stored[labels == 0].max()
    side = np.argmax(prediction.probabilities, axis=0) + 1
    assert np.array_equal(labels[labels > 0], side[labels > 0])


def test_probabilities_that_are_computed_late_are_those_that_are_kept(run_folder, picture):
    kept, late = (
        Predictor(run_folder, device="cpu", keep_probabilities=keep).predict(picture) for keep in (True, False)
    )
    assert np.array_equal(kept.probabilities, late.probabilities)


def test_nifti_has_the_labels_with_x_first_and_no_invented_millimetres(command, run_folder, picture, tmp_path):
    command("predict", picture, "-o", tmp_path, "--weights", run_folder, "--save", "nifti")
    image = nibabel.load(tmp_path / "nifti" / "phantom_0001.nii.gz")
    labels = pixels(tmp_path / "labels" / picture.name)
    assert image.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(image.dataobj), labels.T)
    assert image.header.get_xyzt_units()[0] == "unknown"
    # As ITK, and so 3D Slicer and ITK-SNAP, place a PNG: x to the left, y to the back.
    assert np.array_equal(image.affine, np.diag([-1, -1, 1, 1]))


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [({"PixelSpacing": [0.5, 0.25]}, "unknown"), ({"ImagerPixelSpacing": [0.5, 0.25]}, "detector")],
)
def test_nifti_keeps_the_spacing_and_says_where_it_holds(command, run_folder, tmp_path, attributes, kind):
    write_dicom(tmp_path / "a.dcm", phantom(1, (96, 72))[0], **attributes)
    command("predict", tmp_path / "a.dcm", "-o", tmp_path / "out", "--weights", run_folder, "--save", "nifti")
    image = nibabel.load(tmp_path / "out" / "nifti" / "a.nii.gz")
    assert image.header.get_zooms() == (0.25, 0.5)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert (
        image.header["descrip"].item().decode()
        == f"1 right lung, 2 left lung, 3 heart; visible extent; spacing: {kind}"
    )


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize(
    ("axes", "affine"),
    [
        ((1, 0, 2), np.diag([-0.2, -0.3, 1, 1])),
        ((1, 0, 2), np.diag([0.2, 0.3, 1, 1])),
        ((1, 2, 0), [[-0.2, 0, 0, 9], [0, 0, 1, 8], [0, -0.3, 0, 7], [0, 0, 0, 1]]),
        ((1, 2, 0), [[0.2, 0, 0, 9], [0, 1, 0, 8], [0, 0, 0.3, 7], [0, 0, 0, 1]]),
        ((0, 1, 2), [[0, -0.2, 0, 0], [0, 0, 1, 0], [0.3, 0, 0, 0], [0, 0, 0, 1]]),
    ],
    ids=["itk", "plain", "frontal", "coronal", "rows first"],
)
def test_the_labels_of_a_nifti_file_lie_as_its_picture(command, run_folder, tmp_path, axes, affine, kind):
    """Whatever way the reader turns the picture, the labels are turned back."""
    picture = phantom(1, (96, 72))[0]
    stored = np.transpose(picture[:, :, None], axes)
    nibabel.save(kind(stored, np.array(affine, dtype=float)), tmp_path / "a.nii.gz")
    done = command("predict", tmp_path / "a.nii.gz", "-o", tmp_path / "out", "--weights", run_folder, "--save", "nifti")
    assert done.status == 0, done.err
    source, image = nibabel.load(tmp_path / "a.nii.gz"), nibabel.load(tmp_path / "out" / "nifti" / "a.nii.gz")
    assert image.shape == source.shape
    assert type(image) is type(source)
    np.testing.assert_array_equal(image.affine, source.affine)
    for code in ("sform_code", "qform_code", "xyzt_units"):
        assert image.header[code] == source.header[code]
    assert image.get_data_dtype() == np.uint8
    # Read as a picture, the labels are those of the PNG.
    labels = pixels(tmp_path / "out" / "labels" / "a.png")
    assert len(np.unique(labels)) == 3
    np.testing.assert_array_equal(read_radiograph(tmp_path / "out" / "nifti" / "a.nii.gz").pixels, labels)


@pytest.mark.parametrize("shape", [(70, 48), (70, 48, 1), (70, 48, 1, 1), (70, 48, 1, 1, 3)], ids=str)
def test_the_labels_of_a_nifti_file_have_its_dimensions(tmp_path, shape):
    stored = np.zeros(shape, np.uint8)
    stored[3:9, 5:7] = 200
    nibabel.save(nibabel.Nifti1Image(stored, np.diag([-0.1, -0.2, 1, 1])), tmp_path / "a.nii")
    radiograph = read_radiograph(tmp_path / "a.nii")
    labels = (radiograph.pixels > 100).astype(np.uint8)
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(encode_nifti(labels, radiograph)))
    assert image.shape == (shape if shape[-1] != 3 else shape[:3])
    assert set(zip(*np.nonzero(image.get_fdata().reshape(70, 48)), strict=True)) == {
        (x, y) for x in range(3, 9) for y in (5, 6)
    }


def test_the_labels_of_a_picture_are_read_back_as_they_were(command, run_folder, picture, tmp_path):
    command("predict", picture, "-o", tmp_path, "--weights", run_folder, "--save", "nifti")
    read = read_radiograph(tmp_path / "nifti" / "phantom_0001.nii.gz")
    np.testing.assert_array_equal(read.pixels, pixels(tmp_path / "labels" / picture.name))
    assert read.spacing is None


def test_the_same_labels_make_the_same_nifti_file(command, run_folder, picture, tmp_path):
    for name in ("a", "b"):
        command("predict", picture, "-o", tmp_path / name, "--weights", run_folder, "--save", "nifti")
    first, second = ((tmp_path / name / "nifti" / "phantom_0001.nii.gz").read_bytes() for name in ("a", "b"))
    assert first == second


@pytest.fixture
def mixed(picture, tmp_path) -> Path:
    """A folder with a PNG, a DICOM file, and one that no other can refer to."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(picture.read_bytes())
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    write_dicom(tmp_path / "in" / "b.dcm", phantom(1, (96, 72))[0], **uids)
    write_dicom(tmp_path / "in" / "c.dcm", phantom(1, (96, 72))[0])
    return tmp_path / "in"


LEFT_OUT = "dicom-seg was not written: "


def test_what_cannot_be_made_of_a_file_is_left_out_for_it(command, run_folder, mixed, tmp_path):
    out = tmp_path / "out"
    call = ("predict", mixed, "-o", out, "--weights", run_folder, "--save", "dicom-seg")
    for _ in range(2):
        done = command(*call)
        assert done.status == 0, done.err
        for kind in DEFAULT_KINDS:
            assert sorted(path.stem for path in (out / kind).iterdir()) == ["a", "b", "c"]
        assert [path.stem for path in (out / "dicom-seg").iterdir()] == ["b"]
        with (out / "report.csv").open(newline="") as file:
            no_dicom, good, no_study = csv.DictReader(file)
        assert {row["status"] for row in (no_dicom, good, no_study)} <= {"ok", "flagged"}
        assert no_dicom["reason"].split("; ")[-1].startswith(LEFT_OUT)
        assert LEFT_OUT not in good["reason"]
        assert no_study["reason"].split("; ")[-1].startswith(f"{LEFT_OUT}the DICOM file has no StudyInstanceUID")
    # The reason is that of the kinds that are asked for.
    assert command(*call[:-2]).status == 0
    assert LEFT_OUT not in (out / "report.csv").read_text()
    assert [path.stem for path in (out / "dicom-seg").iterdir()] == ["b"]
    # Of what it was before, nothing stays.
    (mixed / "b.dcm").write_bytes((mixed / "c.dcm").read_bytes())
    assert command(*call).status == 0
    assert not list((out / "dicom-seg").iterdir())
    assert "c" in {path.stem for path in (out / "masks").iterdir()}


def test_what_nothing_can_be_made_of_fails_alone(command, run_folder, mixed, tmp_path):
    leave_out = [f"--no-{kind}" for kind in DEFAULT_KINDS]
    call = ("predict", mixed, "-o", tmp_path / "out", "--weights", run_folder, "--save", "dicom-seg", *leave_out)
    done = command(*call)
    assert done.status == 1
    no_dicom, no_study = done.failures
    assert "a.png" in no_dicom
    assert "c.dcm" in no_study
    assert "StudyInstanceUID" in no_study
    assert [path.stem for path in (tmp_path / "out" / "dicom-seg").iterdir()] == ["b"]
    with (tmp_path / "out" / "report.csv").open(newline="") as file:
        assert [row["status"] == "failed" for row in csv.DictReader(file)] == [True, False, True]


def test_dicom_seg_without_highdicom_is_told_before_the_work(command, run_folder, picture, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", run_folder, "--save", "dicom-seg")
    assert done.status == 2
    assert 'pip install "lungseg[dicom]"' in done.sentence
    assert not (tmp_path / "out").exists()


def test_folders_of_every_kind_are_known_as_results():
    assert set(RESULT_FOLDERS) == set(KINDS)


class OutputKind:
    """What holds for every kind of output; a subclass a kind."""

    kind: str
    # JPEG changes grey values.
    tolerance = 0.0

    @pytest.fixture
    def source(self, tmp_path) -> Path:
        """A radiograph higher than it is wide."""
        uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
        write_dicom(tmp_path / "a.dcm", phantom(1, (72, 96))[0], **uids)
        return tmp_path / "a.dcm"

    @pytest.fixture
    def prediction(self, source, tmp_path) -> SimpleNamespace:
        """Lungs that are not symmetrical in any way."""
        radiograph = read_radiograph(source)
        labels = np.zeros((96, 72), np.uint8)
        labels[10:60, 5:30], labels[20:80, 40:66] = 1, 2
        probabilities = np.stack([0.75 * (labels == 1) + 0.125, 0.5 * (labels == 2)]).astype(np.float32)
        heart = np.zeros(labels.shape, dtype=bool)
        heart[50:75, 25:50] = True
        (tmp_path / "model.pt").write_bytes(b"weights")
        return SimpleNamespace(
            labels=labels,
            label_map=lambda extent: labels,
            extent="full",
            heart=heart,
            shown_heart=None,
            lines=(((20.0, 60.0), (50.0, 60.0)),),
            mask=(labels > 0).astype(np.uint8) * 255,
            probabilities=probabilities,
            structures={"right lung": labels == 1, "left lung": labels == 2},
            crop=lambda margin: crop_to(lung_box(labels, margin), radiograph.pixels),
            radiograph=radiograph,
            weights=tmp_path / "model.pt",
        )

    @pytest.fixture
    def outputs(self, tmp_path) -> Outputs:
        return Outputs(tmp_path / "out", [self.kind])

    def write(self, outputs: Outputs, prediction: SimpleNamespace, source: Path) -> Path:
        contents, refused = outputs.encode(Path("sub/a"), prediction)
        assert not refused
        outputs.make_room(Path("sub/a"), contents)
        outputs.write(Path("sub/a"), contents)
        return outputs.folder / self.kind / "sub" / f"a{KINDS[self.kind][0]}"

    def read(self, file: Path) -> np.ndarray:
        """Return the (H, W) or (H, W, 3) pixels of a file."""
        return pixels(file)

    def expected(self, prediction: SimpleNamespace) -> np.ndarray:
        raise NotImplementedError

    def test_it_has_the_inputs_size_and_shows_the_lungs(self, outputs, prediction, source):
        found = self.read(self.write(outputs, prediction, source))
        expected = self.expected(prediction)
        assert found.shape[:2] == prediction.radiograph.pixels.shape == (96, 72)
        assert np.abs(found.astype(float) - expected).mean() <= self.tolerance

    def test_the_same_lungs_make_the_same_file(self, outputs, prediction, source):
        first = self.write(outputs, prediction, source).read_bytes()
        assert self.write(outputs, prediction, source).read_bytes() == first

    def test_the_file_is_the_only_one(self, outputs, prediction, source):
        file = self.write(outputs, prediction, source)
        assert [path for path in outputs.folder.rglob("*") if path.is_file()] == [file]
        assert outputs.targets(Path("sub/a")) == {self.kind: file}
        outputs.remove(Path("sub/a"), [self.kind])
        assert not file.exists()

    @pytest.mark.safety("half-written")
    def test_a_failure_while_writing_leaves_nothing(self, outputs, prediction, source, monkeypatch):
        write = Path.write_bytes

        def full(path: Path, data: bytes) -> None:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(LungsegError):
            self.write(outputs, prediction, source)
        assert not [path for path in outputs.folder.rglob("*") if path.is_file()]

    def test_a_failure_while_writing_it_removes_the_other_kinds(self, prediction, source, tmp_path, monkeypatch):
        others = [kind for kind in ("masks", "labels") if kind != self.kind]
        outputs, write = Outputs(tmp_path / "out", [*others, self.kind]), Path.write_bytes

        def interrupted(path: Path, data: bytes) -> None:
            if self.kind in path.parts:
                raise KeyboardInterrupt
            write(path, data)

        monkeypatch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            self.write(outputs, prediction, source)
        assert not [path for path in outputs.folder.rglob("*") if path.is_file()]

    def test_a_file_in_the_place_of_its_folder_stays(self, outputs, prediction, source):
        outputs.folder.mkdir()
        (outputs.folder / self.kind).write_text("mine")
        contents, _ = outputs.encode(Path("sub/a"), prediction)
        for call in (outputs.make_room, outputs.write):
            with pytest.raises(LungsegError):
                call(Path("a"), contents)
        assert [path.name for path in outputs.folder.rglob("*")] == [self.kind]


class TestMasks(OutputKind):
    kind = "masks"

    def expected(self, prediction):
        return prediction.mask


class TestLabels(OutputKind):
    kind = "labels"

    def expected(self, prediction):
        return prediction.labels


class TestOverlays(OutputKind):
    kind = "overlays"

    def read(self, file):
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))

    def expected(self, prediction):
        return draw_overlay(prediction.radiograph.pixels, prediction.labels, lines=prediction.lines)


class TestThumbnails(OutputKind):
    """A picture of this size is not reduced; nothing is drawn on it."""

    kind = "thumbnails"
    tolerance = 8.0

    def expected(self, prediction):
        return to_greys(prediction.radiograph.pixels)

    def test_it_carries_the_outlines(self, outputs, prediction, source):
        drawing = read_drawing(self.write(outputs, prediction, source))
        assert drawing["outlines"].keys() == {
            *("right lung", "left lung", "heart"),
            "width of the heart",
        }
        assert (drawing["width"], drawing["height"]) == (750, 1000)
        assert drawing["marks"].keys() == {"R", "L"}


class TestHeart(OutputKind):
    kind = "heart"

    def expected(self, prediction):
        return 255 * prediction.heart


class TestProbabilities(OutputKind):
    kind = "probabilities"

    def expected(self, prediction):
        return np.rint(prediction.probabilities.sum(axis=0) * 65535)


class TestNifti(OutputKind):
    kind = "nifti"

    def read(self, file):
        return np.asarray(nibabel.load(file).dataobj).T

    def expected(self, prediction):
        return prediction.labels


class TestDicomSeg(OutputKind):
    kind = "dicom-seg"

    @pytest.fixture(autouse=True)
    def _highdicom(self):
        pytest.importorskip("highdicom")

    def read(self, file):
        right, left = dcmread(file).pixel_array
        return right + 2 * left

    def expected(self, prediction):
        return prediction.labels

    def test_the_same_lungs_make_the_same_file(self, outputs, prediction, source):
        first, second = (dcmread(self.write(outputs, prediction, source)) for _ in range(2))
        # It states when it was made.
        assert first.SOPInstanceUID == second.SOPInstanceUID
        assert first.PixelData == second.PixelData


class TestCrop(OutputKind):
    kind = "crop"

    def test_it_has_the_inputs_size_and_shows_the_lungs(self, outputs, prediction, source):
        # The lungs lie in rows 10 to 79 and columns 5 to 65; a twentieth is three or four pixels.
        found = self.read(self.write(outputs, prediction, source))
        assert np.array_equal(found, prediction.radiograph.pixels[6:84, 2:69])


class OutlineKind(OutputKind):
    """A file of polygons, drawn again by the test."""

    def fill(self, shape: tuple[int, int], polygons: list) -> np.ndarray:
        filled = np.zeros(shape, dtype=bool)
        for polygon in polygons:
            x, y = np.reshape(polygon, (-1, 2)).T
            filled |= polygon2mask(shape, np.stack([y, x], axis=1) - 0.5)
        return filled

    def expected(self, prediction):
        return prediction.labels


class TestCoco(OutlineKind):
    kind = "coco"

    def read(self, file):
        content = json.loads(file.read_bytes())
        (image,) = content["images"]
        assert image["file_name"] == "sub/a.dcm"
        shape = image["height"], image["width"]
        return sum(
            annotation["category_id"] * self.fill(shape, annotation["segmentation"])
            for annotation in content["annotations"]
        )


class TestLabelme(OutlineKind):
    kind = "labelme"

    def read(self, file):
        content = json.loads(file.read_bytes())
        assert (file.parent / content["imagePath"]).resolve() == (file.parents[3] / "a.dcm").resolve()
        shape = content["imageHeight"], content["imageWidth"]
        labels = {"right lung": 1, "left lung": 2}
        return sum(labels[found["label"]] * self.fill(shape, [found["points"]]) for found in content["shapes"])


def test_every_kind_has_a_test_class():
    bases = (*OutputKind.__subclasses__(), *OutlineKind.__subclasses__())
    tested = {kind.kind for base in bases for kind in (base, *base.__subclasses__()) if hasattr(kind, "kind")}
    assert tested == set(KINDS)
