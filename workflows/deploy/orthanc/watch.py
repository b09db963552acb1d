# SPDX-License-Identifier: Apache-2.0
"""The worker beside Orthanc: follows its change feed and processes each study when it has arrived."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from lungseg.utils.errors import LungsegError, UsageError, as_lungseg_error
from lungseg.utils.files import writing_failed
from lungseg.workflows.deploy.orthanc.backlog import Backlog
from lungseg.workflows.deploy.orthanc.client import GoneError, Orthanc, UnavailableError
from lungseg.workflows.deploy.orthanc.processor import StudyProcessor, look_into
from lungseg.workflows.deploy.orthanc.state import State, default_folder, read_sequence
from lungseg.workflows.deploy.run import start

_POLL = 1.0
_LONGEST_PAUSE = 30.0
_ASK_AFTER = 10.0
_RESUBMIT_EVERY = 60.0


def credentials(file: str | PathLike | None) -> tuple[str, str] | None:
    """Return user and password from a file, or else from the environment, if they are there.

    Args:
        file: holds `user:password`, and nobody else may read it.

    Raises:
        UsageError: the file cannot be used.
    """
    if file is None:
        user, password = (os.environ.get(f"LUNGSEG_ORTHANC_{name}") for name in ("USER", "PASSWORD"))
        return (user, password or "") if user else None
    try:
        if stat.S_IMODE(os.stat(file).st_mode) & 0o077:
            raise UsageError("others may read this file of credentials", file, "run chmod 600 on it")
        user, colon, password = Path(file).read_text(encoding="utf-8").strip().partition(":")
    except OSError as error:
        raise UsageError(f"the credentials cannot be read ({error.strerror})", file, "check the name") from error
    except UnicodeDecodeError as error:
        raise UsageError("this file of credentials is no text in UTF-8", file, "save it as UTF-8") from error
    if not colon:
        raise UsageError("this file holds no credentials", file, "write user:password into it")
    return user, password


def watch(
    url: str,
    bundle: str | PathLike | None = None,
    device: str = "auto",
    settings: str | PathLike | None = None,
    *,
    credentials_file: str | PathLike | None = None,
    state: str | PathLike | None = None,
    since: int | None = None,
    send_to: list[str] | None = None,
    dry_run: bool = False,
    once: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Process the studies that arrive in an Orthanc, until stopped.

    Args:
        url: of Orthanc's REST interface.
        bundle, device, settings: see :func:`lungseg.workflows.deploy.run.start`.
        credentials_file: see :func:`credentials`.
        state: folder of the worker's state; the default depends on the URL.
        since: sequence number of the change feed to begin after; the default is where the last worker ended or, for
            the first one, now. 0 takes all that is there.
        send_to: modalities, by their names in Orthanc, that it is to send the results to.
        dry_run: only say what would be done, up to now.
        once: stop when nothing is left to do.
        say: takes lines for the log; they name studies by Orthanc's identifiers, never patients.

    Raises:
        UsageError: another worker is at work, there is no Orthanc at the URL, or it does not know us or a modality.
        LungsegError: the state belongs to another Orthanc; with `once`, Orthanc does not answer or a study could not be
            processed now.
    """
    orthanc, folder = Orthanc(url, credentials(credentials_file)), Path(state or default_folder(url))
    if dry_run:
        _foretell(orthanc, _from_where(orthanc, since, read_sequence(folder)), bundle, say)
        return
    held = State(folder)
    # As Ctrl-C, so that the state is closed.
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # "Now" is before the application starts, which takes its time.
        sequence = _patiently(lambda: _from_where(orthanc, since, held.load()), once, say)
        unknown = sorted(set(send_to or []) - set(orthanc.modalities() if send_to else []))
        if unknown:
            raise UsageError(f"Orthanc knows no modality {unknown[0]}", url, "add it to DicomModalities")
        held.save(sequence)
        application = start(bundle, device, settings)
        processor = StudyProcessor(orthanc, application, folder / "work", send_to or [])
        worker = _Worker(orthanc, processor, held, Backlog(sequence, 0 if once else _ASK_AFTER), say)
        say(f"following {orthanc.url} from change {sequence} on")
        if once:
            worker.catch_up_once()
        else:
            worker.follow()
    finally:
        signal.signal(signal.SIGTERM, handler)
        held.close()


def _from_where(orthanc: Orthanc, since: int | None, saved: int | None) -> int:
    last = orthanc.last_change()
    sequence = since if since is not None else saved if saved is not None else last
    if last == 0 and since is None:
        # Emptied or made anew; what it got before and still has was given an outcome, and is not done twice.
        return 0
    if sequence > last > 0:
        what = f"the state is at change {sequence}, but this Orthanc's feed ends at {last}: it is another Orthanc"
        raise LungsegError(what, orthanc.url, "start with --since 0 to take all that is there, or with another --state")
    return sequence


def _patiently(call: Callable[[], int], once: bool, say: Callable[[str], None]) -> int:
    """Wait for an Orthanc that is not up yet, as after a start of the whole machine."""
    pause = _POLL
    while True:
        try:
            return call()
        except UnavailableError as error:
            if once:
                raise
            say(str(error))
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _foretell(orthanc: Orthanc, sequence: int, bundle: str | PathLike | None, say: Callable[[str], None]) -> None:
    from lungseg.model.bundle import open_bundle
    from lungseg.model.weights import weights_hash

    weights, seen = weights_hash(open_bundle(bundle).weights), set()
    for change in orthanc.changes(sequence):
        if change.kind == "StableStudy" and change.resource not in seen:
            seen.add(change.resource)
            try:
                number = len(look_into(orthanc, change.resource, weights).radiographs)
            except GoneError:
                continue
            if number:
                say(f"study {change.resource}: would process {number} radiograph{'s' * (number != 1)}")


class _Worker:
    def __init__(
        self, orthanc: Orthanc, processor: StudyProcessor, state: State, backlog: Backlog, say: Callable[[str], None]
    ) -> None:
        self.orthanc, self.processor, self.state, self.say = orthanc, processor, state, say
        self.backlog, self.saved = backlog, backlog.sequence
        self.resubmit_at = time.monotonic() + _RESUBMIT_EVERY
        self.postponed: set[str] = set()

    def follow(self) -> None:
        """Go on until stopped, whatever happens to Orthanc."""
        pause = _POLL
        while True:
            try:
                moved = self._catch_up()
                self._resubmit()
                pause = _POLL
            except UnavailableError as error:
                self.say(str(error))
                moved, pause = False, min(2 * pause, _LONGEST_PAUSE)
            if not moved:
                time.sleep(pause)

    def catch_up_once(self) -> None:
        """Process what is there."""
        while self._catch_up():
            pass
        if self.postponed:
            remedy = "see above, and start it again"
            raise LungsegError(f"{len(self.postponed)} studies could not be processed now", self.orthanc.url, remedy)

    def _catch_up(self) -> bool:
        """Read the feed to its end, processing what is stable; return whether anything was."""
        moved = False
        for change in self.orthanc.changes(self.backlog.read):
            self.backlog.add(change)
            if change.kind == "StableStudy":
                moved |= self._handle(change.resource)
            self._save()
        for resource in self.backlog.due():
            # Done or postponed with its study, meanwhile?
            if self.backlog.is_due(resource):
                moved |= self._ask(resource)
        self._save()
        return moved

    def _ask(self, resource: str) -> bool:
        """Look after an instance whose study did not become stable by itself, or a study that was postponed."""
        try:
            study, stable = self.orthanc.study_of(resource)
        except GoneError:
            # A study's own identifier is no instance's.
            study, stable = resource, True
        if not stable:
            self.backlog.postpone(resource)
            return False
        self.backlog.join(resource, study)
        return self.backlog.is_due(study) and self._handle(study, resource)

    def _handle(self, study: str, *also: str) -> bool:
        """Process a study, unless there is nothing to do; return whether something was done."""
        try:
            found = look_into(self.orthanc, study, self.processor.application.algorithm.weights)
            if found.radiographs:
                self.say(f"study {study}: {self.processor(study, found.radiographs)}")
            self.postponed.discard(study)
            self.backlog.done([study, *also, *found.instances])
            return bool(found.radiographs)
        except GoneError:
            self.postponed.discard(study)
            self.backlog.done([study, *also])
            return False
        except UsageError:
            raise
        except Exception as error:  # one study that cannot be done now must not hold up the others
            if isinstance(error, OSError):
                error = writing_failed(error, self.processor.folder / "in")
            self.say(f"study {study}: postponed: {as_lungseg_error(error, 'it could not be processed')}")
            self.postponed.add(study)
            self.backlog.postpone(study)
            return False

    def _save(self) -> None:
        if self.backlog.sequence == self.saved:
            return
        try:
            self.state.save(self.backlog.sequence)
            self.saved = self.backlog.sequence
        except LungsegError as error:
            # The old number is good too: what is done is seen to be.
            self.say(f"the state could not be saved: {error}")

    def _resubmit(self) -> None:
        if self.processor.send_to and time.monotonic() >= self.resubmit_at:
            self.resubmit_at = time.monotonic() + _RESUBMIT_EVERY
            try:
                number = self.orthanc.resubmit_failed(self.processor.send_to)
            except (UnavailableError, UsageError):
                raise
            except LungsegError as error:
                self.say(str(error))
                return
            if number:
                self.say(f"{number} jobs that could not send are tried again")
