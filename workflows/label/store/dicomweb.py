# SPDX-License-Identifier: Apache-2.0
"""The studies of a DICOMweb service, such as Orthanc. Radiographs are fetched when they are needed.

MONAI Label's own class treats a series as a volume. Here each radiograph is a study of its own, the service is asked
for new ones every ten seconds, and labels stay in the workspace.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMwebClientX
from monailabel.datastore.local import DataModel, ImageLabelModel
from pydicom import Dataset

from lungseg.utils.errors import LungsegError, first_line
from lungseg.utils.files import atomic_path, private_folder
from lungseg.utils.names import is_uid, path_inside
from lungseg.workflows.label.store.bounded_session import BoundedSession
from lungseg.workflows.label.store.folder import StudyFolder

logger = logging.getLogger(__name__)
_MODALITIES = ("CR", "DX")
# The shortest time between two requests for the list of studies, in seconds.
_PAUSE = 10.0
_ENDING = ".dcm"
_MOST_REPORTED = 1000


def open_dicomweb(url: str, workspace: Path, watch: bool) -> DicomWebStudies:
    """Return the studies of a service; user and password are MONAI Label's settings.

    Args:
        url: where the service answers, such as http://127.0.0.1:8042/dicom-web.
        workspace: gets the radiographs and the labels, in `dicomweb/`.
        watch: see :class:`StudyFolder`.
    """
    session = BoundedSession()
    if settings.MONAI_LABEL_DICOMWEB_USERNAME:
        session.auth = (settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD)
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
        # The reasons that were logged, so that each is logged once.
        self._reported: set[str] = set()
        super().__init__(str(private_folder(folder)), replaced, watch)

    @staticmethod
    def _is_study(image_id: str) -> bool:
        return is_uid(image_id)

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
        if self._present_file(image_id) is None:
            self._fetch(image_id)
        return super().get_image_uri(image_id)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Refuse to add a radiograph.

        Raises:
            LungsegError: always (studies-of-service).
        """
        remedy = "send the radiograph to the service"
        raise LungsegError("the studies come from a DICOMweb service", remedy=remedy, code="studies-of-service")

    def _ask(self) -> None:
        for modality in _MODALITIES:
            try:
                listed = list(self._client.search_for_series(search_filters={"Modality": modality}))
            except Exception as error:  # a service can answer anything, or not at all
                raise self._unreachable(error) from error
            for found in listed:
                self._note_unless_odd(self._note, found)

    def _note_unless_odd(self, note: Callable[..., None], *found: Any) -> None:
        """Leave out a series or a radiograph that the service describes in an odd way; the others are listed."""
        try:
            note(*found)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise self._unreachable(error) from error
        except LungsegError as error:
            if error.code == "dicomweb-unreachable":
                raise
            self._report(str(error))
        except Exception as error:  # a service can answer anything
            self._report(first_line(error))

    def _report(self, reason: str) -> None:
        if reason not in self._reported and len(self._reported) < _MOST_REPORTED:
            self._reported.add(reason)
            logger.warning("not listed: the DICOMweb service describes a radiograph in an odd way: %s", reason)

    def _note(self, found: Any) -> None:
        """List the radiographs of a series, unless all that the service states are listed."""
        described = Dataset.from_json(found)
        study, series = _uid(described, "StudyInstanceUID"), _uid(described, "SeriesInstanceUID")
        stated = described.get("NumberOfSeriesRelatedInstances")
        if stated is not None and self._listed.get((study, series)) == stated:
            return
        instances = self._client.search_for_instances(study_instance_uid=study, series_instance_uid=series)
        for instance in instances:
            self._note_unless_odd(self._note_instance, instance, study, series)
        self._listed[study, series] = len(instances)

    def _note_instance(self, found: Any, study: str, series: str) -> None:
        uid = _uid(Dataset.from_json(found), "SOPInstanceUID")
        self._series_of[uid] = (study, series)
        model = ImageLabelModel(image=DataModel(info={"name": uid, "ts": int(time.time())}, ext=_ENDING))
        self._datastore.objects.setdefault(uid, model)

    def _fetch(self, image_id: str) -> None:
        try:
            if image_id not in self._series_of:
                self._ask()
            study, series = self._series_of[image_id]
            dataset = self._client.retrieve_instance(study, series, image_id)
            if _uid(dataset, "SOPInstanceUID") != image_id:
                raise ValueError("it sent another radiograph than the one asked for")
            with atomic_path(path_inside(self._folder, f"{image_id}{_ENDING}")) as temporary:
                dataset.save_as(temporary)
        except LungsegError:
            raise
        except Exception as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> LungsegError:
        what = f"the DICOMweb service does not answer as expected ({first_line(error)})"
        remedy = "check its address, user and password"
        return LungsegError(what, self._client.base_url, remedy, code="dicomweb-unreachable")

    def _is_there(self, name: str, files: set[str]) -> bool:
        """Return true: a radiograph without a file was not fetched yet."""
        return True


def _uid(described: Dataset, name: str) -> str:
    """Return a UID of a data set.

    Raises:
        LungsegError: it is missing or not valid (uid-invalid).
    """
    uid = str(described.get(name) or "")
    if not is_uid(uid):
        raise LungsegError(f"its {name} {uid[:100]!r} is not valid", remedy="correct it there", code="uid-invalid")
    return uid
