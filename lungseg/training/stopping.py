# SPDX-License-Identifier: Apache-2.0
"""The end of a training that no longer improves."""

from __future__ import annotations

from ignite.engine import Events

from lungseg.training.engine import MonaiEngine


class EarlyStop:
    """Stop the training when the key metric has not improved for `patience` epochs.

    Ignite's EarlyStopping is not used: it must be given the trainer, to which a config's trainer cannot refer, and it
    counts validations, not epochs. The evaluator's best epoch, which `RunCheckpoint` restores, is all the state needed.

    Args:
        evaluator: the MONAI Evaluator that validates.
        patience: number of epochs without a new best; the training stops only after a validation.
    """

    def __init__(self, evaluator: MonaiEngine, patience: int) -> None:
        self.evaluator, self.patience = evaluator, patience

    def attach(self, engine: MonaiEngine) -> None:
        """Attach to a MONAI Trainer, after its ValidationHandler."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: MonaiEngine) -> None:
        """Stop `engine` if it is time."""
        epoch, validated = engine.state.epoch, self.evaluator.state
        if validated.epoch == epoch and epoch - validated.best_metric_epoch >= self.patience:
            engine.terminate()
