# SPDX-License-Identifier: Apache-2.0
"""The recipes of the shipped weights: deltas on `train.json` that name the data they may use."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from data_support import REAL, needs_real_data

from lungseg.data import datalist
from lungseg.model import weights_file
from lungseg.model.config import read_config
from lungseg.model.paths import config_file, lists_file
from lungseg.training.provenance import training_cases
from lungseg.utils.errors import UsageError
from recipes.left_out import overrides

RECIPES = Path(__file__).parents[2] / "recipes"


def recipe(name: str) -> dict:
    return json.loads((RECIPES / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("name", ["model", "open", "start", "montgomery"])
def test_a_recipe_is_a_delta_on_the_training_config(name):
    config = read_config([config_file("train")], recipe(name))
    assert config["data_source"]["sources"]
    assert config["epochs"] % config["val_interval"] == 0


def test_the_start_has_the_sources_of_the_open_weights():
    assert recipe("start")["data_source#sources"] == recipe("open")["data_source#sources"]


@pytest.mark.parametrize("source", ["montgomery", "hearts", "adults", "children"])
def test_a_run_without_a_source_has_all_others_of_the_start(source):
    config = read_config([config_file("train")], overrides(source))
    every = [one["name"] for one in recipe("start")["data_source#sources"]]
    assert [one["name"] for one in config["data_source"]["sources"]] == [name for name in every if name != source]


def test_a_source_that_does_not_exist_cannot_be_left_out():
    with pytest.raises(UsageError, match="there is no source called 'wards'"):
        overrides("wards")


@needs_real_data
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("model", {"montgomery": 96, "shenzhen": 379, "hearts": 120, "adults": 152, "children": 472}),
        ("open", {"montgomery": 96, "hearts": 120, "adults": 64, "children": 472}),
        ("montgomery", {"montgomery": 96}),
    ],
)
def test_a_recipe_trains_on_the_lists(name, counts):
    cases = datalist(REAL, "train", sources=recipe(name)["data_source#sources"])
    assert Counter(case["set"] for case in cases) == counts


@needs_real_data
def test_open_weights_are_trained_and_chosen_on_free_data():
    with (REAL / "wards" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        licences = {row["name"]: row["image_license"] for row in csv.DictReader(file)}
    for section in ("train", "validation"):
        for case in datalist(REAL, section, sources=recipe("open")["data_source#sources"]):
            assert licences.get(case["name"], "") in ("", "CC BY 3.0", "CC BY 4.0")
            assert not case["name"].startswith("CHNCXR")


@needs_real_data
@pytest.mark.parametrize(("weights", "name"), [("shipped", "model"), ("open", "open")])
def test_the_cases_that_shipped_weights_saw_are_known(weights, name):
    assert lists_file(weights_file(weights)).is_file()
    sources = recipe(name)["data_source#sources"]
    seen = training_cases(weights_file(weights))
    assert seen == {case["name"] for case in datalist(REAL, "train", sources=sources)}
    for section in ("validation", "test"):
        assert not seen.intersection(case["name"] for case in datalist(REAL, section, sources=sources))


@pytest.mark.parametrize("name", ["model", "open", "start", "montgomery"])
def test_a_recipe_keeps_the_settings_of_its_weights(name):
    """Defaults may change; the settings that weights were trained with may not."""
    config = read_config([config_file("train")], recipe(name))
    assert config["learning_rate"] in (0.001, 0.002)
    average = {"momentum": 0.005, "momentum_warmup": 0.2, "warmup_iters": 300}
    assert config["ema"] | average == config["ema"]
