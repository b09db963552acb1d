# SPDX-License-Identifier: Apache-2.0
"""`python -m recipes.recognition`: train the network of `lungseg.quality.recognition` on the training lists.

Its sources are those of `recipes/model.json`, with `wards/other`, or, with `--open`, those of `recipes/open.json`,
which are free of non-commercial data. From the reference masks it only learns where lungs are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional as F

from lungseg.model.paths import bundle_root
from lungseg.model.weights import save_checkpoint
from lungseg.quality.recognition import FRONTAL, INVERTED, MIRRORED, TURNS, VIEWS, recognition_network
from recipes.command import add_trial, parser, run
from recipes.recognition_images import (
    Bank,
    Picture,
    frontal_pictures,
    plain,
    read_patients,
    wrong_images,
    wrong_views,
)

_BATCH, _STEPS, _FOLD_STEPS, _FOLDS = 64, 2500, 1000, 3


def main(arguments: list[str] | None = None) -> None:
    """Train, print how often the validation lists are recognised, and write the weights."""
    options = parser("recipes.recognition", "Train the network that recognises turned, inverted and wrong pictures.")
    add_trial(options)
    options.add_argument("--open", action="store_true", help="learn from freely licensed images alone")
    options.add_argument("--cross-validate", action="store_true", help="print results of left-out patients and sources")
    options.add_argument(
        "--output", help="the weight file (default: recognition.pt or recognition_open.pt in the bundle)"
    )
    options = options.parse_args(arguments)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    steps = 10 if options.trial else _STEPS
    train, validation = (_pictures(options.data, section, options.open) for section in ("train", "validation"))
    if options.cross_validate:
        _cross_validate([*train, *validation], 10 if options.trial else _FOLD_STEPS)
        return
    network = fit(train, steps)
    print(f"validation: {_recognised(network, validation)}")
    if not options.trial:
        name = "recognition_open.pt" if options.open else "recognition.pt"
        save_checkpoint(network.state_dict(), Path(options.output or bundle_root() / "models" / name))


def _pictures(data: str, section: str, is_open: bool) -> list[Picture]:
    """Return the pictures of one section; the images of packages belong to the training."""
    from lungseg.data import datalist

    config = Path(__file__).with_name("open.json" if is_open else "model.json")
    sources = json.loads(config.read_text(encoding="utf-8"))["data_source#sources"]
    wards = Path(data) / "wards"
    found = frontal_pictures(datalist(data, section, sources=sources), read_patients(wards))
    found += [] if is_open else wrong_views(wards, section)
    return found + (wrong_images(held_out=False) if section == "train" else [])


def fit(pictures: Sequence[Picture], steps: int) -> torch.nn.Module:
    """Train a network on random changes of the pictures."""
    bank, network = Bank(pictures), recognition_network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step in range(steps):
        images, truth = bank.batch(_BATCH)
        loss = _loss(network(images), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 250 == 0:
            print(f"step {step + 1}, loss {loss.item():.4f}", flush=True)
    return network.eval()


def _loss(logits: torch.Tensor, truth: dict[str, torch.Tensor]) -> torch.Tensor:
    chest = truth["view"] == FRONTAL
    binary = F.binary_cross_entropy_with_logits
    return (
        F.cross_entropy(logits[chest][:, TURNS], truth["turns"][chest])
        + binary(logits[chest][:, INVERTED], truth["inverted"][chest])
        + 0.5 * binary(logits[chest][:, MIRRORED], truth["mirrored"][chest])
        + F.cross_entropy(logits[:, VIEWS], truth["view"])
    )


def _recognised(network: torch.nn.Module, pictures: Sequence[Picture]) -> dict[str, str]:
    """Return how many pictures of each source, undamaged, are recognised: "right / all"."""
    return {
        f"{name} {source}": f"{int(right.sum())} / {len(right)}"
        for source in sorted({one.source for one in pictures})
        for name, right in _answers(network, [one for one in pictures if one.source == source]).items()
    }


@torch.no_grad()
def _answers(network: torch.nn.Module, pictures: Sequence[Picture]) -> dict[str, torch.Tensor]:
    """Return for each question which pictures, (B,) bool, are recognised."""
    views = torch.tensor([one.view for one in pictures])
    logits = network(plain(pictures, lambda pixels: pixels))
    found = {"view": (logits[:, VIEWS].softmax(1)[:, FRONTAL] > 0.5) == (views == FRONTAL)}
    if (views != FRONTAL).any():
        return found
    inverted = network(plain(pictures, lambda pixels: 1 - pixels))
    mirrored = network(plain(pictures, lambda pixels: pixels.flip(0)))
    found["plain"] = (logits[:, TURNS].argmax(1) == 0) & (logits[:, INVERTED] < 0)
    found["inverted"] = inverted[:, INVERTED] > 0
    found["mirrored"] = mirrored[:, MIRRORED] > 0
    for turns in (1, 2, 3):
        turned = network(plain(pictures, lambda pixels, turns=turns: pixels.rot90(-turns)))
        found[f"turned_{90 * turns}"] = turned[:, TURNS].argmax(1) == turns
    return found


def _cross_validate(pictures: Sequence[Picture], steps: int) -> None:
    """Print how pictures are recognised whose patients were left out, and those of frontal sources left out."""
    patients = sorted({one.patient for one in pictures})
    order = torch.randperm(len(patients), generator=torch.Generator().manual_seed(0)).tolist()
    fold = {patients[number]: place % _FOLDS for place, number in enumerate(order)}
    right: dict[str, list[bool]] = {}
    for left_out in range(_FOLDS):
        network = fit([one for one in pictures if fold[one.patient] != left_out], steps)
        for source in sorted({one.source for one in pictures}):
            rest = [one for one in pictures if one.source == source and fold[one.patient] == left_out]
            for name, answer in (_answers(network, rest) if rest else {}).items():
                right.setdefault(f"{name} {source}", []).extend(answer.tolist())
    for name, answers in right.items():
        print(f"patients left out, {name}: {sum(answers)} / {len(answers)}", flush=True)
    for source in sorted({one.source for one in pictures if one.view == FRONTAL}):
        network = fit([one for one in pictures if one.source != source], steps)
        print(f"source left out: {_recognised(network, [one for one in pictures if one.source == source])}", flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
