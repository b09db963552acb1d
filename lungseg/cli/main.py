# SPDX-License-Identifier: Apache-2.0
"""The command `lungseg`.

Exit status: 0 all well, 1 some inputs failed, 2 wrong use, 130 stopped by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import suppress

from lungseg.cli.bundle import add_export, add_pack
from lungseg.cli.compare import add_compare
from lungseg.cli.console import configure_console
from lungseg.cli.data import add_check
from lungseg.cli.demo import add_demo
from lungseg.cli.evaluate import add_evaluate
from lungseg.cli.kfold import add_kfold
from lungseg.cli.merge import add_merge
from lungseg.cli.options import find_in_working_directory, log_level
from lungseg.cli.predict import add_predict
from lungseg.cli.stopping import end_without_threads, ignore_stops, interrupt_again, stop_as_ctrl_c, stopped_status
from lungseg.cli.train import add_train
from lungseg.cli.unknown import refuse_unknown
from lungseg.cli.workflows import add_deploy, add_label, deploy_run, deploy_watch
from lungseg.utils.errors import LungsegError, UsageError, first_line
from lungseg.utils.imports import block_monai_deploy
from lungseg.version import __version__

logger = logging.getLogger(__name__)

_EPILOG = """
`lungseg COMMAND --help` shows the options of a command, and an example.
Exit status: 0 all well, 1 some inputs failed, 2 wrong use, 130 stopped by Ctrl-C, 143 by SIGTERM.

Environment variables:
  LUNGSEG_ORTHANC_USER, LUNGSEG_ORTHANC_PASSWORD
      account for `deploy watch`, instead of --credentials
  LUNGSEG_LABEL_ENVIRONMENT
      folder of the Python environment of MONAI Label (default: in the source tree,
      or under XDG_DATA_HOME)
  LUNGSEG_LABEL_PUBLIC_HOST
      host name under which a proxy offers the annotation page
  LUNGSEG_LABEL_ALLOWED_HOSTS
      further names, with commas between them, under which browsers may call it
  MONAI_LABEL_DICOMWEB_USERNAME, MONAI_LABEL_DICOMWEB_PASSWORD, MONAI_LABEL_QIDO_PREFIX
      account and path of the DICOMweb service of `label --studies URL`
  HOLOSCAN_INPUT_PATH, HOLOSCAN_OUTPUT_PATH, HOLOSCAN_MODEL_PATH
      folders in a MONAI Deploy package
  XDG_STATE_HOME, XDG_DATA_HOME
      folders that hold the state of `deploy watch` and `label` (default: ~/.local/state),
      and the environment of MONAI Label (default: ~/.local/share)
  OMP_NUM_THREADS
      threads of PyTorch
  SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT, SLURM_ARRAY_TASK_MIN, SLURM_ARRAY_TASK_STEP
      set by Slurm, for `predict --part slurm`
  AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_DEFAULT_REGION, and others of AWS's
      server, region and account (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE)
      for s3:// with `predict --ray`
  RAY_AUTH_MODE, RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH
      read by Ray: the token of the cluster that `predict --ray ADDRESS` joins
LUNGSEG_DATA and LUNGSEG_TEST_EVERYTHING are for the tests and benchmarks (CONTRIBUTING.md).
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options, unknown = _parser().parse_known_args(arguments)
    options.own_process = arguments is None
    if options.own_process and options.run not in (deploy_run, deploy_watch):
        block_monai_deploy()
    if unknown:
        refuse_unknown(options, unknown)
    configure_console(log_level(options), options.debug)
    if options.own_process:
        stop_as_ctrl_c()
        sys.unraisablehook = _repeat_ctrl_c
    if getattr(options, "trust", False):
        # Code of the user's own, which a run names.
        find_in_working_directory()
    try:
        status: int = options.run(options)
        return status
    except UsageError as error:
        _report(error)
        return 2
    except LungsegError as error:
        _report(error)
        return 1
    except KeyboardInterrupt:
        if options.own_process:
            ignore_stops()
        # The terminal may be gone.
        with suppress(OSError):
            print(f"\nlungseg: stopped; {options.when_stopped(options)}", file=sys.stderr)
        if options.own_process:
            end_without_threads(stopped_status())
        return stopped_status()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        what = f"stopped by {first_line(error)}"
        remedy = "if memory and disk are not full, run it again with --debug and report the output"
        _report(LungsegError(what, remedy=remedy, code="unexpected"))
        return 1


def _report(error: LungsegError) -> None:
    logger.debug("error code %s", error.code, exc_info=True)
    logger.error("%s", error)


def _repeat_ctrl_c(ignored: sys.UnraisableHookArgs) -> None:
    """Interrupt again a moment later where Python could only report a Ctrl-C: in callbacks of a fork and finalizers."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        interrupt_again()
    else:
        sys.__unraisablehook__(ignored)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lungseg",
        description="Segment the lungs on chest radiographs. Not a medical device.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lungseg {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    inference, training = (add_predict, add_merge), (add_train, add_evaluate, add_compare, add_kfold)
    for add in (*inference, *training, add_check, add_demo, add_export, add_deploy, add_label, add_pack):
        add(commands)
    return parser
