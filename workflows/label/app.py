# SPDX-License-Identifier: Apache-2.0
"""The app that MONAI Label's server runs."""

from __future__ import annotations

from pathlib import Path

import torch
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore

from lungseg.model.paths import BUNDLE_NAME, weights_file
from lungseg.version import __version__
from lungseg.workflows.label.store.folder import StudyFolder
from lungseg.workflows.label.store.model_versions import Versions
from lungseg.workflows.label.store.workspace import is_url
from lungseg.workflows.label.tasks.active_learning import strategies
from lungseg.workflows.label.tasks.active_model import ActiveModel
from lungseg.workflows.label.tasks.infer import LungsInfer
from lungseg.workflows.label.tasks.scoring import Scoring
from lungseg.workflows.label.tasks.train import LungsTrain


class LungsApp(MONAILabelApp):
    """Segments, lists, trains.

    Args:
        app_dir: the work folder.
        studies: a folder of radiographs or the URL of a DICOMweb service.
        conf: `weights` (those to begin with) and `replay_data` (folder of the data set that these saw), both
            optional.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.work = Path(app_dir)
        self.versions = Versions(self.work / "versions", weights_file(conf.get("weights")))
        self.segmenter = ActiveModel(self.versions)
        # The server shares the cores among requests, each computing with one.
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
        self.survey = Scoring(self.work / "survey.json", self._datastore, self.segmenter)

    def init_datastore(self) -> Datastore:
        """Open the studies."""
        watch = self._is_server()
        if is_url(self.studies):
            from lungseg.workflows.label.store.dicomweb import open_dicomweb

            return open_dicomweb(self.studies, self.work, watch)
        return StudyFolder(self.studies, self.work / "replaced", watch)

    def init_infers(self) -> dict:
        """Return the one model."""
        return {BUNDLE_NAME: LungsInfer(self.segmenter)}

    def init_trainers(self) -> dict:
        """Return what trains it."""
        return {BUNDLE_NAME: LungsTrain(self.versions, self.work, self.conf.get("replay_data"))}

    def init_strategies(self) -> dict:
        """Return what chooses the next study to annotate."""
        return strategies(self)

    def infer(self, request: dict, datastore: Datastore | None = None) -> dict:
        """Segment a study by its id, or a file by its absolute path.

        MONAI Label would take an id for a file where one of that name lies in the server's folder.
        """
        store = datastore or self.datastore()
        image = request["image"]
        file = store.file_of(image)
        result = super().infer({**request, "image": str(file or image), "save_label": False}, store)
        if file and request.get("save_label"):
            result["tag"] = request["label_tag"]
            info = {"model": request["model"], "params": result["params"]}
            result["label"] = store.save_label_map(image, Path(result["file"]), result["tag"], info)
        return result

    def on_init_complete(self) -> None:
        """Begin to look through the studies, once the server runs."""
        super().on_init_complete()
        self.survey.start()

    @staticmethod
    def _is_server() -> bool:
        """Whether this process serves; the one that MONAI Label starts for a training does not follow changes."""
        return settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD
