# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-subclassing-any=False
"""The app that MONAI Label's server runs."""

from __future__ import annotations

import logging
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from lungseg.model.paths import BUNDLE_NAME, weights_file
from lungseg.utils.errors import first_line
from lungseg.utils.files import atomic_path
from lungseg.version import __version__
from lungseg.workflows.label.store.folder import StudyFolder
from lungseg.workflows.label.store.migration import SCORES
from lungseg.workflows.label.store.model_versions import Versions
from lungseg.workflows.label.store.reservations import Reservations
from lungseg.workflows.label.store.workspace import is_url
from lungseg.workflows.label.tasks.active_learning import strategies
from lungseg.workflows.label.tasks.active_model import ActiveModel
from lungseg.workflows.label.tasks.infer import LungsInfer
from lungseg.workflows.label.tasks.scoring import Scoring
from lungseg.workflows.label.tasks.train import LungsTrain

logger = logging.getLogger(__name__)
# Seconds that a training waits before it ends with an error.
_TO_BE_READ = 2.0


class LungsApp(MONAILabelApp):
    """Segments and scores the studies, and trains on their labels.

    Args:
        app_dir: the workspace.
        studies: a folder of radiographs or the URL of a DICOMweb service.
        conf: `weights` (the first weights), `replay_data` (folder of the data set that these were trained on) and
            `trust` ("true": the configs of weights and of stopped trainings may run code), all optional.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.workspace = Path(app_dir)
        self.versions = Versions(self.workspace / "versions", weights_file(conf.get("weights")))
        self.trust = conf.get("trust") == "true"
        self.model = ActiveModel(self.versions, self.trust)
        self.reservations = Reservations()
        # The server segments several images at a time, each with one core.
        if self._is_server():
            torch.set_num_threads(1)
        super().__init__(
            app_dir,
            studies,
            conf,
            name="lungseg",
            description="Lungs on chest radiographs: correct the model, and it learns from you. Not a medical device.",
            version=__version__,
        )

    def init_datastore(self) -> Datastore:
        """Open the studies; their scores belong to them."""
        watch = self._is_server()
        store: StudyFolder
        if is_url(self.studies):
            from lungseg.workflows.label.store.dicomweb import open_dicomweb

            store = open_dicomweb(self.studies, self.workspace, watch)
        else:
            store = StudyFolder(self.studies, self.workspace / "replaced", watch)
        self.scoring = Scoring(self.workspace / SCORES, store, self.model)
        return store

    def init_infers(self) -> dict[str, InferTask]:
        """Return the inference task."""
        return {BUNDLE_NAME: LungsInfer(self.model)}

    def init_trainers(self) -> dict[str, TrainTask]:
        """Return the training task."""
        return {BUNDLE_NAME: LungsTrain(self.versions, self.workspace, self.conf.get("replay_data"), self.trust)}

    def init_strategies(self) -> dict[str, Strategy]:
        """Return the strategies that choose the next study to annotate."""
        return strategies(self.scoring, self.reservations)

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Segment a study by its id, or a file by its absolute path.

        MONAI Label would read a file of the server's folder whose name equals the id.
        """
        store = datastore or self.datastore()
        image = request["image"]
        file = store.file_of(image)
        result: dict[str, Any] = super().infer({**request, "image": str(file or image), "save_label": False}, store)
        if file and request.get("save_label"):
            result["tag"] = request["label_tag"]
            info = {"model": request["model"], "params": result["params"]}
            store.save_label_map(image, Path(result["file"]), result["tag"], info)
            result["label"] = image
        return result

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Train, in the process that MONAI Label started for it.

        If it cannot be done, the last line that the process prints is the reason, which `GET /train/` returns.

        Raises:
            SystemExit: the training ended without new weights.
        """
        try:
            result: dict[str, Any] = super().train(request)
        except MONAILabelException as error:
            reason = error.msg
        except Exception as error:  # any library can fail, such as for want of memory
            details = self.workspace / "training-error.txt"
            with atomic_path(details) as path:
                path.write_text(traceback.format_exc(), encoding="utf-8")
            reason = f"{first_line(error)}; the details are in {details}"
        else:
            return result
        logger.error("The training ended without new weights: %s", reason)
        # MONAI Label reads the lines of a process only while that runs, and would miss the last one.
        time.sleep(_TO_BE_READ)
        raise SystemExit(1)

    def on_init_complete(self) -> None:
        """Start to score the studies, once the server runs."""
        super().on_init_complete()
        self.scoring.start()

    @staticmethod
    def _is_server() -> bool:
        """Return whether this process is the server, and not a training that the server started."""
        return bool(settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD)
