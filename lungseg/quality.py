# SPDX-License-Identifier: Apache-2.0
"""How far to trust a segmentation: an estimate of its Dice, and flags with reasons in words.

The estimate is a regression from what :mod:`lungseg.features` measures, a second network's opinion included, and from
how far the lungs' shape lies from those that annotators drew (a principal component analysis, as in Cootes' active
shape models, 1995), to the Dice that damaged radiographs of the training and validation lists reached.
`benchmarks/train_quality.py` fits it, `benchmarks/robustness.py` measures it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from os import PathLike

import torch
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor
from torch import nn

from lungseg.features import NAMES, SHAPE_SIZE, SHARES, SKEWED, contrasts, features, shape
from lungseg.model.weights import start_from
from lungseg.opinion import SecondOpinion

_AXES = 16
_MEMBERS, _HIDDEN, _DROPOUT = 5, 16, 0.3
# Logarithms are taken of no less: one pixel more or less is noise.
_LEAST = 2e-3


class _Member(nn.Module):
    """A straight line, and a small perceptron for what it leaves: a few hundred cases are too few for one alone."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.line = nn.Linear(count, 1)
        self.bend = nn.Sequential(nn.Linear(count, _HIDDEN), nn.Tanh(), nn.Dropout(_DROPOUT), nn.Linear(_HIDDEN, 1))
        nn.init.zeros_(self.bend[-1].weight)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return (self.line(seen) + self.bend(seen))[:, 0]


class QualityNetwork(nn.Module):
    """Five regressions whose mean is the estimate; what they need to know of lungs' shapes lies in buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shape_mean", torch.zeros(2 * SHAPE_SIZE**2))
        self.register_buffer("shape_axes", torch.zeros(_AXES, 2 * SHAPE_SIZE**2))
        self.register_buffer("shape_deviation", torch.ones(_AXES))
        self.register_buffer("handed", torch.zeros(2 * SHAPE_SIZE**2))
        self.register_buffer("feature_mean", torch.zeros(len(NAMES) + 2))
        self.register_buffer("feature_deviation", torch.ones(len(NAMES) + 2))
        self.members = nn.ModuleList(_Member(len(NAMES) + 2) for _ in range(_MEMBERS))

    def strangeness(self, shapes: torch.Tensor) -> torch.Tensor:
        """Return (B, 2): the mean squared deviation along the shapes' main axes (1 is usual), and what these leave.

        Args:
            shapes: (B, 2048) as :func:`lungseg.features.shape` returns them.
        """
        centred = shapes - self.shape_mean
        along = centred @ self.shape_axes.T
        rest = centred - along @ self.shape_axes
        return torch.stack([(along / self.shape_deviation).square().mean(1), rest.square().mean(1).sqrt()], 1)

    def handedness(self, shapes: torch.Tensor) -> torch.Tensor:
        """Return (B,) the logit that lungs are not mirrored: the heart takes more of the left one."""
        return antisymmetric(shapes) @ self.handed

    def forward(self, measured: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
        """Return the estimated Dice, (B,), of `measured` (B, features) and `shapes` (B, 2048)."""
        logits = self.logits(self.seen(measured, shapes))
        return torch.stack([torch.sigmoid(estimate) for estimate in logits]).mean(0)

    def seen(self, measured: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
        """Return what the estimate is made from, (B, features and strangeness), on scales without long tails."""
        told = dict(zip(NAMES, measured.unbind(1), strict=True))
        told |= {name: -(1 - told[name]).clamp(min=_LEAST).log() for name in SHARES}
        told |= {name: told[name].clamp(min=_LEAST).log() for name in SKEWED}
        return torch.cat([torch.stack(list(told.values()), 1), self.strangeness(shapes).clamp(min=_LEAST).log()], 1)

    def logits(self, seen: torch.Tensor) -> list[torch.Tensor]:
        """Return each member's estimate, (B,), before the sigmoid, of what :meth:`seen` returns."""
        # Beyond four deviations nothing was seen in fitting; a line drawn on would promise too much.
        seen = ((seen - self.feature_mean) / self.feature_deviation).clamp(-4, 4)
        return [member(seen) for member in self.members]


def antisymmetric(shapes: torch.Tensor) -> torch.Tensor:
    """Return half the difference of `shapes` (B, 2048) from what a mirror would make of them."""
    pictures = shapes.view(-1, 2, SHAPE_SIZE, SHAPE_SIZE)
    return (pictures - pictures.flip(1, 2)).flatten(1) / 2


class Judge:
    """Judges segmentations.

    Args:
        weights: state dict of :class:`QualityNetwork`.
        second: the second network.

    Raises:
        LungsegError: the weights cannot be used.
    """

    def __init__(self, weights: str | PathLike, second: SecondOpinion) -> None:
        self.network = start_from(QualityNetwork(), weights).eval()
        self.second = second

    @torch.no_grad()
    def __call__(self, image: torch.Tensor, probabilities: torch.Tensor) -> tuple[float, dict[str, str]]:
        """Judge a segmentation.

        Args:
            image: (1, w, h) as the network saw it, with the metadata of :class:`lungseg.transforms.orientation.SetUpright` and
                :class:`lungseg.data.RadiographReader`.
            probabilities: (3, w, h), channels background, right and left lung.

        Returns:
            The estimated Dice of the lungs' union, 0 to 1, and the flags: short name -> reason in words.
        """
        # Each step would copy the metadata with the pixels.
        pixels, probabilities = (convert_to_tensor(one, track_meta=False) for one in (image, probabilities))
        measured = features(pixels, probabilities, self.second(pixels), image.meta)
        outline = torch.from_numpy(shape(probabilities))[None]
        values = torch.tensor([list(measured.values())])
        quality = float(self.network(values, outline)) if measured["area"] else 0.0
        measured["strangeness"], measured["residual"] = self.network.strangeness(outline)[0].tolist()
        measured["handedness"] = float(self.network.handedness(outline))
        measured |= contrasts(pixels, probabilities)
        return round(quality, 4), flags(measured, image.meta, quality)


class JudgeQualityd(MapTransform):
    """Add `quality` and `flags`, as :class:`Judge` returns them, to the data.

    Args:
        keys: the probabilities (3, w, h), at the network's resolution.
        image_key: the image that they were made from.
        weights, second: see :class:`Judge`.
    """

    def __init__(self, keys: str, weights: str | PathLike, second: SecondOpinion, image_key: str = "image") -> None:
        super().__init__(keys)
        self.image_key, self.judge = image_key, Judge(weights, second)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, object]:
        out: dict[Hashable, object] = dict(data)
        for key in self.key_iterator(out):
            out["quality"], out["flags"] = self.judge(out[self.image_key], out[key])
        return out


def flags(measured: dict[str, float], meta: Mapping, quality: float) -> dict[str, str]:
    """Return what is doubtful: short name -> reason in words, the gravest first.

    Args:
        measured: as :func:`lungseg.features.features` and `contrasts` return it, with `strangeness`, `residual` and
            `handedness`.
        meta: `view`, `flipped`, `quarter_turns`, `inverted` and `mirrored` of the image.
        quality: the estimated Dice.
    """
    degrees = {"degrees": 90 * meta.get("quarter_turns", 0)}
    return {name: reason.format_map(degrees) for name, reason, applies in _RULES if applies(measured, meta, quality)}


def _mirrored(measured: Mapping, meta: Mapping) -> float:
    """Return a logit: what the whole picture says, and half of what the lungs' outline says."""
    seen = min(max(meta["mirrored"], 1e-4), 1 - 1e-4)
    return math.log(seen / (1 - seen)) - measured["handedness"] / 2


def _is_white(measured: Mapping) -> bool:
    low, high = sorted((measured["right_contrast"], measured["left_contrast"]))
    return low < 0.08 and low < 0.45 * high


_Rule = Callable[[Mapping, Mapping, float], bool]
# The limits lie where no undamaged radiograph of the training and validation lists comes near.
_RULES: tuple[tuple[str, str, _Rule], ...] = (
    (
        "not-chest",
        "this does not look like a frontal chest radiograph",
        lambda m, meta, q: m["frontal"] < 0 or (m["area"] > 0 and m["strangeness"] > 9),
    ),
    ("lateral", "the file says that this is a lateral view", lambda m, meta, q: meta.get("view") == "lateral"),
    ("oblique", "the file says that this is an oblique view", lambda m, meta, q: meta.get("view") == "oblique"),
    ("no-lung", "no lung was found", lambda m, meta, q: m["area"] == 0),
    (
        "one-lung",
        "one lung is missing or largely white",
        lambda m, meta, q: m["area"] > 0 and (not 0.22 < m["right_share"] < 0.78 or _is_white(m)),
    ),
    (
        "turned",
        "the picture is turned by {degrees} degrees counter-clockwise, and was set upright before segmenting",
        lambda m, meta, q: meta.get("quarter_turns", 0) != 0,
    ),
    (
        "rotated",
        "the patient or the picture is rotated",
        lambda m, meta, q: m["area"] > 0 and (m["tilt"] > 20 or m["upright"] < 0.9),
    ),
    (
        "inverted",
        "the grey values are inverted, and were set right before segmenting",
        lambda m, meta, q: meta.get("inverted", 0) != 0,
    ),
    (
        "mirrored",
        "the picture seems to be mirrored, or the heart lies on the right",
        lambda m, meta, q: m["area"] > 0 and _mirrored(m, meta) > 2,
    ),
    (
        "flipped",
        "the file says that the picture is mirrored: right and left may be exchanged",
        lambda m, meta, q: bool(meta.get("flipped")),
    ),
    ("cropped", "a lung is cut off by the picture's edge", lambda m, meta, q: m["edge"] > 0.45),
    (
        "shape",
        "the lungs have an unusual shape or size",
        lambda m, meta, q: m["area"] > 0 and (m["strangeness"] > 6.5 or m["islands"] > 0.2 or m["area"] < 0.05),
    ),
    (
        "contrast",
        "the lungs hardly differ from what surrounds them",
        lambda m, meta, q: m["area"] > 0 and m["contrast"] < 0.05,
    ),
    ("unsure", "the borders are unsure", lambda m, meta, q: m["area"] > 0 and m["agreement"] < 0.85),
    ("disputed", "a second network finds other lungs", lambda m, meta, q: m["area"] > 0 and m["second"] < 0.88),
    ("low-quality", "the estimated quality is low", lambda m, meta, q: q < 0.9),
)
