# SPDX-License-Identifier: Apache-2.0
"""How images come to the device that computes."""

from __future__ import annotations

import pytest
import torch

from lungseg.inference.devices import stack_on

IMAGES = [torch.full((1, 3, 2), float(number)) for number in range(4)]


class Locked(torch.Tensor):
    """Pretends to be page-locked memory: a copy to a GPU stays where it is."""

    def to(self, device, non_blocking=False):
        self.copied = (device.type, non_blocking)
        return self


def test_images_on_a_cpu_are_stacked():
    assert torch.equal(stack_on(torch.device("cpu"), IMAGES), torch.stack(IMAGES))


def test_images_for_a_gpu_are_stacked_in_locked_memory_and_copied_meanwhile(monkeypatch):
    asked = []

    def empty(shape, **settings):
        asked.append(settings)
        return torch.zeros(shape).as_subclass(Locked)

    monkeypatch.setattr(torch, "empty", empty)
    stacked = stack_on(torch.device("cuda", 0), IMAGES)
    assert asked == [{"dtype": torch.float32, "pin_memory": True}]
    assert stacked.copied == ("cuda", True)
    assert torch.equal(stacked.as_subclass(torch.Tensor), torch.stack(IMAGES))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")
def test_a_gpu_gets_the_values():
    assert torch.equal(stack_on(torch.device("cuda", 0), IMAGES).cpu(), torch.stack(IMAGES))
