# SPDX-License-Identifier: Apache-2.0
"""Several sources in one training: their lists, what their references state, their shares."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungseg.data import case_sampler, datalist
from lungseg.data.labels import HEART, NOT_STATED
from lungseg.data.phantoms import write_phantoms
from lungseg.data.targets import read_targets
from lungseg.utils.errors import LungsegError, UsageError

PLAIN = {"name": "plain", "images": "plain/CXR_png", "masks": "plain/masks"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sources: eight phantoms with masks, and four with hearts, a table, and pixels that are not judged."""
    write_phantoms(tmp_path / "plain", count=8, seed=0)
    write_phantoms(tmp_path / "ward", count=4, seed=1)
    (tmp_path / "ward" / "hearts").mkdir()
    with (tmp_path / "ward" / "cases.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("name", "split", "view"))
        for number, image in enumerate(sorted((tmp_path / "ward" / "CXR_png").iterdir())):
            image = image.rename(image.with_name(f"ward_{image.name}"))
            mask = next(tmp_path.glob(f"ward/masks/{image.stem.removeprefix('ward_')}*"))
            values = np.asarray(Image.open(mask)).copy()
            values[:40] = 127
            Image.fromarray(values).save(mask.with_name(image.name))
            mask.unlink()
            heart = np.zeros_like(values)
            heart[100:120, 100:140] = 255
            Image.fromarray(heart).save(tmp_path / "ward" / "hearts" / image.name)
            table.writerow((image.stem, ("train", "train", "validation", "test")[number], "AP" if number else "PA"))
    return tmp_path


def ward(**more) -> dict:
    source = {"name": "ward", "images": "ward/CXR_png", "masks": "ward/masks", "table": "ward/cases.csv"}
    return source | {"extent": "full", "labels": "ignore=127"} | more


def listed(folder: Path, section: str, *sources: dict, **more) -> list[dict]:
    return datalist(folder, section, sources=sources, **more)


def test_each_source_has_its_lists_and_its_share(folder):
    sources = (PLAIN | {"share": 3}, ward())
    train = listed(folder, "train", *sources)
    assert Counter(case["set"] for case in train) == {"plain": 5, "ward": 2}
    assert sum(case["share"] for case in train if case["set"] == "plain") == pytest.approx(3)
    assert sum(case["share"] for case in train if case["set"] == "ward") == pytest.approx(1)
    assert len(listed(folder, "all", *sources)) == 12
    assert [case["set"] for case in listed(folder, "test", *sources)].count("ward") == 1


def test_a_table_chooses_cases(folder):
    assert [case["set"] for case in listed(folder, "train", ward(where={"view": ["AP"]}))] == ["ward"]
    (first, _) = listed(folder, "train", ward())
    assert first["name"] not in {case["name"] for case in listed(folder, "train", ward(where={"view": "AP"}))}
    assert len(listed(folder, "train", ward(exclude=[first["name"]]))) == 1
    assert len(listed(folder, "train", ward(), exclude=[first["name"]])) == 1


def test_targets_state_the_extent_the_heart_and_nothing_else(folder):
    plain = read_targets(listed(folder, "train", PLAIN)[0])
    assert set(np.unique(plain[0])) == {0, 1, 2}
    assert (plain[1:] == NOT_STATED).all()
    full = read_targets(listed(folder, "train", ward(hearts="ward/hearts"))[0])
    assert (full[0] == NOT_STATED).all()
    assert set(np.unique(full[1])) == {0, 1, 2, NOT_STATED}
    assert (full[1, :40] == NOT_STATED).all()
    assert set(np.unique(full[2])) == {0, HEART}
    assert (full[2] == HEART).sum() == 800


def test_the_sampler_gives_each_source_its_share(folder):
    cases = listed(folder, "train", PLAIN | {"share": 1}, ward(share=3))
    drawn = Counter(cases[index]["set"] for index in case_sampler(cases, 4000))
    assert drawn["ward"] / 4000 == pytest.approx(0.75, abs=0.05)
    assert sorted(case_sampler(cases)) == list(range(len(cases)))


@pytest.mark.parametrize(
    "source",
    [
        {"name": "x", "images": "plain/CXR_png"},
        PLAIN | {"label": "plain/masks"},
        PLAIN | {"extent": "hidden"},
        PLAIN | {"share": 0},
        PLAIN | {"name": "ward"},
    ],
)
def test_a_source_that_cannot_be_used_is_named(folder, source):
    with pytest.raises(UsageError) as error:
        listed(folder, "train", ward(), source)
    assert error.value.code == "bad-source"
    assert source["name"] in str(error.value)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"table": "ward/none.csv"}, "table-invalid"),
        ({"where": {"colour": "red"}}, "table-invalid"),
        ({"hearts": "plain/masks"}, "heart-missing"),
        ({"images": "nothing"}, "not-found"),
    ],
)
def test_missing_files_and_columns_are_named(folder, change, code):
    with pytest.raises(LungsegError) as error:
        listed(folder, "train", ward(**change))
    assert error.value.code == code


def test_names_are_unique_over_the_sources(folder):
    with pytest.raises(LungsegError) as error:
        listed(folder, "train", PLAIN, PLAIN | {"name": "again"})
    assert error.value.code == "name-in-several-sources"


def test_several_sources_train_one_network(command, folder, tmp_path):
    delta = {
        "data_source#sources": [PLAIN, ward(hearts="ward/hearts")],
        "network_def": {
            "_target_": "UNet",
            "spatial_dims": 2,
            "in_channels": 1,
            "out_channels": 4,
            "channels": [4, 8],
            "strides": [2],
            "norm": "BATCH",
        },
        "image_size": 64,
        "epochs": 1,
        "epoch_size": 8,
        "num_workers": 0,
        "validate#key_metric#val_mean_iou#output_transform#_target_": "lungseg.training.per_visible_lung",
    }
    (tmp_path / "delta.json").write_text(json.dumps(delta))
    given = ("--data", folder, "--config", tmp_path / "delta.json")
    trained = command("train", *given, "-o", tmp_path / "run")
    assert trained.status == 0, trained.err
    assert "plain 5" in trained.out
    assert "ward 2" in trained.out
    assert len(json.loads((tmp_path / "run" / "splits.json").read_text())["train"]) == 7
    evaluated = command("evaluate", *given, "-o", tmp_path / "figures", "--weights", tmp_path / "run")
    assert evaluated.status == 0, evaluated.err
    assert "all, visible lungs" in evaluated.out
    rows = list(csv.DictReader((tmp_path / "figures" / "cases.csv").open()))
    assert {(row["set"], row["extent"]) for row in rows} == {("plain", "visible"), ("ward", "full")}
    assert all((row["dice_heart"] != "") == (row["set"] == "ward") for row in rows)
    resumed = command("train", "--resume", "-o", tmp_path / "run")
    assert resumed.status == 0, resumed.err
