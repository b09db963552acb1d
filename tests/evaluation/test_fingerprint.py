# SPDX-License-Identifier: Apache-2.0
"""What computes the same has the same fingerprint, in every process; what does not, has another."""

from __future__ import annotations

import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet
from monai.transforms import Activationsd, AsDiscreted, Compose, RandFlipd

from lungseg.evaluation.fingerprint import fingerprint


def transforms(threshold=0.5):
    return Compose([Activationsd("pred", sigmoid=True), AsDiscreted("pred", threshold=threshold)])


def network(seed=0, width=4):
    torch.manual_seed(seed)
    return UNet(2, 1, 1, channels=(width, 8), strides=(2,))


def adder(number):
    return lambda value: value + number


class Holder:
    def __init__(self, held):
        self.held = held

    def call(self):
        return self.held


DIFFERENT = {
    "threshold": (transforms(), transforms(0.6)),
    "order": ([1, 2], [2, 1]),
    "kind": (1, 1.0),
    "overlap": (SlidingWindowInferer(8, overlap=0.25), SlidingWindowInferer(8, overlap=0.5)),
    "weights": (network(), network(1)),
    "structure": (network(), network(width=6)),
    "array": (np.zeros(3), np.zeros((3, 1))),
    "values": (np.zeros(3), np.ones(3)),
    "functions": (np.mean, np.median),
    "lambdas": (lambda value: value + 1, lambda value: value + 2),
    "closures": (adder(1), adder(2)),
    "partial": (functools.partial(np.mean, axis=0), functools.partial(np.mean, axis=1)),
    "methods": (Holder(1).call, Holder(2).call),
    "depth": ([[1], 2], [[1, 2]]),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_computes_something_else_differs(name):
    one, other = DIFFERENT[name]
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(one)


def test_what_computes_the_same_is_the_same():
    assert fingerprint(transforms()) == fingerprint(transforms())
    assert fingerprint(network()) == fingerprint(network())
    assert fingerprint(adder(1)) == fingerprint(adder(1))
    random = RandFlipd("image")
    before = fingerprint(random)
    random.set_random_state(7)
    assert fingerprint(random) == before
    assert fingerprint(torch.device("cpu")) == fingerprint(torch.device("cuda"))
    assert fingerprint({"a", "b", "c"}) == fingerprint({"c", "b", "a"})


def test_a_thing_that_holds_itself_has_an_end():
    loop = Holder(None)
    loop.held = [loop]
    assert fingerprint(loop) == fingerprint(loop)


def test_another_process_finds_the_same():
    code = """
from monai.transforms import Activationsd, AsDiscreted, Compose
from lungseg.evaluation.fingerprint import fingerprint
print(fingerprint(Compose([Activationsd("pred", sigmoid=True), AsDiscreted("pred", threshold=0.5)])))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [fingerprint(transforms())]
