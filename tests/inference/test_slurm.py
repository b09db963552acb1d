# SPDX-License-Identifier: Apache-2.0
"""The recipe for Slurm in docs/scale.md, with a pretended `sbatch` that runs the tasks of an array at the same time."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text("utf-8")

_SBATCH = """#!/bin/bash
# Reads the array of a job's script as Slurm does, and waits for the tasks, so that dependencies hold by themselves.
[ "$1" = --parsable ] && { parsable=yes; shift; }
case "$1" in --dependency=afterany:4711) shift ;; --dependency=*) exit 1 ;; esac
if [ "$1" = --wrap ]; then bash -c "$2" > merge.log 2>&1; echo $? > merge.status; exit 0; fi
range=$(sed -n 's/^#SBATCH --array=//p' "$1"); first=${range%-*}; last=${range#*-}
for task in $(seq "$first" "$last"); do
  SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_COUNT=$((last - first + 1)) SLURM_ARRAY_TASK_MIN=$first \\
    SLURM_ARRAY_TASK_MAX=$last SLURM_ARRAY_TASK_STEP=1 bash "$1" > "task-$task.log" 2>&1 &
done
wait
[ -n "$parsable" ] && echo 4711
"""


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_the_recipe_segments_each_file_once(dataset, run_folder, tmp_path):
    archive, results, programs = (tmp_path / name for name in ("archive", "results", "bin"))
    archive.mkdir()
    programs.mkdir()
    for path in sorted((dataset / "CXR_png").iterdir()):
        shutil.copy(path, archive)
    program(programs, "sbatch", _SBATCH)
    program(programs, "srun", '#!/bin/bash\nexec "$@"\n')
    program(programs, "lungseg", f'#!/bin/bash\nexec {sys.executable} -m lungseg "$@"\n')
    section = _PAGE[_PAGE.index("## A job array of Slurm") : _PAGE.index("## Ray")]
    script, commands = (
        text.replace("/archive", str(archive)).replace("/results", str(results))
        for text in re.findall(r"^```(?:ba)?sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    )
    script = script.replace("--part slurm", f"--part slurm --weights {run_folder}").replace("=1-16", "=1-3")
    (tmp_path / "segment.sbatch").write_text(script)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}

    def submit() -> str:
        subprocess.run(["bash", "-e", "-c", commands], cwd=tmp_path, env=environment, timeout=540, check=True)
        logs = [(tmp_path / f"task-{task}.log").read_text() for task in (1, 2, 3)]
        merged = (tmp_path / "merge.log").read_text()
        assert (tmp_path / "merge.status").read_text() == "0\n", "\n".join([*logs, merged])
        return "\n".join(logs)

    said = submit()
    names = sorted(path.stem for path in archive.iterdir())
    with (results / "report.csv").open(newline="", encoding="utf-8") as file:
        assert [row["name"] for row in csv.DictReader(file)] == names
    assert sorted(path.stem for path in (results / "labels").iterdir()) == names
    assert "settings)" not in said
    assert sum(map(int, re.findall(r"settings\): (\d+)", submit()))) == len(names)
