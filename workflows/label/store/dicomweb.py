# SPDX-License-Identifier: Apache-2.0
"""The studies of a DICOMweb service, such as Orthanc. Radiographs are fetched when they are needed.

MONAI Label's own class treats a series as a volume. Here each radiograph is a study of its own, the service is asked
for new ones every ten seconds, and labels stay in the workspace.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import create_session_from_user_pass
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMwebClientX
from monailabel.datastore.local import DataModel, ImageLabelModel
from pydicom import Dataset

from lungseg.utils.errors import LungsegError, first_line
from lungseg.utils.files import atomic_path
from lungseg.workflows.label.store.folder import StudyFolder

_MODALITIES = ("CR", "DX")
# The shortest time between two requests for the list of studies, in seconds.
_PAUSE = 10.0
_ENDING = ".dcm"


def open_dicomweb(url: str, workspace: Path, watch: bool) -> DicomWebStudies:
    """Return the studies of a service; user and password are MONAI Label's settings.

    Args:
        url: where the service answers, such as http://127.0.0.1:8042/dicom-web.
        workspace: gets the radiographs and the labels, in `dicomweb/`.
        watch: see :class:`StudyFolder`.
    """
    session = None
    if settings.MONAI_LABEL_DICOMWEB_USERNAME:
        session = create_session_from_user_pass(
            settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
        )
    client = DICOMwebClientX(
        url=url,
        session=session,
        qido_url_prefix=settings.MONAI_LABEL_QIDO_PREFIX,
        wado_url_prefix=settings.MONAI_LABEL_WADO_PREFIX,
        stow_url_prefix=settings.MONAI_LABEL_STOW_PREFIX,
    )
    return DicomWebStudies(client, workspace / "dicomweb", workspace / "replaced", watch)


class DicomWebStudies(StudyFolder):
    """Radiographs (CR and DX) by their SOP instance UIDs.

    Args:
        client: sends the requests.
        folder: for the fetched radiographs and the labels.
        replaced, watch: see :class:`StudyFolder`.
    """

    def __init__(self, client: DICOMwebClient, folder: Path, replaced: Path, watch: bool) -> None:
        self._client = client
        self._asked = 0.0
        self._series_of: dict[str, tuple[str, str]] = {}
        self._listed: dict[tuple[str, str], int] = {}
        super().__init__(str(folder), replaced, watch)

    def list_images(self) -> list[str]:
        """Ask for new radiographs, and return the UIDs of all that are known."""
        with self._mutex:
            if time.monotonic() - self._asked > _PAUSE or not self._asked:
                self._ask()
                self._asked = time.monotonic()
            return list(self._datastore.objects)

    def get_image_uri(self, image_id: str) -> str:
        """Return the file of a radiograph, fetched if necessary.

        Raises:
            LungsegError: the service does not answer as expected (dicomweb-unreachable).
        """
        if image_id not in self._datastore.objects and image_id not in self.list_images():
            return ""
        file = Path(self._datastore.image_path(), f"{image_id}{_ENDING}")
        if not file.is_file():
            self._fetch(image_id, file)
        return os.path.realpath(file)

    def _ask(self) -> None:
        try:
            for modality in _MODALITIES:
                for found in self._client.search_for_series(search_filters={"Modality": modality}):
                    self._note(Dataset.from_json(found))
        except Exception as error:  # a service can answer anything, or not at all
            raise self._unreachable(error) from error

    def _note(self, found: Dataset) -> None:
        """List the radiographs of a series, unless all that the service states are listed."""
        study, series = str(found.StudyInstanceUID), str(found.SeriesInstanceUID)
        stated = found.get("NumberOfSeriesRelatedInstances")
        if stated is not None and self._listed.get((study, series)) == stated:
            return
        instances = self._client.search_for_instances(study_instance_uid=study, series_instance_uid=series)
        for instance in instances:
            uid = str(Dataset.from_json(instance).SOPInstanceUID)
            self._series_of[uid] = (study, series)
            model = ImageLabelModel(image=DataModel(info={"name": uid, "ts": int(time.time())}, ext=_ENDING))
            self._datastore.objects.setdefault(uid, model)
        self._listed[study, series] = len(instances)

    def _fetch(self, image_id: str, file: Path) -> None:
        try:
            if image_id not in self._series_of:
                self._ask()
            study, series = self._series_of[image_id]
            dataset = self._client.retrieve_instance(study, series, image_id)
            with atomic_path(file) as temporary:
                dataset.save_as(temporary)
        except LungsegError:
            raise
        except Exception as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> LungsegError:
        what = f"the DICOMweb service does not answer as expected ({first_line(error)})"
        remedy = "check its address, user and password"
        return LungsegError(what, self._client.base_url, remedy, code="dicomweb-unreachable")

    def _remove_non_existing(self) -> int:
        """Remove the labels whose files no longer exist; a radiograph without a file was not fetched yet."""
        gone = [
            (study.labels, tag)
            for image_id, study in self._datastore.objects.items()
            for tag in study.labels
            if self.label_file(image_id, tag) is None
        ]
        for labels, tag in gone:
            del labels[tag]
        return len(gone)
