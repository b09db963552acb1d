# SPDX-License-Identifier: Apache-2.0
"""Networks by the names that people type, as values of the config's item `network_def`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lungseg.utils.errors import UsageError

# The bundle's own network is `unet`; the others have a similar number of weights.
NETWORKS = ("unet", "attention-unet", "segresnet", "dynunet")
# The number of outputs is that of the initial weights, or without them 3: the heart is learnt from own sources only.
_OUTPUTS = "$lungseg_model.output_channels(@init)"
_PICTURES = {"spatial_dims": 2, "in_channels": 1, "out_channels": _OUTPUTS}
_KERNELS = 3


def network_definition(choice: str) -> dict[str, Any]:
    """Return the `network_def` of a network that takes radiographs.

    Args:
        choice: one of `NETWORKS`, the name of a network of MONAI, or the path of a class, such as `mypackage.MyNet`.
            The class is called with `spatial_dims`, `in_channels` and `out_channels`, as far as it takes them; it
            returns logits of background, right and left lung.

    Raises:
        UsageError: there is no such network (unknown-network), or its module cannot be imported.
    """
    name = choice.lower().replace("-", "").replace("_", "")
    if name == "unet":
        from lungseg.model.config import read_json
        from lungseg.model.paths import config_file

        own: dict[str, Any] = read_json(config_file("train"))["network_def"]
        return own
    if name == "attentionunet":
        levels: dict[str, Any] = {"channels": [16, 32, 64, 128, 160], "strides": [2, 2, 2, 2], "dropout": 0.0}
        return {"_target_": "AttentionUnet", **_PICTURES, **levels}
    if name == "segresnet":
        blocks: dict[str, Any] = {"init_filters": 16, "blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1]}
        return {"_target_": "SegResNet", **_PICTURES, **blocks, "norm": "BATCH"}
    if name == "dynunet":
        filters, strides = [16, 32, 64, 128, 160, 160], [1, 2, 2, 2, 2, 2]
        layers: dict[str, Any] = {"kernel_size": [_KERNELS] * len(strides), "strides": strides}
        layers |= {"upsample_kernel_size": strides[1:], "filters": filters, "norm_name": "BATCH", "res_block": True}
        return {"_target_": "DynUNet", **_PICTURES, **layers}
    return _of_class(choice)


def _of_class(path: str) -> dict[str, Any]:
    from lungseg.model.components import arguments_of, require_target

    arguments, _ = arguments_of(require_target(path, "network", NETWORKS, "monai.networks.nets.BasicUNet"))
    return {"_target_": path, **{key: value for key, value in _PICTURES.items() if key in arguments}}


def check_network(network: Mapping[str, Any], size: object) -> None:
    """Check that a network's levels fit together and to the size of its input, as far as its arguments show it.

    Args:
        network: value of `network_def`.
        size: value of `image_size`.

    Raises:
        UsageError: the levels contradict each other (bad-network-levels), or the size is not a multiple of the
            factor by which they reduce a picture (bad-image-size), or too small for them (network-too-deep).
    """
    strides = _strides(network)
    if isinstance(size, str):
        # The value of an expression is not known here.
        return
    step = math.prod(strides or [1])
    if not isinstance(size, int) or size < 1 or size % step:
        below = int(size // step * step) if isinstance(size, int | float) and math.isfinite(size) else 0
        near = [str(one) for one in (below, below + step) if one >= 2 * step] or [str(2 * step)]
        what = f"image_size={size} is not a multiple of {step}, by which the network reduces a picture"
        raise UsageError(what, remedy=f"the nearest: {' and '.join(near)}", code="bad-image-size")
    if step > 1 and size < 2 * step:
        what = (
            f"the network is too deep for image_size={size}: it reduces a picture by a factor of {step}, to one pixel"
        )
        remedy = f"give an image_size of at least {2 * step}, or a network of fewer levels"
        raise UsageError(what, remedy=remedy, code="network-too-deep")


def _strides(network: Mapping[str, Any]) -> list[int] | None:
    """Return the factor of each level; None where the arguments do not show it."""
    kind = str(network.get("_target_")).rpartition(".")[2]
    if kind == "SegResNet":
        blocks = network.get("blocks_down", (1, 2, 2, 4))
        return [2] * (len(blocks) - 1) if isinstance(blocks, list | tuple) else None
    if kind in ("BasicUNet", "BasicUNetPlusPlus"):
        return [2] * 4
    strides, channels = network.get("strides"), network.get("channels")
    if not isinstance(strides, list):
        return None
    if isinstance(channels, list) and kind in ("UNet", "AttentionUnet"):
        needed = len(channels) - 1
        if needed < 1 or len(strides) < needed:
            what = f"network_def: the number of channels is {len(channels)}, that of strides {len(strides)}"
            example = ",".join(["2"] * max(needed, 1))
            remedy = f"give two channels or more, and one stride less: network_def#strides=[{example}]"
            raise UsageError(what, remedy=remedy, code="bad-network-levels")
        # MONAI does not use the others.
        strides = strides[:needed]
    factors = [max(one) if isinstance(one, list) and one else one for one in strides]
    return factors if all(isinstance(one, int) and one > 0 for one in factors) else None
