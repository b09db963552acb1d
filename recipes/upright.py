# SPDX-License-Identifier: Apache-2.0
"""`python -m recipes.upright`: train the network of `lungseg.transforms.orientation` on the training lists.

It sees radiographs turned, mirrored, inverted and otherwise changed at random, and images that are not chest
radiographs: those of `recipes.other_images` that may be used for fitting, radiographs cut up and shuffled, and their
parts without lungs. The reference masks only show it where no lung is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from lungseg.model.paths import bundle_root
from lungseg.model.weights import save_checkpoint
from lungseg.transforms.orientation import FRONTAL, INVERTED, MIRRORED, SIZE, TURNS, orientation_classifier
from lungseg.transforms.spatial import foreground_mask
from recipes.command import add_trial, data_folder, parser, run
from recipes.other_images import other_images

_LARGE = 2 * SIZE
_BATCH, _STEPS, _WRONG = 64, 3000, 0.35


def main(arguments: list[str] | None = None) -> None:
    """Train, print how often the validation lists are recognised, and write the weights."""
    options = parser("recipes.upright", "Train the network that recognises turned, inverted and wrong pictures.")
    add_trial(options)
    options.add_argument("--output", default=str(bundle_root() / "models" / "upright.pt"), help="the weight file")
    options = options.parse_args(arguments)
    from lungseg.data import datalist

    data = data_folder(options)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    train, validation = (_Bank(datalist(data, section)) for section in ("train", "validation"))
    network = orientation_classifier()
    steps = 20 if options.trial else _STEPS
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step in range(steps):
        network.train()
        images, truth = train.batch(_BATCH)
        loss = _loss(network(images), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 250 == 0:
            print(f"step {step + 1}, loss {loss.item():.4f}, validation {_recognised(network, validation)}", flush=True)
    if not options.trial:
        save_checkpoint(network.state_dict(), Path(options.output))


def _loss(logits: torch.Tensor, truth: dict[str, torch.Tensor]) -> torch.Tensor:
    chest = truth["frontal"] > 0
    binary = F.binary_cross_entropy_with_logits
    return (
        F.cross_entropy(logits[chest][:, TURNS], truth["turns"][chest])
        + binary(logits[chest][:, INVERTED], truth["inverted"][chest])
        + 0.5 * binary(logits[chest][:, MIRRORED], truth["mirrored"][chest])
        + binary(logits[:, FRONTAL], truth["frontal"])
    )


@torch.no_grad()
def _recognised(network: torch.nn.Module, bank: _Bank) -> dict[str, float]:
    """Shares of right answers over 16 random batches."""
    network.eval()
    right: dict[str, list[float]] = {}
    for _ in range(16):
        images, truth = bank.batch(_BATCH)
        logits, chest = network(images), truth["frontal"] > 0
        answers = {
            "turns": logits[chest][:, TURNS].argmax(1) == truth["turns"][chest],
            "inverted": (logits[chest][:, INVERTED] > 0) == (truth["inverted"][chest] > 0),
            "mirrored": (logits[chest][:, MIRRORED] > 0) == (truth["mirrored"][chest] > 0),
            "frontal": (logits[:, FRONTAL] > 0) == chest,
        }
        for name, answer in answers.items():
            right.setdefault(name, []).append(answer.float().mean().item())
    return {name: round(float(np.mean(shares)), 4) for name, shares in right.items()}


class _Bank:
    """Radiographs and wrong images at 128 x 128, and random batches of them.

    Args:
        cases: as `lungseg.data.datalist` returns them.
    """

    def __init__(self, cases: list[dict]) -> None:
        from lungseg.data import LungLabelReader, RadiographReader

        chests, lungs = [], []
        for case in cases:
            pixels = torch.from_numpy(RadiographReader().get_data(case["image"])[0])[None]
            label = torch.from_numpy(np.asarray(LungLabelReader().get_data(case["label"])[0]) > 0)[None]
            box = foreground_mask(pixels)[0].nonzero()
            (left, top), (right, bottom) = box.min(0).values, box.max(0).values + 1
            chests.append(_squeeze(pixels[:, left:right, top:bottom]))
            lungs.append(_squeeze(label[:, left:right, top:bottom].float()))
        self.chests, self.lungs = torch.stack(chests), torch.stack(lungs)
        self.wrong = torch.stack([_squeeze(torch.from_numpy(p.T.copy())[None]) for _, _, p in other_images(False)])

    def batch(self, size: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return (B, 1, 64, 64) thumbnails and their true classes, (B,) each."""
        wrong = int(size * _WRONG)
        images = torch.cat([self._chests(size - wrong), self._wrong(wrong)])
        frontal = torch.cat([torch.ones(size - wrong), torch.zeros(wrong)])
        mirrored = (torch.rand(size) < 0.3).float()
        images = torch.where(mirrored[:, None, None, None] > 0, images.flip(2), images)
        turns = torch.randint(0, 4, (size,)) * (torch.rand(size) < 0.6)
        # Counter-clockwise as seen, because the first axis is x.
        images = torch.stack([image.rot90(-int(turn), (1, 2)) for image, turn in zip(images, turns, strict=True)])
        images = _changed(images)
        inverted = (torch.rand(size) < 0.35).float()
        images = torch.where(inverted[:, None, None, None] > 0, 1 - images, images)
        return images, {"turns": turns.long(), "mirrored": mirrored, "inverted": inverted, "frontal": frontal}

    def _chests(self, count: int) -> torch.Tensor:
        chosen = torch.randint(len(self.chests), (count,))
        zoom = torch.exp(torch.empty(count, 2).uniform_(-0.35, 0.3))
        return _warped(self.chests[chosen], zoom, angle=0.4, shift=0.2)

    def _wrong(self, count: int) -> torch.Tensor:
        parts = count // 3
        chosen = torch.randint(len(self.wrong), (count - 2 * parts,))
        zoom = torch.exp(torch.empty(len(chosen), 2).uniform_(-1.0, 0.2))
        foreign = _warped(self.wrong[chosen], zoom, angle=3.1, shift=0.3)
        shuffled = self._chests(parts).unflatten(2, (2, SIZE // 2)).unflatten(4, (2, SIZE // 2))
        order = torch.tensor([(2, 3, 0, 1), (1, 0, 3, 2), (3, 2, 1, 0), (1, 2, 3, 0), (2, 0, 3, 1)])
        tiles = shuffled.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
        tiles = torch.stack([tile[order[torch.randint(5, ())]] for tile in tiles]).unflatten(1, (2, 2))
        shuffled = tiles.permute(0, 3, 1, 4, 2, 5).flatten(2, 3).flatten(3, 4)
        return torch.cat([foreign, shuffled, self._without_lungs(parts)])

    def _without_lungs(self, count: int) -> torch.Tensor:
        """Parts of radiographs with at most a tenth of lung: shoulder, arm, belly."""
        found: list[torch.Tensor] = []
        while sum(len(part) for part in found) < count:
            chosen = torch.randint(len(self.chests), (2 * count,))
            both = torch.cat([self.chests[chosen], self.lungs[chosen]], dim=1)
            parts = _warped(both, torch.empty(2 * count, 2).uniform_(0.2, 0.5), angle=0.4, shift=0.8)
            inside = parts[:, :1].mean((1, 2, 3)) > 0.05
            found.append(parts[inside & (parts[:, 1].mean((1, 2)) < 0.1)][:, :1])
        return torch.cat(found)[:count]


def _squeeze(image: torch.Tensor) -> torch.Tensor:
    """(1, W, H) of any units to (1, 128, 128) in [0, 1]."""
    small = F.adaptive_avg_pool2d(image[None].float(), _LARGE)[0]
    low, high = np.percentile(small.numpy(), (0.5, 99.5))
    return ((small - float(low)) / max(float(high - low), 1e-6)).clamp(0, 1)


def _warped(images: torch.Tensor, zoom: torch.Tensor, angle: float, shift: float) -> torch.Tensor:
    """Zoom (under 1: a part), turn (radians at most) and shift (1: half a picture) to (B, C, 64, 64)."""
    count = len(images)
    turn = torch.empty(count).uniform_(-angle, angle)
    cos, sin = turn.cos(), turn.sin()
    moved = torch.empty(count, 2).uniform_(-shift, shift)
    matrix = torch.stack(
        [
            torch.stack([cos * zoom[:, 0], -sin * zoom[:, 1], moved[:, 0]], 1),
            torch.stack([sin * zoom[:, 0], cos * zoom[:, 1], moved[:, 1]], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, (count, images.shape[1], SIZE, SIZE), align_corners=False)
    mode = "border" if torch.rand(()) < 0.3 else "zeros"
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=mode, align_corners=False)


def _changed(images: torch.Tensor) -> torch.Tensor:
    """Exposure, shadows, labels, blur and noise of other hospitals."""
    count = len(images)
    axis = torch.linspace(-1, 1, SIZE)
    for _ in range(2):
        centre, radius = torch.empty(2, count, 1, 1).uniform_(-1, 1), torch.empty(2, count, 1, 1).uniform_(0.1, 0.6)
        distance = (axis[None, :, None] - centre[0]) ** 2 / radius[0] ** 2
        distance = distance + (axis[None, None, :] - centre[1]) ** 2 / radius[1] ** 2
        weight = torch.sigmoid(4 * (1 - distance)) * (torch.rand(count, 1, 1) < 0.25) * torch.rand(count, 1, 1)
        images = images + weight[:, None] * (torch.rand(count, 1, 1, 1) - images)
    box = ((axis[None, :, None] - centre[0]).abs() < 0.1) & ((axis[None, None, :] - centre[1]).abs() < 0.06)
    box &= torch.rand(count, 1, 1) < 0.3
    images = torch.where(box[:, None], (torch.rand(count, 1, 1, 1) < 0.7).float(), images)
    images = images.clamp(0, 1) ** torch.exp(torch.empty(count, 1, 1, 1).uniform_(-0.9, 0.9))
    blurred = F.avg_pool2d(images, 5, 1, 2, count_include_pad=False)
    images = torch.where(torch.rand(count, 1, 1, 1) < 0.2, blurred, images)
    images = images + torch.randn_like(images) * 0.08 * torch.rand(count, 1, 1, 1) ** 2
    flat = images.flatten(1)
    low, high = (flat.quantile(q, dim=1)[:, None, None, None] for q in (0.01, 0.99))
    return ((images - low) / (high - low).clamp(1e-6)).clamp(0, 1)


if __name__ == "__main__":
    sys.exit(run(main))
