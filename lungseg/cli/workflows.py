# SPDX-License-Identifier: Apache-2.0
"""`lungseg deploy` and `lungseg label`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lungseg.cli.options import add_command, add_device, add_output, add_trust, add_weights, at_least_one

if TYPE_CHECKING:
    from lungseg.cli.options import Commands


def add_deploy(commands: Commands) -> None:
    """Add `lungseg deploy run` and `lungseg deploy watch`."""
    purpose = "DICOM studies in, DICOM results out: the MONAI Deploy application"
    deploy = commands.add_parser("deploy", help=purpose, description=f"{purpose}.")
    doors = deploy.add_subparsers(required=True, metavar="run|watch")

    example = "lungseg deploy run -i studies -o results"
    run = add_command(doors, "run", "process a folder of DICOM studies once", example, deploy_run)
    run.add_argument("-i", "--input", required=True, metavar="DIR", help="folder with DICOM studies")
    add_output(run, "folder for the results")
    _add_application(run)

    example = "lungseg deploy watch --orthanc http://127.0.0.1:8042 --credentials orthanc.txt"
    purpose = "process each study that arrives in an Orthanc, and store the results in it"
    watch = add_command(doors, "watch", purpose, example, deploy_watch)
    watch.add_argument("--orthanc", required=True, metavar="URL", help="such as http://127.0.0.1:8042")
    watch.add_argument(
        "--credentials",
        metavar="FILE",
        help="file with user:password (default: LUNGSEG_ORTHANC_USER and LUNGSEG_ORTHANC_PASSWORD)",
    )
    watch.add_argument("--state", metavar="DIR", help="folder of the state (default: under ~/.local/state/lungseg)")
    watch.add_argument(
        "--since", type=int, metavar="N", help="start after change N of the feed; 0 takes all studies that are there"
    )
    watch.add_argument("--send-to", action="append", metavar="NAME", help="modality to which Orthanc sends the results")
    watch.add_argument("--dry-run", action="store_true", help="only list the studies that would be processed")
    watch.add_argument("--once", action="store_true", help="stop when no study is left")
    _add_application(watch)


def _add_application(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-m", "--model", metavar="BUNDLE", help="folder or TorchScript file of a bundle (default: the shipped bundle)"
    )
    add_trust(parser, "the bundle")
    add_device(parser)
    parser.add_argument(
        "--settings", metavar="FILE", help="YAML file to use instead of the application's own app.yaml (docs/deploy.md)"
    )


def add_label(commands: Commands) -> None:
    """Add `lungseg label start` and `lungseg label check`."""
    purpose = "annotate in the browser, and train on the annotations: the MONAI Label app"
    label = commands.add_parser("label", help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    doors = label.add_subparsers(required=True, metavar="start|check")
    example = "lungseg label start --studies radiographs"
    start = add_command(doors, "start", "start the server; the first start builds its environment", example, _start)
    example = "lungseg label check --studies radiographs"
    check = add_command(doors, "check", "list the problems of a set-up", example, _check)
    for parser in (start, check):
        parser.add_argument(
            "--studies",
            required=parser is start,
            metavar="DIR_OR_URL",
            help="folder of radiographs, or address of a DICOMweb service",
        )
        parser.add_argument("--port", type=at_least_one, default=8000, metavar="N", help="(default: 8000)")
        parser.add_argument(
            "--host",
            default="127.0.0.1",
            metavar="ADDRESS",
            help="address of this machine at which the server listens (default: reachable from this machine only)",
        )
        parser.add_argument(
            "--workspace",
            metavar="DIR",
            help="folder for weights and logs (default: in the folder of the studies, or under ~/.local/state/lungseg)",
        )
        add_weights(parser)
        add_trust(parser, "the folder of a run, or the workspace,")
        parser.add_argument(
            "--replay-data", metavar="DIR", help="data set of the first weights, mixed into each training"
        )


def deploy_run(options: argparse.Namespace) -> int:
    """Run the MONAI Deploy application once."""
    from lungseg.workflows.deploy.run import run

    return run(options.input, options.output, options.model, options.device, options.settings, options.trust)


def deploy_watch(options: argparse.Namespace) -> int:
    """Follow an Orthanc."""
    from lungseg.workflows.deploy.cuda_runtime import prepare_runtime

    prepare_runtime()
    from lungseg.workflows.deploy.orthanc.watch import watch

    watch(
        options.orthanc,
        options.model,
        options.device,
        options.settings,
        credentials_file=options.credentials,
        state=options.state,
        since=options.since,
        send_to=options.send_to,
        dry_run=options.dry_run,
        once=options.once,
        trust=options.trust,
    )
    return 0


def _start(options: argparse.Namespace) -> int:
    from lungseg.workflows.label.setup.start import start

    start(*_label_arguments(options))
    return 0


def _check(options: argparse.Namespace) -> int:
    from lungseg.workflows.label.setup.check import check

    return 1 if check(*_label_arguments(options)) else 0


def _label_arguments(options: argparse.Namespace) -> tuple[str, int, str, str | None, str | None, str | None, bool]:
    """Return the arguments that `start` and `check` share, in their order."""
    return (
        options.studies,
        options.port,
        options.host,
        options.workspace,
        options.weights,
        options.replay_data,
        options.trust,
    )
