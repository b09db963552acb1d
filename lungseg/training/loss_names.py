# SPDX-License-Identifier: Apache-2.0
"""Losses by the names that people type, as values of the config's item `loss`."""

from __future__ import annotations

from typing import Any

from lungseg.model.trust import is_computed
from lungseg.utils.errors import UsageError

# Arguments of LungHeartLoss by name: Dice with cross-entropy, alone, and with the focal loss.
_NAMED: dict[str, dict[str, float]] = {"dice-ce": {}, "dice": {"ce_weight": 0.0}, "dice-focal": {"gamma": 2.0}}
LOSSES = tuple(_NAMED)
_OWN = "lungseg.training.LungHeartLoss"
_EXAMPLE = "monai.losses.TverskyLoss"


def loss_definition(choice: str) -> dict[str, Any]:
    """Return the `loss` of a config.

    Args:
        choice: one of `LOSSES`, the name of a loss of MONAI, or the path of a class, such as `mypackage.MyLoss` or
            `torch.nn.CrossEntropyLoss`. :class:`lungseg.training.LungHeartLoss` calls it for everything that a
            reference states, unless it is a subclass of that.

    Raises:
        UsageError: there is no such loss (unknown-loss), or its module cannot be imported (target-not-importable).
    """
    if choice in _NAMED:
        return {"_target_": _OWN, **_NAMED[choice]}
    from lungseg.model.components import arguments_of, require_target
    from lungseg.training.losses import LungHeartLoss

    loss = require_target(choice, "loss", LOSSES, _EXAMPLE)
    if isinstance(loss, type) and issubclass(loss, LungHeartLoss):
        return {"_target_": choice}
    arguments, _ = arguments_of(loss)
    # It is given logits; MONAI's losses take probabilities unless they are asked for a softmax.
    softmax = {name: True for name in ("softmax", "use_softmax") if name in arguments}
    return {"_target_": _OWN, "loss": {"_target_": choice, **softmax}}


def check_loss(loss: object) -> None:
    """Check that the value of `loss` in a config is not a loss of MONAI or PyTorch.

    It would compare the network's classes with the channels of a reference, which are extents: a silent mistake.

    Raises:
        UsageError: it is one (loss-without-reference).
    """
    target = loss.get("_target_") if isinstance(loss, dict) else None
    if not isinstance(target, str) or is_computed(target):
        return
    from lungseg.model.components import require_target

    found = require_target(target, "loss", LOSSES, _EXAMPLE)
    if found.__module__.partition(".")[0] in ("monai", "torch"):
        what = f"loss: {target} knows nothing of the extents and the unknown sides that a reference states"
        raise UsageError(what, remedy=f"use --loss {target}", code="loss-without-reference")
