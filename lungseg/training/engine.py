# SPDX-License-Identifier: Apache-2.0
"""What the handlers of a training share: MONAI's engines, and the process that writes."""

from __future__ import annotations

from typing import Any

import torch

# MONAI adds attributes to Ignite's engines and their states that their types do not have.
MonaiEngine = Any


def is_main_process() -> bool:
    """Return whether this process writes files: it has rank 0, or it is the only one."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
