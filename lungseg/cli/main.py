# SPDX-License-Identifier: Apache-2.0
"""The command `lungseg`: parses, calls, prints.

Exit status: 0 all well, 1 some inputs failed, 2 wrong use, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from lungseg.cli.bundle import add_export, run_demo, run_pack
from lungseg.cli.console import configure_console
from lungseg.cli.data import LAYOUTS, add_check
from lungseg.cli.predict import add_predict
from lungseg.cli.train import add_evaluate, add_train
from lungseg.cli.workflows import add_deploy, add_label, deploy_run, deploy_watch
from lungseg.utils.errors import LungsegError, UsageError, first_line
from lungseg.utils.imports import block_monai_deploy
from lungseg.version import __version__


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    options.own_process = arguments is None
    configure_console()
    if options.own_process:
        sys.unraisablehook = _repeat_ctrl_c
        if options.run not in (deploy_run, deploy_watch):
            block_monai_deploy()
    try:
        return options.run(options)
    except UsageError as error:
        print(f"lungseg: {error}", file=sys.stderr)
        return 2
    except LungsegError as error:
        print(f"lungseg: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nlungseg: stopped; what was finished is kept.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("LUNGSEG_TRACEBACK"):
            raise
        remedy = "if it is no lack of memory or disk, report what LUNGSEG_TRACEBACK=1 prints"
        print(f"lungseg: {LungsegError(f'stopped by {first_line(error)}', remedy=remedy)}", file=sys.stderr)
        return 1


def _repeat_ctrl_c(ignored: sys.UnraisableHookArgs) -> None:
    """Interrupt again a moment later where Python could only report a Ctrl-C: in callbacks of a fork and finalizers."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
    else:
        sys.__unraisablehook__(ignored)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lungseg",
        description="Lung segmentation from chest radiographs. Not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"lungseg {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_predict(commands.add_parser("predict", help="segment radiographs"))
    add_train(commands.add_parser("train", help="train on a folder of radiographs and masks"))
    add_evaluate(commands.add_parser("evaluate", help="measure weights on radiographs with masks"))
    what = "pair images with masks and say what is wrong"
    add_check(commands.add_parser("check-data", help=what, description=f"{what.capitalize()}. {LAYOUTS}"))
    what = "segment, train and evaluate in about two minutes, with nothing to download"
    demo = commands.add_parser("demo", help=what)
    demo.add_argument("--output", default="lungseg-demo", help="folder for the results (default: lungseg-demo)")
    demo.set_defaults(run=run_demo)
    what = "write the network as ONNX and OpenVINO files, compared with PyTorch"
    add_export(commands.add_parser("export", help=what))
    deploy = commands.add_parser("deploy", help="DICOM studies in, DICOM results out: the MONAI Deploy application")
    add_deploy(deploy.add_subparsers(required=True, metavar="run|watch"))
    label = commands.add_parser("label", help="annotate in the browser, and train on it: the MONAI Label app")
    add_label(label.add_subparsers(required=True, metavar="start|check"))
    pack = commands.add_parser("pack", help="zip the bundle with its code")
    pack.add_argument(
        "--output", default="lung_cxr_segmentation.zip", help="file to write (default: lung_cxr_segmentation.zip)"
    )
    pack.set_defaults(run=run_pack)
    return parser
