# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.safety`: rewrite the table of `docs/safety.md`: each risk, its measure, and the tests of it.

The risks are in `docs/safety.toml`; a test names the risk that it holds by the marker `@pytest.mark.safety("slug")`.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

from benchmarks.record import ROOT
from benchmarks.tables import markdown_table, rewrite_tables
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path
from recipes.command import run

RISKS, PAGE, TESTS = ROOT / "docs" / "safety.toml", ROOT / "docs" / "safety.md", ROOT / "tests"
_MARKER = "pytest.mark.safety"
_HEADER = ("Risk", "Measure", "Tests")


def main(arguments: list[str] | None = None) -> None:
    """Rewrite the page.

    Raises:
        LungsegError: risks and markers do not belong together.
    """
    ArgumentParser(prog="python -m benchmarks.safety", description=__doc__).parse_args(arguments)
    risks, tests = read_risks(), find_tests()
    if faults := find_faults(risks, tests):
        raise LungsegError("; ".join(faults), RISKS, "correct the file or the markers of the tests")
    with atomic_path(PAGE) as path:
        path.write_text(page(PAGE.read_text("utf-8"), risks, tests), encoding="utf-8")


def read_risks(file: Path = RISKS) -> dict:
    """Return the content of the file of risks: `rooms`, their names in order; and slug -> {room, risk, measure}.

    Raises:
        LungsegError: it is not valid TOML, for example because a slug stands in it twice.
    """
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise LungsegError(f"the risks cannot be read ({error})", file, "correct it") from error


def find_tests(folder: Path = TESTS) -> dict[str, list[tuple[str, Path]]]:
    """Return slug -> name and file of each marked test, without importing any.

    Raises:
        LungsegError: a marker does not name one risk.
    """
    found: dict[str, list[tuple[str, Path]]] = {}
    for file in sorted(folder.rglob("*.py")):
        for slug, name in _markers(ast.parse(file.read_text("utf-8")), file, file.stem):
            if (name, file) not in found.setdefault(slug, []):
                found[slug].append((name, file))
    return found


def _markers(node: ast.AST, file: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield the risk of each marker, and the name of the innermost function, class or file around it."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        name = node.name
    if isinstance(node, ast.Call) and ast.unparse(node.func) == _MARKER:
        slugs = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        if len(slugs) != 1:
            where = f"{file}:{node.lineno}"
            raise LungsegError("this marker does not name one risk", where, "give it one slug in quotes")
        yield slugs[0], name
    for child in ast.iter_child_nodes(node):
        yield from _markers(child, file, name)


def find_faults(risks: dict, tests: dict[str, list[tuple[str, Path]]]) -> list[str]:
    """Return a sentence for each risk or marker without its partner, and for each risk that is not complete."""
    rows = _rows(risks)
    faults = [f"the risk of the marker {slug!r} is not in it" for slug in sorted(tests.keys() - rows.keys())]
    faults += [f"no test has the marker {slug!r}" for slug in sorted(rows.keys() - tests.keys())]
    for slug, row in rows.items():
        if row.keys() != {"room", "risk", "measure"} or row["room"] not in risks["rooms"]:
            faults.append(f"{slug!r} needs a known room, a risk and a measure")
    return faults


def page(text: str, risks: dict, tests: dict[str, list[tuple[str, Path]]]) -> str:
    """Return the page with the table of each room."""
    parts = []
    for room in risks["rooms"]:
        rows = [
            [row["risk"], row["measure"], "<br>".join(_link(*test) for test in tests[slug])]
            for slug, row in _rows(risks).items()
            if row["room"] == room
        ]
        if rows:
            parts.append(f"## {room}\n\n{markdown_table(_HEADER, rows, range(len(_HEADER)))}")
    return rewrite_tables(text, {"safety": "\n\n".join(parts)})


def _rows(risks: dict) -> dict[str, dict[str, str]]:
    return {slug: row for slug, row in risks.items() if slug != "rooms"}


def _link(name: str, file: Path) -> str:
    """Return a link to the file of a test whose text is the test's name as a sentence."""
    words = name.removeprefix("test_").replace("_", " ")
    return f"[{words}](../{file.relative_to(ROOT).as_posix()})"


if __name__ == "__main__":
    sys.exit(run(main))
