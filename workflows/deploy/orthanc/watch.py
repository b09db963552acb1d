# SPDX-License-Identifier: Apache-2.0
"""The worker beside Orthanc: it follows the change feed and processes each study that has arrived."""

from __future__ import annotations

import logging
import os
import signal
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from os import PathLike
from pathlib import Path

from lungseg.utils.errors import LungsegError, UsageError, as_lungseg_error
from lungseg.utils.files import disk_is_to_blame, private_files, writing_failed
from lungseg.workflows.deploy.orthanc.backlog import Backlog
from lungseg.workflows.deploy.orthanc.client import GoneError, LoginError, Orthanc, UnavailableError, is_safe
from lungseg.workflows.deploy.orthanc.processor import StudyProcessor, read_study
from lungseg.workflows.deploy.orthanc.state import State, default_folder, read_sequence
from lungseg.workflows.deploy.run import load_application

logger = logging.getLogger(__name__)

_POLL = 1.0
_LONGEST_PAUSE = 30.0
_ASK_AFTER = 10.0
_RESUBMIT_EVERY = 60.0
# A radiograph that came to nothing so often is given up.
_MOST_TRIES = 3
# Errors of a study, also a library's wish to exit; Ctrl-C is not among them.
_FAILURES = (Exception, SystemExit)


def read_credentials(file: str | PathLike[str] | None) -> tuple[str, str] | None:
    """Return user and password from a file, without one from the environment, and None if neither has them.

    Args:
        file: holds `user:password`; other users must not be able to read it.

    Raises:
        UsageError: the file cannot be used.
    """
    if file is None:
        user, password = (os.environ.get(f"LUNGSEG_ORTHANC_{name}") for name in ("USER", "PASSWORD"))
        return (user, password or "") if user else None
    try:
        if stat.S_IMODE(os.stat(file).st_mode) & 0o077:
            what = "other users may read this file of credentials"
            raise UsageError(what, file, "run chmod 600 on it", code="credentials-not-private")
        name, colon, secret = Path(file).read_text(encoding="utf-8").strip().partition(":")
    except OSError as error:
        what = f"the file of credentials cannot be read ({error.strerror})"
        raise UsageError(what, file, "check the name", code="credentials-unreadable") from error
    except UnicodeDecodeError as error:
        what = "this file of credentials is not text in UTF-8"
        raise UsageError(what, file, "save it as UTF-8", code="credentials-not-utf8") from error
    if not colon:
        what = "this file holds no credentials"
        raise UsageError(what, file, "write user:password into it", code="credentials-missing")
    return name, secret


@private_files()
def watch(
    url: str,
    bundle: str | PathLike[str] | None = None,
    device: str = "auto",
    settings: str | PathLike[str] | None = None,
    *,
    credentials_file: str | PathLike[str] | None = None,
    state: str | PathLike[str] | None = None,
    since: int | None = None,
    send_to: list[str] | None = None,
    dry_run: bool = False,
    once: bool = False,
    trust: bool = False,
) -> None:
    """Process the studies that arrive in an Orthanc, until stopped.

    The log names studies and instances by Orthanc's identifiers; it never names patients.

    Args:
        url: of Orthanc's REST interface.
        bundle, device, settings, trust: see :func:`lungseg.workflows.deploy.run.load_application`.
        credentials_file: see :func:`read_credentials`.
        state: folder of the worker's state, which only this user may enter; the default depends on the URL.
        since: number of the change in the feed to start after. The default is the change at which the last worker
            ended; for the first worker, the latest change. 0 takes all studies that are there.
        send_to: modalities, by their names in Orthanc, to which Orthanc sends the results.
        dry_run: only log which of the studies that are there would be processed.
        once: stop when no study is left.

    Raises:
        UsageError: another worker is running, there is no Orthanc at the URL, or it does not accept the credentials or
            know a modality.
        LungsegError: the state belongs to another Orthanc; with `once`, Orthanc does not answer or a study could not be
            processed now.
    """
    orthanc, folder = Orthanc(url, read_credentials(credentials_file)), Path(state or default_folder(url))
    if dry_run:
        _log_new_studies(orthanc, _first_sequence(orthanc, since, read_sequence(folder)), bundle, trust)
        return
    held = State(folder)
    handler = signal.getsignal(signal.SIGTERM)
    if handler is signal.SIG_DFL:
        # It becomes KeyboardInterrupt, so that the state is closed, where the command line has not seen to that.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # Before the application is loaded, so that studies that arrive meanwhile are not missed.
        sequence = _wait_for_orthanc(lambda: _first_sequence(orthanc, since, held.load()), once)
        unknown = sorted(set(send_to or []) - set(orthanc.modalities() if send_to else []))
        if unknown:
            what = f"Orthanc does not know the modality {unknown[0]}"
            raise UsageError(what, url, "add it to DicomModalities", code="modality-unknown")
        held.save(sequence)
        application = load_application(bundle, device, settings, trust)
        processor = StudyProcessor(orthanc, application, folder / "work", send_to or [])
        worker = _Worker(orthanc, processor, held, Backlog(sequence, 0 if once else _ASK_AFTER))
        algorithm = application.algorithm
        if not is_safe(version := orthanc.version()):
            logger.warning("Orthanc %s has holes that 1.12.11 closed (CVE-2026-5437 to 5445): update it.", version)
        logger.info(
            "following %s from change %d on (%s %s, weights %s, lungseg %s; state in %s)",
            orthanc.url,
            sequence,
            algorithm.name,
            algorithm.version,
            algorithm.weights[:12],
            algorithm.software,
            folder,
        )
        if once:
            worker.catch_up_once()
        else:
            worker.follow()
    finally:
        signal.signal(signal.SIGTERM, handler)
        held.close()


def _is_its_own(error: BaseException) -> bool:
    """Return whether a failure is the fault of what was processed, and not of Orthanc, a password or the disk."""
    if isinstance(error, UnavailableError | LoginError):
        return False
    if isinstance(error, OSError):
        # Libraries raise it without a number for the content of a file.
        return error.errno is None
    return not (isinstance(error, LungsegError) and disk_is_to_blame(error))


def _first_sequence(orthanc: Orthanc, since: int | None, saved: int | None) -> int:
    """Return the number of the change to start after."""
    last = orthanc.last_change()
    sequence = since if since is not None else saved if saved is not None else last
    if last == 0 and since is None:
        # This Orthanc is empty or new. Instances that it got before and still has keep their outcome, so that starting
        # at 0 repeats nothing.
        return 0
    if sequence > last > 0:
        what = f"the state is at change {sequence}, but the feed ends at change {last}: this is another Orthanc"
        remedy = "start with --since 0 to take all studies that are there, or with another --state"
        raise LungsegError(what, orthanc.url, remedy, code="another-orthanc")
    return sequence


def _wait_for_orthanc(call: Callable[[], int], once: bool) -> int:
    """Repeat a call until Orthanc is up, for example after a restart of the machine."""
    pause = _POLL
    while True:
        try:
            return call()
        except UnavailableError as error:
            if once:
                raise
            logger.warning("%s Next try in %.0f s.", error, pause)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _log_new_studies(orthanc: Orthanc, sequence: int, bundle: str | PathLike[str] | None, trust: bool) -> None:
    from lungseg.model.bundle import open_bundle
    from lungseg.model.weights import weights_hash

    weights = weights_hash(open_bundle(bundle, trust).weights)
    seen: set[str] = set()
    for change in orthanc.changes(sequence):
        if change.kind == "StableStudy" and change.resource not in seen:
            seen.add(change.resource)
            try:
                number = len(read_study(orthanc, change.resource, weights).radiographs)
            except GoneError as error:
                logger.debug("%s", error)
                continue
            if number:
                logger.info("study %s: would process %d radiograph%s", change.resource, number, "s" * (number != 1))


class _Worker:
    def __init__(self, orthanc: Orthanc, processor: StudyProcessor, state: State, backlog: Backlog) -> None:
        self.orthanc, self.processor, self.state = orthanc, processor, state
        self.backlog, self.saved = backlog, backlog.sequence
        self.resubmit_at = time.monotonic() + _RESUBMIT_EVERY
        self.postponed: set[str] = set()

    def follow(self) -> None:
        """Continue until stopped, also while Orthanc is down."""
        pause = _POLL
        while True:
            try:
                changed = self._catch_up()
                self._resubmit()
            except LungsegError as error:
                # Also a password that is refused from now on: whoever changes it may change it back.
                changed, pause = False, min(2 * pause, _LONGEST_PAUSE)
                logger.warning("%s Next try in %.0f s.", error, pause)
            else:
                if pause > _POLL:
                    logger.info("%s answers again; continuing after change %d", self.orthanc.url, self.backlog.sequence)
                pause = _POLL
            if not changed:
                time.sleep(pause)

    def catch_up_once(self) -> None:
        """Process the studies that are there.

        Raises:
            LungsegError: a study could not be processed now.
        """
        while self._catch_up():
            pass
        if self.postponed:
            what = f"{len(self.postponed)} studies could not be processed now"
            remedy = "read the reasons above, and start it again"
            raise LungsegError(what, self.orthanc.url, remedy, code="studies-postponed")

    def _catch_up(self) -> bool:
        """Read the feed to its end and process stable studies; return whether any radiograph was processed."""
        changed = False
        for change in self.orthanc.changes(self.backlog.read):
            self.backlog.add(change)
            if change.kind == "StableStudy":
                changed |= self._handle(change.resource)
            self._save()
        for resource in self.backlog.due():
            # It may have been done or postponed with its study meanwhile.
            if self.backlog.is_due(resource):
                changed |= self._ask(resource)
        self._save()
        return changed

    def _ask(self, resource: str) -> bool:
        """Ask about a postponed study, or about an instance whose study Orthanc has not reported as stable."""
        try:
            study, stable = self.orthanc.study_of(resource)
        except (UnavailableError, LoginError):
            raise
        except GoneError:
            # Orthanc has no instance with the identifier of a study.
            study, stable = resource, True
        except LungsegError as error:
            logger.warning("%s: postponed for at least %.0f s: %s", resource, self.backlog.postpone(resource), error)
            return False
        if not stable:
            self.backlog.postpone(resource)
            return False
        self.backlog.join(resource, study)
        return self.backlog.is_due(study) and self._handle(study, resource)

    def _handle(self, study: str, *also: str) -> bool:
        """Process a study unless nothing in it is new; return whether a radiograph was processed."""
        try:
            content = read_study(self.orthanc, study, self.processor.application.algorithm.weights)
            if content.radiographs:
                self._process(study, content.radiographs)
            self.state.end(study)
            self.postponed.discard(study)
            self.backlog.done([study, *also, *content.instances])
            return bool(content.radiographs)
        except GoneError as error:
            # It was deleted, wholly or in part.
            logger.debug("%s", error)
            self.postponed.discard(study)
            self.backlog.done([study, *also])
            return False
        except _FAILURES as error:  # a study that cannot be processed now must not block the others
            self.postponed.add(study)
            delay = self.backlog.postpone(study)
            logger.warning("study %s: postponed for at least %.0f s: %s", study, delay, self._reason(error))
            return False

    def _process(self, study: str, radiographs: list[str]) -> None:
        """Process the radiographs of a study together; after a try that came to nothing, each of them alone.

        A radiograph that comes to nothing several times gets an outcome that says so. Tries are counted on the disk,
        because one may end the process.

        Raises:
            LungsegError: the study or some radiograph must be tried again.
        """
        tries = self.state.tries(study)
        if not tries:
            self.state.begin(study)
            logger.info("study %s: %s", study, self.processor(study, radiographs))
            return
        failures: list[BaseException] = []
        for instance in radiographs:
            if self.state.tries(instance) >= _MOST_TRIES:
                self._give_up(instance, None)
                continue
            self.state.begin(instance)
            try:
                logger.info("study %s, instance %s: %s", study, instance, self.processor(study, [instance]))
            except GoneError as error:
                logger.debug("%s", error)
            except KeyboardInterrupt:
                self.state.end(instance)
                raise
            except _FAILURES as error:
                if not _is_its_own(error):
                    # Whatever is wrong, it is not this radiograph.
                    self.state.end(instance)
                    raise
                if self.state.tries(instance) < _MOST_TRIES:
                    failures.append(error)
                    continue
                self._give_up(instance, error)
            self.state.end(instance)
        if failures:
            raise failures[0]

    def _give_up(self, instance: str, error: BaseException | None) -> None:
        why = self._reason(error).what if error else "the worker was ended"
        with suppress(GoneError):
            self.processor.give_up(instance, f"{why}, in each of {_MOST_TRIES} tries")
        self.state.end(instance)

    def _reason(self, error: BaseException) -> LungsegError:
        if isinstance(error, OSError) and error.errno is not None:
            return writing_failed(error, self.processor.folder / "in")
        return as_lungseg_error(error, "it could not be processed")

    def _save(self) -> None:
        sequence = self.backlog.sequence
        if sequence == self.saved:
            return
        try:
            self.state.save(sequence)
            self.saved = sequence
        except LungsegError as error:
            # The older number is good too: the worker finds the outcomes of studies that are done.
            logger.warning("change %d could not be saved as done: %s", sequence, error)

    def _resubmit(self) -> None:
        if self.processor.send_to and time.monotonic() >= self.resubmit_at:
            self.resubmit_at = time.monotonic() + _RESUBMIT_EVERY
            try:
                number = self.orthanc.resubmit_failed(self.processor.send_to)
            except (UnavailableError, UsageError):
                raise
            except LungsegError as error:
                logger.warning("failed jobs could not be repeated: %s", error)
                return
            if number:
                logger.info("%d failed jobs that send to %s are repeated", number, ", ".join(self.processor.send_to))
