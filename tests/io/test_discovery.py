# SPDX-License-Identifier: Apache-2.0
"""Files and folders become radiographs with names of their own."""

import os
from pathlib import Path

import numpy as np
import pytest
from errors_support import fails
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MediaStorageDirectoryStorage,
    SegmentationStorage,
    generate_uid,
)

from lungseg.data import phantom
from lungseg.inference.kinds import KINDS
from lungseg.io import find_radiographs, matching_files, write_png
from lungseg.utils.errors import UsageError


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def _stems(inputs, **options) -> list[str]:
    return [str(stem) for _, stem in find_radiographs(inputs, **options).radiographs]


def test_folders_keep_their_structure_and_order(tmp_path):
    _touch(tmp_path, "b/2.png", "b/1.JPG", "a/x y/3.dcm", "z.tif", "1.2.840.7", "Readme.md", ".hidden.png")
    _touch(tmp_path, "README", "a/notes.CSV", ".cache/4.png", "a/DICOMDIR", "x.tar.gz", "y.csv.gz")
    _touch(tmp_path, "a/events.out.tfevents.1.host.2.0")
    found = find_radiographs([tmp_path])
    assert [str(stem) for _, stem in found.radiographs] == ["1.2.840.7", "z", "a/x y/3", "b/1", "b/2"]
    assert [path.name for path, _ in found.radiographs] == ["1.2.840.7", "z.tif", "3.dcm", "1.JPG", "2.png"]
    skipped = {path.name for path in found.skipped}
    passed_over = {"Readme.md", ".hidden.png", "README", "notes.CSV", ".cache", "DICOMDIR", "y.csv.gz"}
    assert skipped == passed_over | {"events.out.tfevents.1.host.2.0"}
    assert [path.name for path in found.archives] == ["x.tar.gz"]


def _write_object(path: Path, kind: str) -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, generate_uid()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(path, dataset, enforce_file_format=True)


def test_what_lies_beside_radiographs_in_a_study_is_passed_over(tmp_path):
    kinds = (
        ("sr", BasicTextSRStorage),
        ("pr.dcm", GrayscaleSoftcopyPresentationStateStorage),
        ("ko", KeyObjectSelectionDocumentStorage),
        ("report.pdf.dcm", EncapsulatedPDFStorage),
        ("seg.dcm", SegmentationStorage),
        ("index", MediaStorageDirectoryStorage),
        ("labels.dcm", "1.2.840.10008.5.1.4.1.1.66.7"),
        ("ct.dcm", CTImageStorage),
    )
    for name, kind in (*kinds, ("cr", ComputedRadiographyImageStorage)):
        _write_object(tmp_path / name, kind)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    (tmp_path / "damaged.dcm").write_bytes((tmp_path / "sr").read_bytes()[:140])
    found = find_radiographs([tmp_path])
    assert [path.name for path, _ in found.radiographs if path.name != "pipe"] == ["cr", "damaged.dcm"]
    assert {path.name for path in found.companions} == {name for name, _ in kinds}
    assert found.companions[tmp_path / "ct.dcm"] == "CT"
    assert _stems([tmp_path / "sr"]) == ["sr"]


def test_labels_of_an_annotation_are_passed_over(tmp_path):
    """MONAI Label keeps them in a folder beside the list of its studies, in any format and with its earlier labels."""
    write_png(tmp_path / "a.png", phantom(1, (96, 80))[0])
    write_png(tmp_path / "labels/kept.png", phantom(2, (96, 80))[0])
    for tag in ("final", "original"):
        write_png(tmp_path / "labels" / tag / "a.png", phantom(1, (96, 80))[1])
    _touch(tmp_path, "labels/final/b.nii.gz")
    # Without the list, the content decides: a folder of radiographs may be called labels.
    assert _stems([tmp_path]) == ["a", "labels/kept", "labels/final/b"]
    assert _stems([tmp_path / "labels"]) == ["kept", "final/b"]
    (tmp_path / "datastore_v2.json").write_text("{}")
    found = find_radiographs([tmp_path])
    assert [str(stem) for _, stem in found.radiographs] == ["a"]
    assert len(found.masks) == 4


def test_masks_beside_images_are_passed_over(tmp_path):
    image, labels = phantom(1, (96, 80))
    white = (labels > 0) * np.uint8(255)
    for name in ("images/a.png", "one/b.png", "labels/c.png"):
        write_png(tmp_path / name, image)
    for name in ("masks/a.png", "one/b_mask.png", "one/mask_b.png"):
        write_png(tmp_path / name, white)
    write_png(tmp_path / "maps" / "z.png", labels)
    write_png(tmp_path / "alone.png", white)
    write_png(tmp_path / "black.png", 0 * image)
    found = find_radiographs([tmp_path])
    stems = ["alone", "black", "images/a", "labels/c", "one/b"]
    assert [str(stem) for _, stem in found.radiographs] == stems
    names = [path.relative_to(tmp_path).as_posix() for path in found.masks]
    assert names == ["maps/z.png", "masks/a.png", "one/b_mask.png", "one/mask_b.png"]
    assert _stems([tmp_path / "maps" / "z.png"]) == ["z"]
    with fails("no-pictures", UsageError) as caught:
        find_radiographs([tmp_path / "maps"])
    assert "label maps" in str(caught.value)


def test_named_files_are_always_taken(tmp_path):
    _touch(tmp_path, "notes.txt", ".hidden.png")
    names = [tmp_path / "notes.txt", str(tmp_path / ".hidden.png"), tmp_path / "missing.png"]
    assert _stems(names) == ["notes.txt", ".hidden", "missing"]


@pytest.mark.safety("replaced-result")
def test_names_that_clash_are_told_apart(tmp_path):
    _touch(tmp_path, "one/a.png", "one/a.dcm", "one/A.PNG", "one/a_dcm.png", "one/b.png", "two/b.png", "two/a")
    inputs = [tmp_path / "one", tmp_path / "two"]
    stems = _stems(inputs)
    assert stems == ["one/A_png", "one/a_dcm_2", "one/a_png_2", "one/a_dcm", "one/b", "two/a", "two/b"]
    assert len({stem.casefold() for stem in stems}) == len(stems)
    assert _stems(inputs) == stems


def test_named_files_that_clash_are_told_apart_by_their_folders(tmp_path, monkeypatch):
    _touch(tmp_path, "p1/IM0001", "p2/IM0001", "p2/im0001.png", "q/p1/IM0001", "p1/b.png", "p3/c.png", "p3/c.dcm")
    names = ["p1/IM0001", "p2/im0001.png", "p1/b.png"]
    for order in (names, names[::-1]):
        stems = dict(zip(order, _stems([tmp_path / name for name in order]), strict=True))
        assert stems == {"p1/IM0001": "p1/IM0001", "p2/im0001.png": "p2/im0001", "p1/b.png": "b"}
    assert _stems([tmp_path / "p1" / "IM0001", tmp_path / "q" / "p1" / "IM0001"]) == ["p1/IM0001", "p1/IM0001_2"]
    # Their folder does not tell these apart.
    assert _stems([tmp_path / "p3" / name for name in ("c.png", "c.dcm")]) == ["c_png", "c_dcm"]
    # As the folder above them would have it.
    files = [path for path, _ in find_radiographs([tmp_path / "p2", tmp_path / "p3"]).radiographs]
    monkeypatch.chdir(tmp_path / "p2")
    assert _stems(["IM0001", "../p1/IM0001", *files]) == ["p2/IM0001", "p1/IM0001", "p2/im0001_png", "c_dcm", "c_png"]
    assert _stems([tmp_path / "p1", "IM0001"]) == ["IM0001", "b", "p2/IM0001"]


def test_folders_that_hold_the_same_names_keep_their_own(tmp_path):
    _touch(tmp_path, "p1/IM0001", "p1/IM0002", "p2/IM0001", "p3/other")
    folders = [tmp_path / name for name in ("p1", "p2", "p3")]
    assert _stems(folders) == ["p1/IM0001", "p1/IM0002", "p2/IM0001", "other"]
    assert _stems(folders[::-1]) == ["other", "p2/IM0001", "p1/IM0001", "p1/IM0002"]


def test_a_pattern_reaches_into_sub_folders_and_keeps_results_apart(tmp_path):
    _touch(tmp_path, "a.png", "b/c/a.png", "b/d.nii.gz", "x.png", "x.dcm")
    assert matching_files(tmp_path, "**/a.png") == [str(tmp_path / "a.png"), str(tmp_path / "b/c/a.png")]
    with fails("name-clash", UsageError):
        matching_files(tmp_path, "x*")


def test_results_lose_all_endings_of_a_packed_file(tmp_path):
    _touch(tmp_path, "a.dcm.gz", "b.NII.GZ", "c.png.gz", "d.webp", "e.j2k", "f.gz", "g.JP2", "h.bmp", "a.dcm")
    assert _stems([tmp_path]) == ["a_dcm", "a_dcmgz", "b", "c", "d", "e", "f.gz", "g", "h"]
    assert [Path(file).name for file in matching_files(tmp_path, "*.dcm.gz")] == ["a.dcm.gz"]
    with fails("name-clash", UsageError):
        matching_files(tmp_path, "a.*")


def test_archives_are_named_apart_by_name_or_content(tmp_path):
    _touch(tmp_path, "a.png", "one.ZIP", "two.tar.xz", ".hidden.zip", "report.docx", "~$report.docx", "autorun.inf")
    (tmp_path / "study").write_bytes(b"PK\x03\x04" + bytes(99))
    (tmp_path / "weights.pth").write_bytes(b"PK\x03\x04" + bytes(99))
    found = find_radiographs([tmp_path])
    assert [path.name for path, _ in found.radiographs] == ["a.png"]
    assert {path.name for path in found.archives} == {"one.ZIP", "two.tar.xz", "study"}
    (tmp_path / "a.png").unlink()
    with fails("no-pictures", UsageError) as caught:
        find_radiographs([tmp_path])
    assert "unpack the archives" in caught.value.remedy


def test_a_file_named_twice_is_taken_once(tmp_path):
    _touch(tmp_path, "a.png")
    assert _stems([tmp_path, tmp_path / "a.png", tmp_path / "." / "a.png"]) == ["a"]


@pytest.mark.safety("not-a-file")
def test_links_do_not_lead_round_in_a_circle(tmp_path):
    _touch(tmp_path, "a.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = find_radiographs([tmp_path])
    assert len(found.radiographs) == 1
    assert found.skipped == [tmp_path / "loop"]
    assert _stems([tmp_path / "loop"]) == ["a"]


def test_results_of_an_earlier_run_are_left_out(tmp_path):
    _touch(tmp_path, "a.png", "out/masks/a.png")
    assert _stems([tmp_path], exclude=tmp_path / "out") == ["a"]


def test_results_are_left_out_by_whatever_way_they_are_named(tmp_path):
    _touch(tmp_path, "real/data/a.png", "real/data/out/masks/a.png")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for root, out in (("link", "real"), ("real", "link")):
        assert _stems([tmp_path / root / "data"], exclude=tmp_path / out / "data" / "out") == ["a"]


@pytest.mark.parametrize("record", ["records.jsonl", "done.jsonl"])
def test_results_of_other_runs_are_passed_over_unless_they_are_named(tmp_path, record):
    _touch(tmp_path, "a.png", "b/old/masks/c.png", f"b/old/{record}", "b/d.png", "b/e.jsonl")
    found = find_radiographs([tmp_path])
    assert [str(stem) for _, stem in found.radiographs] == ["a", "b/d"]
    assert found.skipped == [tmp_path / "b" / "e.jsonl", tmp_path / "b" / "old"]
    assert _stems([tmp_path / "b" / "old" / "masks"]) == ["c"]


def test_of_results_that_are_given_themselves_each_kind_is_passed_over(tmp_path):
    _touch(tmp_path, "records.jsonl", "a.png", "sub/masks/b.png", *(f"{kind}/a.png" for kind in KINDS))
    found = find_radiographs([tmp_path])
    assert [str(stem) for _, stem in found.radiographs] == ["a", "sub/masks/b"]
    assert {path.name for path in found.skipped} == {"records.jsonl", *KINDS}
    (tmp_path / "a.png").unlink()
    (tmp_path / "sub" / "masks" / "b.png").unlink()
    with fails("no-pictures", UsageError):
        find_radiographs([tmp_path])


def test_trainings_and_evaluations_are_passed_over(tmp_path):
    _touch(tmp_path, "a.png", "run/run.json", "run/history.json", "run/curves.png")
    _touch(tmp_path, "tested/summary.json", "tested/cases.csv", "tested/pictures/a.png", "mine/run.json", "mine/b.png")
    _touch(tmp_path, "stopped/cases.jsonl", "stopped/cases.lock", "stopped/pictures/a.jpg")
    found = find_radiographs([tmp_path])
    assert [str(stem) for _, stem in found.radiographs] == ["a", "mine/b"]
    assert found.skipped == [
        tmp_path / "mine" / "run.json",
        *(tmp_path / name for name in ("run", "stopped", "tested")),
    ]


def test_nothing_to_do_is_wrong_use(tmp_path):
    _touch(tmp_path, "notes.txt")
    with fails("no-pictures", UsageError):
        find_radiographs([tmp_path])
    with fails("no-input", UsageError):
        find_radiographs([])
