# SPDX-License-Identifier: Apache-2.0
"""The server's process in MONAI Label's environment: `python -m lungseg.workflows.label.setup.serve`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Configure MONAI Label for radiographs, and start its server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", required=True)
    parser.add_argument("--workspace", required=True, type=Path)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--conf", nargs=2, action="append", default=[])
    options = parser.parse_args()

    for name, value in _settings(options.host, options.workspace).items():
        os.environ.setdefault(name, value)

    from lungseg.workflows.label.setup.torchvision_stub import declare_operators

    declare_operators()
    from lungseg.workflows.label.server.connections import Server

    conf = [part for pair in options.conf for part in ("--conf", *pair)]
    address = ["--host", options.host, "--port", str(options.port)]
    server = ["--uvicorn_app", "lungseg.workflows.label.server.web:app"]
    app = ["--app", str(options.workspace), "--studies", options.studies]
    sys.argv = ["monailabel", "start_server", *app, *conf, *address, *server]
    Server().run()


def _settings(host: str, workspace: Path) -> dict[str, str]:
    """Return MONAI Label's settings; environment variables that the user sets take precedence."""
    from lungseg.utils.parallel import core_count
    from lungseg.workflows.label.server.same_origin import LISTENS_AT
    from lungseg.workflows.label.store.study_files import PATTERNS

    return {
        LISTENS_AT: host,
        "MONAI_LABEL_DATASTORE_FILE_EXT": json.dumps(PATTERNS),
        # As many images at a time as there are cores, each with one core; the others wait.
        "MONAI_LABEL_INFER_CONCURRENCY": str(core_count()),
        # These write the list of studies from other processes, or unpack archives.
        "MONAI_LABEL_TASKS_BATCH_INFER": "false",
        "MONAI_LABEL_TASKS_SCORING": "false",
        "MONAI_LABEL_SESSIONS": "false",
        "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(workspace / "dicomweb"),
    }


if __name__ == "__main__":
    main()
