# SPDX-License-Identifier: Apache-2.0
"""`python -m recipes.quality`: fit the estimate of quality on the corrupted validation and training lists.

The networks learned from the training lists, but fit them hardly better than the validation lists, and seven times as
many annotations would follow the annotators more. It is measured on validation cases that were left out. Shapes are
learned from the masks of the training lists. Corruptions and wrong images that are held out are not seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch.nn.functional import softplus

from lungseg.model.paths import bundle_root
from lungseg.model.weights import load_weights_into, save_checkpoint
from lungseg.quality.features import features, shape
from lungseg.quality.network import QualityNetwork, antisymmetric
from lungseg.utils.errors import LungsegError
from recipes.command import add_trial, data_folder, parser, run
from recipes.corruptions import HELD_OUT, KINDS
from recipes.other_images import other_images
from recipes.segmented import Segmenter, cases, dice

_COPIES, _STEPS, _FOLDS, _HANDED_AXES = 3, 600, 5, 32


def main(arguments: list[str] | None = None) -> None:
    """Fit, print how well the estimate does on cases left out of the fit, and write the weights."""
    options = parser("recipes.quality", "Fit the estimate of a segmentation's quality.")
    add_trial(options)
    options.add_argument("--weights", default="shipped", help="shipped (default), a file, or a run's folder")
    options.add_argument("--output", default=str(bundle_root() / "models" / "quality.pt"), help="the weight file")
    options = options.parse_args(arguments)
    from lungseg.data import datalist

    data = data_folder(options)
    if not options.trial:
        _make_place()
    train, validation = datalist(data, "train"), datalist(data, "validation")
    if options.trial:
        train, validation = train[:40], validation[:: len(validation) // 6]
    shapes = np.stack([outline for outline in map(_shape_of, train) if outline is not None])
    segment = Segmenter(options.weights)
    tables = _table(segment, validation, _COPIES, other_images(False)), _table(segment, train, 1)
    table = {name: np.concatenate([one[name] for one in tables]) for name in tables[0]}
    # Training cases are in every fit.
    fold = np.concatenate([tables[0]["case"] % _FOLDS, np.full(len(tables[1]["case"]), -1)])
    estimate = np.zeros(len(fold))
    for left_out in range(_FOLDS):
        network = _fit(shapes, table, fold != left_out)
        estimate[fold == left_out] = _estimate(network, table, fold == left_out)
    for name, rows in {"all": fold >= 0, "undamaged": (fold >= 0) & (table["kind"] == "none")}.items():
        rho = spearmanr(estimate[rows], table["dice"][rows]).statistic
        error = np.abs(estimate[rows] - table["dice"][rows]).mean()
        print(f"left out of the fit, {name}: {rows.sum()} pictures, Spearman {rho:.3f}, mean error {error:.4f}")
    if not options.trial:
        save_checkpoint(_fit(shapes, table, np.full(len(fold), True)).state_dict(), Path(options.output))


def _make_place() -> None:
    """Replace weights that no longer fit the features by random ones, because the bundle is loaded as a whole."""
    file = bundle_root() / "models" / "quality.pt"
    try:
        load_weights_into(QualityNetwork(), file)
    except LungsegError:
        save_checkpoint(QualityNetwork().state_dict(), file)


def _shape_of(case: dict) -> np.ndarray | None:
    """The shape of a case's reference, as that of a segmentation; None if its laterality is unknown."""
    from lungseg.data import LungLabelReader

    label = torch.from_numpy(np.asarray(LungLabelReader().get_data(case["label"])[0]))[::2, ::2]
    return None if (label == 3).any() else shape(torch.stack([label == value for value in range(3)]).float())


def _table(segment: Segmenter, listed: list[dict], copies: int, wrong: Iterable = ()) -> dict[str, np.ndarray]:
    """Features, shapes and true Dice of cases, uncorrupted and corrupted, and of wrong images, turned: a row each."""
    rows: dict[str, list] = {name: [] for name in ("case", "kind", "dice", "features", "shape")}

    def add(case: int, kind: str, pixels: np.ndarray, labels: np.ndarray) -> None:
        prediction, image, probabilities = segment(pixels)
        rows["case"].append(case)
        rows["kind"].append(kind)
        rows["dice"].append(dice(prediction.labels, labels))
        measured = features(image, probabilities, segment.predictor.second(image), image.meta)
        rows["features"].append(list(measured.values()))
        rows["shape"].append(shape(probabilities))

    kinds = [kind for kind in KINDS if kind not in HELD_OUT]
    numbers = {case["name"]: number for number, case in enumerate(listed)}
    for case, kind, pixels, labels, _ in cases(listed, kinds, copies):
        add(numbers[case["name"]], kind, pixels, labels)
    for number, (_, _, pixels) in enumerate(wrong):
        for turn in range(4):
            add(number, "wrong", np.rot90(pixels, turn), np.zeros(np.rot90(pixels, turn).shape, np.uint8))
    return {name: np.array(values) for name, values in rows.items()}


def _fit(shapes: np.ndarray, table: dict[str, np.ndarray], rows: np.ndarray) -> QualityNetwork:
    torch.manual_seed(0)
    network = QualityNetwork()
    known = torch.from_numpy(shapes)
    network.shape_mean[:] = known.mean(0)
    count = len(network.shape_axes)
    _, scale, axes = torch.linalg.svd(known - known.mean(0), full_matrices=False)
    network.shape_axes[:] = axes[:count]
    network.shape_deviation[:] = scale[:count] / len(known) ** 0.5
    network.handed[:] = _handed(known)
    # An empty segmentation needs no estimate: it is worth nothing.
    rows = rows & (table["shape"].sum(1) > 0)
    measured, outlines = (torch.from_numpy(table[name][rows]).float() for name in ("features", "shape"))
    truth = torch.from_numpy(table["dice"][rows]).float()
    seen = network.inputs(measured, outlines)
    network.feature_mean[:], network.feature_deviation[:] = seen.mean(0), seen.std(0).clamp(1e-6)
    # On the logit scale, the Dice of good segmentations has the same weight as that of bad ones.
    target = torch.logit(truth.clamp(0.02, 0.99))
    # Regularise the perceptron only, not the line.
    groups = [{"params": member.line.parameters(), "weight_decay": 0.0} for member in network.members]
    groups += [{"params": member.bend.parameters(), "weight_decay": 0.3} for member in network.members]
    optimizer = torch.optim.AdamW(groups, lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    draws = [torch.multinomial(torch.ones(len(truth)), len(truth), replacement=True) for _ in network.members]
    weights = [torch.bincount(draw, minlength=len(truth)).float() for draw in draws]
    for _ in range(_STEPS):
        errors = [(logits - target).abs() for logits in network.logits(seen)]
        loss = sum((weight * error).mean() for weight, error in zip(weights, errors, strict=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def _handed(shapes: torch.Tensor) -> torch.Tensor:
    """The direction in which shapes differ most surely from their mirror images, by logistic regression."""
    differences = antisymmetric(shapes)
    axes = torch.linalg.svd(differences, full_matrices=False)[2][:_HANDED_AXES]
    along = differences @ axes.T
    scale = along.std(0)
    slope = torch.zeros(len(axes), requires_grad=True)
    optimizer = torch.optim.LBFGS([slope], max_iter=200)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = softplus(-(along / scale) @ slope).mean() + 3e-3 * slope.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return (slope.detach() / scale) @ axes


@torch.no_grad()
def _estimate(network: QualityNetwork, table: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    measured, outlines = (torch.from_numpy(table[name][rows]).float() for name in ("features", "shape"))
    found = outlines.sum(1) > 0
    return torch.where(found, network(measured, outlines), 0.0).numpy()


if __name__ == "__main__":
    sys.exit(run(main))
