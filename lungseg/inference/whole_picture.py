# SPDX-License-Identifier: Apache-2.0
"""The network with all that `inference.json` does around it in arithmetic: grey pictures in, probabilities out."""

# Annotations are types here, not texts: TorchScript reads them.
from typing import cast

import torch
from monai.data.utils import compute_importance_map
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from lungseg.transforms import ResizeShorterSide, ScaleIntensityRangePercentilesFastd


class WholePicture(nn.Module):
    """Segment pictures of any size, in the order of pictures: rows from the top, columns from the left.

    It shrinks a picture as :class:`lungseg.transforms.ResizeShorterSide` does, scales its grey values, joins the
    windows of MONAI's sliding window, and enlarges the probabilities to the picture's size. PyTorch's exporter for ONNX
    follows each line with unknown sizes, and TorchScript compiles it. Sums over pixels are products with matrices of
    zeros and weights, because neither format knows PyTorch's area mode for sizes that are not known before.

    What no tensor program can do is left out: cropping borders and frames, turning a picture upright, removing islands
    and filling holes.

    Args:
        network: windows (N, 1, s, s) to logits (N, 3, s, s), or (N, 4, s, s) with the heart, in MONAI's axis order.
        resize, scale, inferer: those of `inference.json`.
        heart: whether the network knows the heart.
    """

    importance: Tensor

    def __init__(
        self,
        network: nn.Module,
        resize: ResizeShorterSide,
        scale: ScaleIntensityRangePercentilesFastd,
        inferer: SlidingWindowInferer,
        heart: bool,
    ) -> None:
        super().__init__()
        self.network = network
        self.heart = heart
        self.size = resize.shorter_side
        self.tenths = round(10 * resize.squeeze)
        self.step = int(self.size * (1 - cast(float, inferer.overlap)))
        self.percentiles = scale.percentiles
        square, sigma = (self.size, self.size), cast(float, inferer.sigma_scale)
        weights = compute_importance_map(square, mode=inferer.mode, sigma_scale=sigma)
        self.register_buffer("importance", weights)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Segment a batch of pictures.

        Args:
            image: (B, 1, H, W) grey values of any range, in which bright is dense.

        Returns:
            Probabilities, float32 from 0 to 1: "pred" (B, 3, H, W) of background, right and left lung, which add up to
            one. If the network knows the heart, these lungs are the visible ones; "full" (B, 3, H, W) has the lungs to
            their full extent, and "heart" (B, 1, H, W) the heart.
        """
        picture = image.to(self.importance.dtype).mT
        width, height = picture.shape[2], picture.shape[3]
        small_width, small_height = self._length(width, height), self._length(height, width)
        across = self._areas(width, small_width, picture)
        down = self._areas(height, small_height, picture)
        logits = self._slide(self._scaled(across @ picture @ down.mT))
        probabilities = logits[:, :3].softmax(1)
        if self.heart:
            probabilities = torch.cat([probabilities, logits[:, 3:].sigmoid()], 1)
        probabilities = nn.functional.interpolate(
            probabilities, size=(width, height), mode="bilinear", align_corners=False
        ).mT
        full = probabilities[:, :3]
        if not self.heart:
            return {"pred": full}
        heart = probabilities[:, 3:]
        lungs = full[:, 1:] * (1 - heart)
        visible = torch.cat([1 - lungs.sum(1, keepdim=True), lungs], 1)
        return {"pred": visible, "full": full, "heart": heart}

    def _length(self, side: int, other: int) -> int:
        """Return the length of a side of the shrunk picture."""
        # Whole numbers, because the exporter follows them exactly.
        squeezed = (20 * self.size * side + self.tenths * other) // (2 * self.tenths * other)
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return int(max(squeezed, self.size))
        length: int = torch.sym_max(squeezed, self.size)  # type: ignore[no-untyped-call]
        return length

    def _areas(self, length: int, small: int, like: Tensor) -> Tensor:
        """Return the matrix (small, length) whose product with a line is its mean over equal areas."""
        pixel = torch.arange(length, device=like.device)
        area = torch.arange(small, device=like.device)[:, None]
        begin, end = area * length // small, ((area + 1) * length + small - 1) // small
        return ((pixel >= begin) & (pixel < end)).to(like.dtype) / (end - begin)

    def _scaled(self, picture: Tensor) -> Tensor:
        """Scale the grey values between both percentiles to [0, 1] and clip."""
        ordered = picture.flatten(1).sort(dim=1).values
        low, high = self._percentile(ordered, self.percentiles[0]), self._percentile(ordered, self.percentiles[1])
        return ((picture - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)

    def _percentile(self, ordered: Tensor, percent: float) -> Tensor:
        """Return a percentile of each line of `ordered` (B, N), linear between neighbours: (B, 1, 1, 1)."""
        place = torch.tensor([ordered.shape[1] - 1], dtype=torch.float64, device=ordered.device) * (percent / 100)
        before = place.floor()
        low = ordered.index_select(1, before.long())
        high = ordered.index_select(1, place.ceil().long())
        return (low + (high - low) * (place - before).to(low.dtype))[:, :, None, None]

    def _slide(self, picture: Tensor) -> Tensor:
        """Return the logits (B, C, w, h) of a picture (B, 1, w, h), as a sliding window with weights joins them."""
        batch, size = picture.shape[0], self.size
        columns, rows = self._windows(picture.shape[2], picture), self._windows(picture.shape[3], picture)
        grid = (columns.shape[0], rows.shape[0])
        windows = picture[:, :, columns][:, :, :, :, rows].permute(0, 2, 4, 1, 3, 5).reshape(-1, 1, size, size)
        weighted = self.network(windows) * self.importance
        weights = self.importance.expand(grid[0] * grid[1], 1, size, size)
        into_columns = self._places(columns, picture.shape[2], picture)
        into_rows = self._places(rows, picture.shape[3], picture)
        joined = into_columns @ self._tiled(weighted, batch, grid) @ into_rows.mT
        return joined / (into_columns @ self._tiled(weights, 1, grid) @ into_rows.mT)

    def _windows(self, length: int, like: Tensor) -> Tensor:
        """Return the pixels of each window along a side: (n, s)."""
        count = (length - self.size + self.step - 1) // self.step + 1
        starts = (torch.arange(count, device=like.device) * self.step).clamp(max=length - self.size)
        return starts[:, None] + torch.arange(self.size, device=like.device)

    def _places(self, windows: Tensor, length: int, like: Tensor) -> Tensor:
        """Return the matrix (length, n * s) that adds the pixels of windows (n, s) up where they lie."""
        place = torch.arange(length, device=like.device)[:, None]
        return (place == windows.reshape(-1)).to(like.dtype)

    def _tiled(self, windows: Tensor, batch: int, grid: tuple[int, int]) -> Tensor:
        """Return windows (B * n * m, C, s, s) side by side: (B, C, n * s, m * s)."""
        channels, size = windows.shape[1], self.size
        apart = windows.reshape(batch, grid[0], grid[1], channels, size, size)
        return apart.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, grid[0] * size, grid[1] * size)
