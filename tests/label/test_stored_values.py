# SPDX-License-Identifier: Apache-2.0
"""Values that clients send to be stored can be read again by every reader, or are refused."""

from __future__ import annotations

import json

import pytest
from errors_support import fails
from hypothesis import given
from hypothesis import strategies as st

from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.store.stored_values import check_info, check_storable, read_object

pytestmark = pytest.mark.safety("stored-values")


@pytest.mark.parametrize(
    "value",
    [
        "\ud800",
        float("nan"),
        float("-inf"),
        2**63,
        10**400,
        "x" * 5000,
        ["x" * 4000] * 20,
        {"\udfff": 1},
        {1: 2},
        object(),
        b"bytes",
        json.loads("[" * 9 + "]" * 9),
        json.loads("[" * 900 + "]" * 900),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_value_that_cannot_be_read_again_is_refused(value):
    for values in ({"key": value}, {"key": [{"inside": value}]}):
        with fails("value-not-storable"):
            check_storable(values, "params")


@pytest.mark.parametrize("text", ["[1]", "{", '"x"', "null", "NaN", "[" * 100_000, '{"a":' + "9" * 5000 + "}"])
def test_a_text_that_is_not_an_object_is_refused(text):
    with fails("not-json-object"):
        read_object(text, "params")


def test_plain_values_are_taken():
    given_by_slicer = {"label_info": [{"name": "right_lung", "idx": 1}], "client_id": "Größe", "none": None}
    assert read_object(json.dumps(given_by_slicer), "params") == given_by_slicer
    assert read_object("", "params") == read_object(None, "params") == {}


@pytest.mark.parametrize("offers", ["x", [], 1, None, {"random": "x"}, {"random": {"client_id": 5}}])
def test_the_strategies_part_of_an_info_has_its_form(offers):
    with fails("value-not-storable"):
        check_info({"strategy": offers})
    check_info({"strategy": {"random": {"client_id": None, "ts": 5}}})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=30,
)


@given(st.dictionaries(st.text(st.characters(codec=None)), _JSON, max_size=5))
def test_values_that_are_taken_can_be_written_and_read(values):
    try:
        check_storable(values, "params")
    except LungsegError:
        return
    text = json.dumps(values, allow_nan=False, ensure_ascii=False).encode()
    assert json.loads(text) == values
