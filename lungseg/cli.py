# SPDX-License-Identifier: Apache-2.0
"""The command `lungseg`: parses, calls, prints.

Exit status: 0 all well, 1 some inputs failed, 2 wrong use, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shlex
import signal
import sys
import threading

from lungseg import __version__
from lungseg.inference.outputs import DEFAULT_KINDS, KINDS
from lungseg.model.backends import ENGINES, EXPORT_FORMATS, PRECISIONS
from lungseg.utils.errors import LungsegError, UsageError, first_line
from lungseg.utils.imports import hush_libraries, leave_out_monai_deploy
from lungseg.utils.text import printable

_LAYOUTS = """Known without options, in DIR or up to two levels below it: CXR_png/ (or images/) beside masks/, beside
label maps (0, 1 right lung, 2 left lung) in left_right_labels/, label_maps/ or labels/, or beside ManualMask/ or masks/
with a folder for each lung (leftMask/, right lung/). A mask has its image's name, with or without a suffix. Any two
folders do as --images and --masks, sub-folders included."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    options.own_process = arguments is None
    _settle()
    if options.own_process:
        sys.unraisablehook = _repeat_ctrl_c
        if options.run not in (_deploy_run, _deploy_watch):
            leave_out_monai_deploy()
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


def _hush_worker(kind: type[BaseException], error: BaseException, trace) -> None:
    """Report an exception that nobody caught, unless it is a worker's, which was left while it handed over a batch."""
    if multiprocessing.parent_process() is None or not isinstance(error, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


def _settle() -> None:
    """Keep the libraries' notices from the terminal, and let it show names that it has no characters for."""
    # There is none where the shell closed it.
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.reconfigure(errors="backslashreplace")
    hush_libraries()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lungseg",
        description="Lung segmentation from chest radiographs. Not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"lungseg {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_predict(commands.add_parser("predict", help="segment radiographs"))
    _add_train(commands.add_parser("train", help="train on a folder of radiographs and masks"))
    _add_evaluate(commands.add_parser("evaluate", help="measure weights on radiographs with masks"))
    what = "pair images with masks and say what is wrong"
    _add_check(commands.add_parser("check-data", help=what, description=f"{what.capitalize()}. {_LAYOUTS}"))
    what = "segment, train and evaluate in about two minutes, with nothing to download"
    demo = commands.add_parser("demo", help=what)
    demo.add_argument("--output", default="lungseg-demo", help="folder for the results (default: lungseg-demo)")
    demo.set_defaults(run=_demo)
    what = "write the network as ONNX and OpenVINO files, compared with PyTorch"
    _add_export(commands.add_parser("export", help=what))
    deploy = commands.add_parser("deploy", help="DICOM studies in, DICOM results out: the MONAI Deploy application")
    _add_deploy(deploy.add_subparsers(required=True, metavar="run|watch"))
    label = commands.add_parser("label", help="annotate in the browser, and train on it: the MONAI Label app")
    _add_label(label.add_subparsers(required=True, metavar="start|check"))
    pack = commands.add_parser("pack", help="zip the bundle with its code")
    pack.add_argument(
        "--output", default="lung_cxr_segmentation.zip", help="file to write (default: lung_cxr_segmentation.zip)"
    )
    pack.set_defaults(run=_pack)
    return parser


def _add_predict(predict: argparse.ArgumentParser) -> None:
    predict.add_argument("inputs", nargs="+", metavar="INPUT", help="files and folders: PNG, JPEG, TIFF, DICOM, NIfTI")
    predict.add_argument(
        "-o", "--output", required=True, help="folder for the reports, and for a folder of each kind of output"
    )
    _add_weights(predict)
    predict.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default: auto)")
    predict.add_argument("--engine", default="torch", choices=ENGINES, help="what computes (default: torch)")
    predict.add_argument(
        "--precision",
        default="fp32",
        choices=PRECISIONS,
        help="of the networks (default: fp32); bf16 is faster, and may move a border by a pixel",
    )
    predict.add_argument(
        "--batch-size", type=_at_least_one, metavar="N", help="files per worker and turn (default: 1, on a GPU 8)"
    )
    predict.add_argument(
        "--workers",
        type=_at_least_one,
        metavar="N",
        help="files at the same time (default: one more than cores, up to 8)",
    )
    predict.add_argument("--overwrite", action="store_true", help="segment again what an earlier run finished")
    predict.add_argument(
        "--strict", action="store_true", help="a flagged radiograph has failed: nothing is written of it"
    )
    predict.add_argument(
        "--save",
        action="extend",
        type=lambda text: text.split(","),
        default=[],
        metavar="KIND[,KIND…]",
        help=f"write these too: {', '.join(kind for kind in KINDS if kind not in DEFAULT_KINDS)}",
    )
    for kind in DEFAULT_KINDS:
        predict.add_argument(f"--no-{kind}", action="append_const", dest="leave_out", const=kind, help=f"no {kind}")
    predict.set_defaults(run=_predict, leave_out=[])


def _add_train(train: argparse.ArgumentParser) -> None:
    _add_data(train)
    train.add_argument("--output", default="runs/lungs", help="folder of the run (default: runs/lungs)")
    train.add_argument("--epochs", type=_at_least_one, help="at most so many epochs (default: 60)")
    train.add_argument(
        "--init", metavar="WEIGHTS", help="start from these weights: shipped, montgomery, a file or a run"
    )
    train.add_argument("--resume", action="store_true", help="go on with the run in --output; give no other option")
    train.add_argument(
        "--config",
        nargs="+",
        action="extend",
        default=[],
        metavar="ID=VALUE",
        help="override items of train.json, such as batch_size=4",
    )
    train.set_defaults(run=_train)


def _add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    _add_data(evaluate)
    evaluate.add_argument(
        "--split",
        default="test",
        choices=["train", "validation", "test", "all"],
        help="list to measure (default: test)",
    )
    _add_weights(evaluate)
    evaluate.add_argument("--output", default="evaluation", help="folder for the figures (default: evaluation)")
    evaluate.add_argument(
        "--config",
        nargs="+",
        action="extend",
        default=[],
        metavar="ID=VALUE",
        help="override items of the config, such as threshold=0.5",
    )
    evaluate.set_defaults(run=_evaluate)


def _add_check(check: argparse.ArgumentParser) -> None:
    _add_data(check, positional=True)
    check.add_argument("--sheet", default="contact-sheet.png", help="picture to write (default: contact-sheet.png)")
    check.add_argument("--strict", action="store_true", help="any problem is an error")
    check.set_defaults(run=_check_data)


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("-o", "--output", required=True, help="folder for model.onnx, model.xml and model.bin")
    _add_weights(export)
    export.add_argument(
        "--format", nargs="+", dest="formats", default=EXPORT_FORMATS, choices=EXPORT_FORMATS, help="(default: both)"
    )
    export.add_argument(
        "--check",
        nargs="+",
        default=[],
        metavar="INPUT",
        help="radiographs to compare label maps on (default: phantoms)",
    )
    export.set_defaults(run=_export)


def _add_deploy(commands) -> None:
    run = commands.add_parser("run", help="process a folder of DICOM studies once")
    run.add_argument("-i", "--input", required=True, help="folder with DICOM studies")
    run.add_argument("-o", "--output", required=True, help="folder for the results")
    _add_application(run)
    run.set_defaults(run=_deploy_run)

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
    watch.set_defaults(run=_deploy_watch)


def _add_application(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--model", metavar="BUNDLE", help="a bundle's folder or TorchScript file (default: ours)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--config", metavar="FILE", help="settings instead of those in workflows/deploy/app.yaml")


def _add_label(commands) -> None:
    start = commands.add_parser("start", help="start the server; builds its environment once")
    check = commands.add_parser("check", help="say what is wrong with the set-up")
    for parser in (start, check):
        required = parser is start
        parser.add_argument(
            "--studies", required=required, metavar="DIR_OR_URL", help="radiographs, or DICOMweb service"
        )
        parser.add_argument("--port", type=_at_least_one, default=8000, help="(default: 8000)")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine alone)")
        parser.add_argument(
            "--work", metavar="DIR", help="folder for weights and logs (default: in the studies' folder)"
        )
        _add_weights(parser)
        parser.add_argument("--original-data", metavar="DIR", help="data set that the weights saw, to train on too")
    start.set_defaults(run=_label_start)
    check.set_defaults(run=_label_check)


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        metavar="WEIGHTS",
        help="shipped (default), montgomery (trained without the non-commercial masks, unlike what judges results), a "
        "file, or a run's folder",
    )


def _add_data(parser: argparse.ArgumentParser, positional: bool = False) -> None:
    name = {"dest": "data", "metavar": "DIR", "help": "folder of the data set"}
    if positional:
        parser.add_argument("data", nargs="?", metavar="DIR", help=name["help"])
    else:
        parser.add_argument("--data", **name)
    parser.add_argument("--images", help="folder of images, instead of one that holds both")
    parser.add_argument("--masks", help="folder of masks, instead of one that holds both")
    parser.add_argument("--mask-suffix", help="what a mask's name has after its image's (default: _mask, or nothing)")
    if not positional:
        parser.add_argument("--sets", nargs="+", action="extend", help="use only these sets, such as montgomery")
        parser.add_argument(
            "--splits",
            metavar="FILE",
            help="JSON file with the split; written if it is not there (default: a seeded split, which images that are "
            "added change; weights of a run are measured by the run's splits.json)",
        )
        parser.add_argument("--patients", help="regular expression or CSV file that tells an image's patient")


def _data_overrides(options: argparse.Namespace) -> dict:
    """Turn the options of `_add_data` into overrides of the config's data source."""
    if options.data is None and options.images is None:
        raise UsageError("no data set was named", remedy="give --data DIR, or --images DIR and --masks DIR")
    overrides = {"dataset_dir": options.data}
    named = {
        "images": options.images,
        "masks": options.masks,
        "mask_suffix": options.mask_suffix,
        "sets": options.sets,
        "splits_file": options.splits,
        "patients": options.patients,
    }
    return overrides | {f"data_source#{name}": value for name, value in named.items() if value is not None}


def _predict(options: argparse.Namespace) -> int:
    if options.own_process:
        from lungseg.allocator import keep_freed_memory
        from lungseg.utils.imports import import_monai_quickly

        import_monai_quickly()
        keep_freed_memory()

    from tqdm import tqdm

    from lungseg.inference.predict import predict
    from lungseg.utils.distributed import launched_rank

    kinds = [kind for kind in (*DEFAULT_KINDS, *options.save) if kind not in options.leave_out]
    look = "look at its overlay" if "overlays" in kinds else "look at it"
    # Of the processes that torchrun starts, one speaks for all.
    first = launched_rank() == 0
    bar = tqdm(unit="image", disable=None if first else True)

    def done(index: int, total: int, row) -> None:
        bar.total = total
        bar.update()
        if row.reason:
            hint = f"; {look}" if row.status == "flagged" else ""
            text = row.reason if row.status == "failed" else f"{printable(row.file)}: {row.reason}{hint}."
            tqdm.write(f"lungseg: {row.status}: {text}", file=sys.stderr)

    with bar:
        rows = predict(
            options.inputs,
            options.output,
            options.weights,
            options.device,
            done,
            tqdm.write if first else lambda line: None,
            kinds,
            engine=options.engine,
            precision=options.precision,
            batch_size=options.batch_size,
            workers=options.workers,
            processes=None if options.own_process else False,
            overwrite=options.overwrite,
            strict=options.strict,
        )
    if not first:
        return 0
    count = {status: sum(row.status == status for row in rows) for status in ("ok", "flagged", "failed")}
    told = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    print(f"{told}: see {os.path.join(options.output, 'report.csv')}")
    return 1 if count["failed"] else 0


def _train(options: argparse.Namespace) -> int:
    from lungseg.model.config import parse_overrides
    from lungseg.training.train import train

    given = [options.data, options.images, options.masks, options.mask_suffix]
    given += [options.sets, options.splits, options.patients]
    if options.resume and any(given):
        raise UsageError("a resumed run keeps its settings", options.output, "give --resume and --output alone")
    overrides = {} if options.resume else _data_overrides(options)
    if options.epochs is not None:
        overrides["epochs"] = options.epochs
    own = {"output_dir": "--output", "init": "--init", "resume": "--resume"}
    overrides |= parse_overrides(options.config, own | ({} if options.epochs is None else {"epochs": "--epochs"}))
    if options.own_process:
        sys.excepthook = _hush_worker
    try:
        train(options.output, overrides, options.init, options.resume)
    except KeyboardInterrupt:
        again = f"lungseg train --resume --output {shlex.quote(options.output)}"
        print(f"\nlungseg: stopped; go on with: {again}", file=sys.stderr)
        return 130
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from lungseg.evaluation.evaluate import evaluate
    from lungseg.model.config import parse_overrides
    from lungseg.report.text import format_summary

    own = {"output_dir": "--output", "split": "--split", "weights": "--weights"}
    overrides = _data_overrides(options) | parse_overrides(options.config, own)
    summary = evaluate(options.output, options.split, options.weights, overrides)
    print(format_summary(summary))
    print(f"Cases, pictures and the page to look at: {os.path.join(options.output, 'index.html')}")
    return 0


def _check_data(options: argparse.Namespace) -> int:
    from lungseg.data import check_data, contact_sheet, find_data

    if options.data is None and options.images is None:
        raise UsageError("no data set was named", remedy="give its folder, or --images DIR and --masks DIR")
    if not options.sheet.lower().endswith(".png"):
        raise UsageError("the contact sheet is a PNG", options.sheet, "let its name end in .png")
    suffix = {} if options.mask_suffix is None else {"mask_suffix": options.mask_suffix}
    result = check_data(find_data(options.data, options.images, options.masks, **suffix))
    print(result)
    missing = contact_sheet(result, options.sheet)
    if missing is not None:
        more = f"; {missing} more cases with a problem are not on it" if missing else ""
        print(f"Contact sheet: {options.sheet}{more}")
    result.refuse_unusable()
    return 1 if options.strict and result.problems else 0


def _demo(options: argparse.Namespace) -> int:
    from lungseg.demo import demo

    demo(options.output)
    return 0


def _export(options: argparse.Namespace) -> int:
    from lungseg.inference.export import export

    files, parities = export(options.output, options.weights, options.formats, options.check)
    images = parities[0].images
    print(f"Compared with PyTorch in fp32 on {images} radiograph{'s' * (images != 1)}:")
    for parity in parities:
        print(f"  {parity}")
    for file in files:
        print(file)
    return 0


def _deploy_run(options: argparse.Namespace) -> int:
    from lungseg.workflows.deploy.run import run

    return run(options.input, options.output, options.model, options.device, options.config)


def _deploy_watch(options: argparse.Namespace) -> int:
    from lungseg.workflows.deploy.cuda_runtime import prepare_runtime

    prepare_runtime()
    import functools

    from lungseg.workflows.deploy.orthanc.watch import watch

    watch(
        options.orthanc,
        options.model,
        options.device,
        options.config,
        credentials_file=options.credentials,
        state=options.state,
        since=options.since,
        send_to=options.send_to,
        dry_run=options.dry_run,
        once=options.once,
        say=functools.partial(print, flush=True),
    )
    return 0


def _label_start(options: argparse.Namespace) -> int:
    from lungseg.workflows.label.setup.start import start

    start(options.studies, options.port, options.host, options.work, options.weights, options.original_data)
    return 0


def _label_check(options: argparse.Namespace) -> int:
    from lungseg.workflows.label.setup.check import check

    faults = check(options.studies, options.port, options.host, options.work, options.weights, options.original_data)
    return 1 if faults else 0


def _pack(options: argparse.Namespace) -> int:
    from lungseg.model.pack import pack

    print(pack(options.output))
    return 0
