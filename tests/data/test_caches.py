# SPDX-License-Identifier: Apache-2.0
"""Prepared cases are held in memory, on disk or nowhere, as they fit; the cases are the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import CacheDataset, DataLoader, MetaTensor, PersistentDataset
from monai.transforms import Compose, Lambdad, SelectItemsd

from lungseg.data import Caches, NamedCacheDataset, cached_on_disk, datalist
from lungseg.data.cached_on_disk import DiskCacheDataset
from lungseg.model.config import plain_errors
from lungseg.model.paths import config_file
from lungseg.utils.errors import LungsegError, UsageError

GIB = 2**30


def transform_of(part: str, size: int = 48, more: tuple = ()) -> Compose:
    parser = ConfigParser()
    parser.read_config(str(config_file("train")))
    parser["image_size"] = size
    transform = parser.get_parsed_content(f"{part}#preprocessing")
    return Compose([*transform.transforms, *more])


@pytest.fixture(scope="module")
def transforms():
    return {"training": transform_of("train"), "validation": transform_of("validate")}


@pytest.fixture
def own(dataset, tmp_path) -> Path:
    """A copy of the phantoms, to change."""
    return Path(shutil.copytree(dataset, tmp_path / "own data"))


@pytest.fixture
def make(own, tmp_path, transforms):
    """Return a Caches of the phantoms: `make(kind="disk", ...)`."""
    data = {name: datalist(own, section) for name, section in (("training", "train"), ("validation", "validation"))}

    def build(**settings) -> Caches:
        chosen = settings.pop("transforms", transforms)
        lists = {name: {"data": cases, "transform": chosen[name]} for name, cases in data.items()}
        return Caches(lists, tmp_path / "run", progress=False, **settings)

    return build


def files_of(caches: Caches) -> list[Path]:
    return sorted(caches.folder.glob("*.case"))


def same(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, MetaTensor):
        return type(other) is MetaTensor and same(one.meta, other.meta) and torch.equal(one, other)
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return bool(np.array_equal(one, other, equal_nan=True)) if isinstance(one, np.ndarray) else repr(one) == repr(other)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"memory": 1}, "memory"),
        ({"memory": 0.5}, "disk"),  # the reserve is as much
        ({"memory": 1, "workers": 1}, "disk"),
        ({"memory": 1, "batch": (8, 256)}, "disk"),
        ({"memory": 1, "kind": "disk"}, "disk"),
        ({"memory": 0.1, "kind": "memory"}, "memory"),
        ({"memory": 1, "kind": "none"}, "none"),
    ],
)
def test_cases_are_held_in_memory_if_they_fit_beside_the_training(make, settings, kind):
    caches = make(**settings)
    assert caches.kind == kind
    of_kind = {"memory": CacheDataset, "disk": PersistentDataset}
    for name, count in (("training", 9), ("validation", 1)):
        dataset = caches.dataset(name)
        assert len(dataset) == len(dataset.data) == count
        assert isinstance(dataset, of_kind.get(kind, torch.utils.data.Dataset))
    assert "9 training and 1 validation images" in caches.line
    assert {"memory": "in memory", "disk": str(caches.folder), "none": "none"}[kind] in caches.line


def test_the_processes_of_a_launcher_share_the_memory(make, monkeypatch):
    assert make(memory=0.9).kind == "memory"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert make(memory=0.9).kind == "disk"
    assert make(memory=1.8).kind == "memory"


def test_what_the_system_has_free_counts(make, monkeypatch):
    for free, kind in ((GIB, "memory"), (GIB // 2, "disk"), (None, "memory")):
        monkeypatch.setattr("lungseg.data.cache_choice.free_memory", lambda free=free: free)
        assert make().kind == kind


def test_a_full_disk_is_not_filled(make, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=cached_on_disk.DISK_RESERVE)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    caches = make(memory=0.5)
    assert caches.kind == "none"
    assert f"0 MiB free on the disk of {caches.folder}" in caches.line
    assert not caches.folder.exists()


def test_files_from_before_are_used_on_a_full_disk(make, monkeypatch):
    make(memory=0.5).dataset("validation")[0]
    usage = shutil.disk_usage("/")._replace(free=cached_on_disk.DISK_RESERVE)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    caches = make(memory=0.5)
    assert (caches.kind, len(files_of(caches))) == ("disk", 1)


@pytest.mark.parametrize("error", [None, OSError(28, "No space left on device")])
def test_a_disk_that_becomes_full_is_named_once_and_the_cases_still_come(make, monkeypatch, caplog, error):
    datasets = [make(memory=0.5).dataset(name) for name in ("training", "validation")]
    if error is None:
        usage = shutil.disk_usage("/")._replace(free=cached_on_disk.DISK_RESERVE)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    else:

        def refuse(path, content):
            raise error

        monkeypatch.setattr(Path, "write_bytes", refuse)
    for dataset in datasets:
        assert dataset[0]["image"].shape == (1, 48, 48)
        assert dataset[0]["label"].shape[0] == 3
    (record,) = (record for record in caplog.records if "Cache" in record.getMessage())
    assert str(datasets[0].cache_dir) in record.getMessage()
    monkeypatch.undo()
    caches = make(memory=0.5)
    assert not files_of(caches)
    caches.dataset("validation")[0]
    assert len(files_of(caches)) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_each_cache_gives_the_same_cases(make, workers):
    found = {}
    for kind in ("memory", "disk", "disk again", "none"):
        caches = make(kind=kind.split()[0])
        for name in ("training", "validation"):
            dataset = caches.dataset(name)
            # The loader's seeds are drawn from it.
            torch.manual_seed(7)
            found[kind, name] = list(DataLoader(dataset, batch_size=1, num_workers=workers, shuffle=False))
    assert len(files_of(make(kind="disk"))) == 10
    for kind in ("disk", "disk again", "none"):
        for name in ("training", "validation"):
            ours, plain = found[kind, name], found["memory", name]
            assert all(torch.equal(one["image"], other["image"]) for one, other in zip(ours, plain, strict=True))
            assert all(torch.equal(one["label"], other["label"]) for one, other in zip(ours, plain, strict=True))


def test_a_file_holds_the_case_with_its_metadata(make):
    dataset = make(kind="disk").dataset("validation")
    first, again = dataset[0], dataset[0]
    assert first is not again
    assert isinstance(again["image"], MetaTensor)
    assert same(first, again)
    assert same(first["image"].applied_operations[0], again["image"].applied_operations[0])


def test_the_sample_is_not_prepared_twice(make, monkeypatch):
    caches, prepared = make(memory=1), []
    sample = [caches._lists["training"].prepared[index] for index in (0, 2, 4, 6, 8)]
    monkeypatch.setattr(CacheDataset, "_load_cache_item", lambda self, index: prepared.append(index))
    dataset = caches.dataset("training")
    assert prepared == [1, 3, 5, 7]
    assert [id(dataset._cache[index]) for index in (0, 2, 4, 6, 8)] == [id(case) for case in sample]
    assert not caches._lists["training"].prepared


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-20], lambda data: data[:99] + data[103:]])
def test_a_damaged_file_is_written_anew(make, damage):
    caches = make(kind="disk")
    before = caches.dataset("validation")[0]
    (file,) = files_of(caches)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert same(caches.dataset("validation")[0], before)
    assert len(file.read_bytes()) == len(whole)
    assert same(cached_on_disk.unpack(file.read_bytes()), before)


def test_a_file_of_other_content_is_not_run(make, tmp_path):
    caches = make(kind="disk")
    caches.dataset("validation")[0]
    (file,) = files_of(caches)
    file.write_bytes(cached_on_disk.pack({"image": Path("a")}))
    assert caches.dataset("validation")[0]["image"].shape == (1, 48, 48)


def test_a_killed_write_leaves_nothing_that_is_used(make):
    caches = make(kind="disk")
    abandoned = caches.folder / f".{'0' * 32}.01234567.case"
    abandoned.write_bytes(b"half")
    caches.dataset("training")
    assert not abandoned.exists()


def test_a_changed_picture_or_mask_is_prepared_anew(make, own):
    dataset = make(kind="disk").dataset("training")
    case = dataset.data[0]
    for key, channel in (("image", "image"), ("label", "label")):
        before = dataset[0][channel]
        shutil.copyfile(dataset.data[1][key], case[key])
        os.utime(case[key], ns=(1, 1))
        assert dataset.missing() in (8, 9)
        assert not torch.equal(dataset[0][channel], before)


def test_changed_transforms_are_other_files(make):
    first = make(kind="disk")
    first.dataset("validation")[0]
    for more in ({"size": 64}, {"more": (Lambdad("image", lambda image: image + 1),)}):
        changed = {"training": transform_of("train"), "validation": transform_of("validate", **more)}
        dataset = make(kind="disk", transforms=changed).dataset("validation")
        assert dataset.missing() == 1
        dataset[0]
    assert len(files_of(first)) == 3
    assert make(kind="disk").dataset("validation").missing() == 0


def test_a_list_with_more_cases_finds_those_that_are_there(make):
    """Each fold of a cross-validation, and a data set that grows, has lists of another length."""
    dataset = make(kind="disk").dataset("validation")
    cases = [case | {"share": 0.01} for case in dataset.data]
    for more, changed in (((), {"share": 0.01}), ((SelectItemsd("image"),), {})):
        transform = Compose([*dataset.transform.transforms, *more])
        before = DiskCacheDataset(dataset.data, transform, dataset.folder)[0]
        found = DiskCacheDataset(cases, transform, dataset.folder)
        assert found.missing() == 0
        assert same(found[0], before | changed)


def test_another_process_finds_the_files(make, own, tmp_path):
    caches = make(kind="disk")
    dataset = caches.dataset("training")
    for index in range(len(dataset)):
        dataset[index]
    program = f"""if True:
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_caches import datalist, transform_of
        from lungseg.data.cached_on_disk import DiskCacheDataset
        data = datalist({str(own)!r}, "train")
        print(DiskCacheDataset(data, transform_of("train"), {str(caches.folder)!r}).missing())
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_objects_that_a_file_cannot_hold_are_prepared_each_time(make):
    more = (Lambdad("image", lambda image: [image, Path("a")], track_meta=False),)
    odd = {"training": transform_of("train"), "validation": transform_of("validate", more=more)}
    caches = make(kind="disk", transforms=odd)
    assert caches.kind == "none"
    assert caches.dataset("validation")[0]["image"][1] == Path("a")


def test_files_are_removed_with_the_run_or_kept_in_a_named_folder(make, tmp_path):
    for folder, kept in ((None, False), (tmp_path / "fast", True)):
        caches = make(kind="disk", folder=folder)
        caches.dataset("validation")[0]
        assert caches.folder.stat().st_mode & 0o077 == 0
        caches.remove()
        assert caches.folder.exists() == kept
    other = tmp_path / "run" / "cache" / "of-a-user.txt"
    other.parent.mkdir()
    other.write_text("x")
    make(kind="disk").remove()
    assert other.read_text() == "x"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"kind": "ram"}, "cache-unknown"),
        ({"memory": 0}, "cache-memory-invalid"),
        ({"memory": "8 GB"}, "cache-memory-invalid"),
        ({"memory": True}, "cache-memory-invalid"),
    ],
)
def test_settings_that_are_not_possible(make, settings, code):
    with pytest.raises(UsageError) as refused:
        make(**settings)
    assert refused.value.code == code


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_file_that_cannot_be_read_is_named(make, own, kind):
    for path in (own / "CXR_png").iterdir():
        path.write_bytes(b"")
    with pytest.raises(LungsegError, match=r"phantom_\d+\.png"), plain_errors():
        make(kind=kind).dataset("training")


def test_the_cases_in_memory_have_a_name(own, transforms, caplog):
    caplog.set_level("INFO")
    NamedCacheDataset(datalist(own, "validation"), transforms["validation"], "validation")
    assert "Loaded 1 validation images" in caplog.text
