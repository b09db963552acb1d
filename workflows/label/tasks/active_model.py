# SPDX-License-Identifier: Apache-2.0
"""The predictor with the active weights, shared by all threads of the server."""

from __future__ import annotations

import threading
from pathlib import Path

from lungseg.inference.predictor import Prediction, Predictor
from lungseg.model.weights import weights_hash
from lungseg.workflows.label.store.model_versions import Version, Versions


class ActiveModel:
    """Segments with the active version; when another version is activated, the next image is segmented with that.

    Can be called from several threads.

    Args:
        versions: the versions of the weights.
        trust: the configs beside the weights may run code, as a program of their author would.
    """

    def __init__(self, versions: Versions, trust: bool = False) -> None:
        self.versions, self.trust = versions, trust
        self._lock = threading.Lock()
        self._loaded: tuple[Version, Predictor, str] | None = None

    def __call__(self, image: Path) -> tuple[Prediction, Version, str]:
        """Segment a file.

        Returns:
            The prediction, the version that made it, and the SHA-256 of its weights in hex.

        Raises:
            LungsegError: the file is not a readable radiograph, or the weights are damaged.
        """
        version, predictor, sha256 = self.loaded()
        return predictor.predict(image), version, sha256

    def loaded(self) -> tuple[Version, Predictor, str]:
        """Return the active version, its predictor and the SHA-256 of its weights; load them if necessary."""
        with self._lock:
            active = self.versions.active()
            if self._loaded is None or self._loaded[0].number != active.number:
                predictor = Predictor(active.weights, device="auto", trust=self.trust)
                self._loaded = active, predictor, weights_hash(active.weights)
            return self._loaded
