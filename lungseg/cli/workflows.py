# SPDX-License-Identifier: Apache-2.0
"""`lungseg deploy` and `lungseg label`."""

from __future__ import annotations

import argparse

from lungseg.cli.options import add_weights, at_least_one


def add_deploy(commands) -> None:
    run = commands.add_parser("run", help="process a folder of DICOM studies once")
    run.add_argument("-i", "--input", required=True, help="folder with DICOM studies")
    run.add_argument("-o", "--output", required=True, help="folder for the results")
    _add_application(run)
    run.set_defaults(run=deploy_run)

    watch = commands.add_parser("watch", help="process each study that arrives in an Orthanc, and put results back")
    watch.add_argument("--orthanc", required=True, metavar="URL", help="such as http://127.0.0.1:8042")
    watch.add_argument(
        "--credentials",
        metavar="FILE",
        help="file with user:password (default: LUNGSEG_ORTHANC_USER and LUNGSEG_ORTHANC_PASSWORD)",
    )
    watch.add_argument("--state", metavar="DIR", help="folder of the state (default: under ~/.local/state/lungseg)")
    watch.add_argument("--since", type=int, metavar="N", help="begin after change N of the feed; 0 takes all there is")
    watch.add_argument("--send-to", action="append", metavar="NAME", help="modality that Orthanc sends the results to")
    watch.add_argument("--dry-run", action="store_true", help="only say what would be done")
    watch.add_argument("--once", action="store_true", help="stop when nothing is left to do")
    _add_application(watch)
    watch.set_defaults(run=deploy_watch)


def _add_application(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--model", metavar="BUNDLE", help="a bundle's folder or TorchScript file (default: ours)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument(
        "--settings", metavar="FILE", help="YAML file to use instead of the application's own app.yaml (docs/deploy.md)"
    )


def add_label(commands) -> None:
    start = commands.add_parser("start", help="start the server; builds its environment once")
    check = commands.add_parser("check", help="say what is wrong with the set-up")
    for parser in (start, check):
        required = parser is start
        parser.add_argument(
            "--studies", required=required, metavar="DIR_OR_URL", help="radiographs, or DICOMweb service"
        )
        parser.add_argument("--port", type=at_least_one, default=8000, help="(default: 8000)")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine alone)")
        parser.add_argument(
            "--work", metavar="DIR", help="folder for weights and logs (default: in the studies' folder)"
        )
        add_weights(parser)
        parser.add_argument("--replay-data", metavar="DIR", help="data set that the weights saw, to train on too")
    start.set_defaults(run=_label_start)
    check.set_defaults(run=_label_check)


def deploy_run(options: argparse.Namespace) -> int:
    from lungseg.workflows.deploy.run import run

    return run(options.input, options.output, options.model, options.device, options.settings)


def deploy_watch(options: argparse.Namespace) -> int:
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
    )
    return 0


def _label_start(options: argparse.Namespace) -> int:
    from lungseg.workflows.label.setup.start import start

    start(options.studies, options.port, options.host, options.work, options.weights, options.replay_data)
    return 0


def _label_check(options: argparse.Namespace) -> int:
    from lungseg.workflows.label.setup.check import check

    faults = check(options.studies, options.port, options.host, options.work, options.weights, options.replay_data)
    return 1 if faults else 0
