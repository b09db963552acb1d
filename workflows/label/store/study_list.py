# SPDX-License-Identifier: Apache-2.0
"""The file with the list of studies and labels, `datastore_v2.json`: it can always be read again.

A new content is read by the model that will read it at the next start before it replaces the old one, and the old one
is kept as a fallback.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from monailabel.datastore.local import ImageLabelModel, LocalDatastoreModel

from lungseg.io.formats import split_ending
from lungseg.utils.errors import LungsegError, first_line
from lungseg.utils.files import atomic_path
from lungseg.utils.text import escape_control
from lungseg.workflows.label.store.stored_values import check_info
from lungseg.workflows.label.store.study_files import LABELS, is_plain_name

logger = logging.getLogger(__name__)


class StudyList:
    """The file with the list of studies.

    Args:
        file: in the folder of studies.
        is_study: returns whether a text can be the id of a study.
    """

    def __init__(self, file: Path, is_study: Callable[[str], bool]) -> None:
        self.file, self.is_study = file, is_study
        self.previous = file.with_name(f".{file.stem}.previous{file.suffix}")
        self.damaged = file.with_name(f"{file.stem}.damaged{file.suffix}")
        # The state of the file that was read or written last, and whether it was good.
        self._state: tuple[int, ...] | None = None
        self._good = False

    def open(self) -> LocalDatastoreModel | None:
        """Return the list; the previous one if the file is damaged, None if there is none, so that a start succeeds.

        A damaged file is kept under another name.
        """
        if not os.path.lexists(self.file):
            return None
        content = self.read_if_changed()
        if content is not None:
            return content
        content = self._read(self.previous)
        if content is None or self.file.is_symlink() or not self.file.is_file():
            os.replace(self.file, self.damaged)
            self._state = None
        else:
            with atomic_path(self.damaged) as temporary:
                shutil.copyfile(self.file, temporary)
        if content is not None:
            self.write(content)
        source = "empty; studies and labels are found again" if content is None else "the one before the last change"
        logger.warning("%s: this file was damaged and is kept here; the list of studies is %s", self.damaged, source)
        return content

    def read_if_changed(self) -> LocalDatastoreModel | None:
        """Return the list if the file is another one than before and good, else None."""
        state = self._present_state()
        if state is None or state == self._state:
            return None
        content = self._read(self.file)
        self._state, self._good = state, content is not None
        return content

    def write(self, content: LocalDatastoreModel) -> None:
        """Replace the file, completely or not at all, and keep the one before.

        Raises:
            LungsegError: the content could not be read again (study-list-unreadable), or the disk is full.
        """
        try:
            text = content.model_dump_json(exclude={"base_path"}, indent=2)
            LocalDatastoreModel.model_validate_json(text)
        except ValueError as error:
            what = f"the list of studies could not be read again ({first_line(error)})"
            raise LungsegError(what, self.file, "report it", code="study-list-unreadable") from error
        if self._good and self._present_state() == self._state:
            with atomic_path(self.previous) as temporary:
                temporary.write_bytes(self.file.read_bytes())
        with atomic_path(self.file) as temporary:
            temporary.write_text(text, encoding="utf-8")
        self._state, self._good = self._present_state(), True

    def _present_state(self) -> tuple[int, ...] | None:
        """Return values that differ once the file is replaced; None without a file, or for a link."""
        try:
            status = os.lstat(self.file)
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _read(self, file: Path) -> LocalDatastoreModel | None:
        """Return the content of a file without entries that cannot be, or None if it is damaged."""
        if file.is_symlink() or not file.is_file():
            return None
        try:
            content = LocalDatastoreModel.model_validate_json(file.read_bytes())
        except (OSError, ValueError) as error:
            logger.warning("%s: the list of studies cannot be read (%s)", file, first_line(error))
            return None
        # These are folders, and never others.
        content.images_dir, content.labels_dir = ".", LABELS
        for image_id, study in list(content.objects.items()):
            if not self.is_study(image_id) or not _is_ending(image_id, study.image.ext):
                logger.warning("%s: not listed: %s is not the name of a study", file, escape_control(image_id)[:200])
                del content.objects[image_id]
            else:
                _clean(image_id, study)
        return content


def _is_ending(image_id: str, ending: str) -> bool:
    return split_ending(f"{image_id}{ending}") == (image_id, ending)


def _clean(image_id: str, study: ImageLabelModel) -> None:
    """Remove the labels and values of a study that no answer could contain; versions before 1.0 stored any."""
    for tag, label in list(study.labels.items()):
        if not is_plain_name(tag) or not _is_ending(image_id, label.ext):
            del study.labels[tag]
    for stored in (study.image, *study.labels.values()):
        try:
            check_info(stored.info)
        except LungsegError as error:
            logger.warning("study %s: stored values are left out: %s", escape_control(image_id), error)
            stored.info = {}
