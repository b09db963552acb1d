# SPDX-License-Identifier: Apache-2.0
"""Compare what an exported file computes with what PyTorch computes."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lungseg.inference.whole_picture import WholePicture
from lungseg.io import read_radiograph
from lungseg.utils.errors import LungsegError

logger = logging.getLogger(__name__)

# Pictures (1, 1, H, W) float32 to the outputs by name.
Computes = Callable[[torch.Tensor], dict[str, torch.Tensor]]

# A probability in single precision differs by less than this, and by no more than this many times the rounding error
# of PyTorch itself: a processor or a setting may multiply single-precision numbers in less than single precision.
_ALLOWED, _TIMES = 0.01, 10
# Width and height of the phantoms that replace radiographs: square, wide, tall; one, two and three windows.
_PHANTOMS = ((512, 512), (900, 500), (400, 1000), (120, 96))
# A picture with more pixels along a side is thinned out, which shows the same differences in less time and memory.
_SIDE = 1024


@dataclass(frozen=True)
class Parity:
    """How far a file's probabilities are from those that PyTorch computes from the same pictures.

    Attributes:
        images: number of pictures.
        worst: largest difference of a probability in any picture, 0 to 1.
        picture: the name of that picture.
        mean: mean difference over all pictures.
        labels: share of the pixels that get another label, 0 to 1, in the picture in which it is largest.
        allowed: a larger `worst` is not rounding.
    """

    images: int
    worst: float
    picture: str
    mean: float
    labels: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether the file computes what PyTorch computes, apart from rounding."""
        return self.worst <= self.allowed

    def __str__(self) -> str:
        return (
            f"probabilities differ by at most {self.worst:.2g} ({self.allowed:.2g} is allowed), "
            f"the labels of at most {self.labels:.3%} of the pixels"
        )


def check_parity(
    files: dict[str, Computes], network: WholePicture, threshold: float, radiographs: Sequence[Path] = ()
) -> dict[str, Parity | Exception]:
    """Compare files with PyTorch, each by itself.

    PyTorch computes in double precision, so that the figures do not depend on its number of threads, and in single
    precision, the files', which shows how much rounding matters for this network on this machine.

    Args:
        files: how each file computes, by name.
        network: what they should compute, on the CPU.
        threshold: probability above which a pixel is lung.
        radiographs: files, of which those that cannot be read are left out with a warning; phantoms if there are none.

    Returns:
        For each file how it compares, or the error that it raised.

    Raises:
        LungsegError: no radiograph can be read.
    """
    exact = copy.deepcopy(network).double()
    rounding = 0.0
    differences: dict[str, list[tuple[float, str, float, float]]] = {name: [] for name in files}
    found: dict[str, Parity | Exception] = {}
    for picture, image in _pictures(radiographs):
        with torch.inference_mode():
            expected = exact(image.double())
            rounding = max(rounding, _difference(network(image), expected)[0])
        for name in differences.keys() - found.keys():
            try:
                given = files[name](image)
                worst, mean = _difference(given, expected)
                other = float((_labels(given, threshold) != _labels(expected, threshold)).mean())
            except Exception as error:  # a runtime raises any error for a graph that it does not support
                found[name] = error
            else:
                differences[name].append((worst, picture, mean, other))
    for name, values in differences.items():
        if name not in found:
            _, pictures, means, others = zip(*values, strict=True)
            worst, picture, *_ = max(values)
            allowed = max(_ALLOWED, _TIMES * rounding)
            found[name] = Parity(len(pictures), worst, picture, sum(means) / len(means), max(others), allowed)
    return found


def _difference(given: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> tuple[float, float]:
    """Return the largest and the mean difference of probabilities; infinite where a shape or a value is wrong."""
    shapes, right = ({name: tensor.shape for name, tensor in one.items()} for one in (given, expected))
    if shapes != right:
        return float("inf"), float("inf")
    apart = torch.cat([(given[name].double() - tensor).abs().flatten() for name, tensor in expected.items()])
    apart = apart.nan_to_num(float("inf"))
    return float(apart.max()), float(apart.mean())


def _labels(given: dict[str, torch.Tensor], threshold: float) -> NDArray[Any]:
    _, right, left = given["pred"][0].numpy()
    return np.where(right + left > threshold, np.where(left > right, 2, 1), 0)


def _pictures(radiographs: Sequence[Path]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the name and the grey values (1, 1, H, W) of each radiograph, or of phantoms if there are none."""
    from lungseg.data import phantom

    for number, size in enumerate(() if radiographs else _PHANTOMS):
        yield f"phantom {number} of {size[0]} x {size[1]} pixels", _as_input(phantom(number, size)[0])
    unreadable = []
    for path in radiographs:
        try:
            yield str(path), _as_input(read_radiograph(path).pixels)
        except LungsegError as error:
            unreadable.append(error)
            logger.warning("left out of the comparison: %s", error)
    if unreadable and len(unreadable) == len(radiographs):
        raise unreadable[0]


def _as_input(pixels: NDArray[Any]) -> torch.Tensor:
    step = -(-max(pixels.shape) // _SIDE)
    return torch.from_numpy(np.ascontiguousarray(pixels[::step, ::step], np.float32))[None, None]
