# SPDX-License-Identifier: Apache-2.0
"""Start Ray on this machine for one run, or join a cluster; both quietly."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from lungseg.utils.errors import LungsegError, UsageError, first_line
from lungseg.utils.scratch import scratch_folder
from lungseg.utils.signals import STOPS

_LOOPBACK = "127.0.0.1"
# Unix sockets lie below, and their names may have 107 bytes.
_LONGEST_PARENT = 23
# For the processes of Ray that this one starts, and for Ray in this process.
_VARIABLES = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
# Without it, Ray replaces 127.0.0.1 by another address of this machine, and listens on all of them.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        processors: number of CPUs.
        gpus: number of GPUs.
        scratch: a folder for temporary files that is removed at its end; None for a cluster that was joined.
    """

    processors: int
    gpus: int
    scratch: str | None


def check_installed() -> None:
    """Check that the packages of the extra are there.

    Raises:
        UsageError: one is missing.
    """
    if missing := next((name for name in ("ray", "pyarrow") if not _is_installed(name)), None):
        remedy = 'install it with pip install "lungseg[ray]"'
        raise UsageError(f"--ray needs the package {missing}", remedy=remedy, code="ray-missing")


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # an import of it was made to fail
        return False


@contextmanager
def own_cluster(processors: int, gpus: int | None, store_bytes: int) -> Iterator[Cluster]:
    """Start Ray on this machine, on its loopback address alone, and end it with the block.

    Args:
        processors: CPUs that it is told to have.
        gpus: GPUs that it is told to have; None for those that are there.
        store_bytes: size of the memory that its processes share.

    Raises:
        LungsegError: it does not start.
    """
    with scratch_folder(_short_parent()) as folder:
        scratch = folder / "scratch"
        scratch.mkdir()
        with _joined(
            # Other users of this machine do not know the token; without one, Ray makes one for good.
            _VARIABLES | _ALONE | {"RAY_AUTH_TOKEN": secrets.token_hex(32)},
            num_cpus=processors,
            num_gpus=gpus,
            object_store_memory=store_bytes,
            include_dashboard=False,
            _node_ip_address=_LOOPBACK,
            _temp_dir=str(folder),
        ):
            import ray

            if (address := ray.util.get_node_ip_address()) != _LOOPBACK:
                what = f"Ray listens on {address}, which other machines may reach"
                remedy = "start it yourself, and give its address: --ray ADDRESS"
                raise LungsegError(what, remedy=remedy, code="ray-not-local")
            yield Cluster(processors, _resources()[1], str(scratch))


@contextmanager
def joined_cluster(address: str) -> Iterator[Cluster]:
    """Join a cluster for the time of the block.

    Args:
        address: `host:port`, or "auto" for one that this machine is a part of.

    Raises:
        UsageError: there is no cluster.
    """
    with _joined(_VARIABLES, address=address):
        yield Cluster(*_resources(), None)


@contextmanager
def _joined(variables: dict[str, str], **options: Any) -> Iterator[None]:
    environment = {name: os.environ.get(name) for name in variables}
    os.environ |= variables
    import ray

    before = {number: signal.getsignal(number) for number in STOPS}
    try:
        try:
            with _silent():
                ray.init(configure_logging=False, log_to_driver=False, **options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = f"the cluster at {options['address']}" if "address" in options else "Ray"
            what = f"{where} cannot be {'joined' if 'address' in options else 'started'} ({first_line(error)})"
            remedy = (
                "check the address, that the versions of Ray and Python are the same, and RAY_AUTH_MODE and its token"
            )
            raise UsageError(what, remedy=remedy, code="no-cluster") from error
        finally:
            _restore(before)
        _quieten()
        yield
    finally:
        # A second Ctrl-C must not leave its processes behind.
        with suppress(Exception):
            ray.shutdown()
        for name, value in environment.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _silent() -> Iterator[None]:
    """Keep off the terminal that Ray's library says how much it will say; errors are raised anyway."""
    if logging.getLogger("lungseg").isEnabledFor(logging.DEBUG):
        yield
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _restore(handlers: Mapping[int, Any]) -> None:
    """Take signals back from Ray, whose handler ends the process at once."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            if callable(handler) or isinstance(handler, signal.Handlers):
                signal.signal(number, handler)


def _quieten() -> None:
    """Keep Ray Data's plans, hints and progress off the terminal."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)


def _resources() -> tuple[int, int]:
    import ray

    found = ray.cluster_resources()
    return int(found.get("CPU", 0)), int(found.get("GPU", 0))


def _short_parent() -> str:
    """Return a folder of temporary files in which that of Ray has a name that is short enough for it."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= _LONGEST_PARENT else "/tmp"
