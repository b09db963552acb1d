# SPDX-License-Identifier: Apache-2.0
"""Pages as one HTML file that needs no other file and no network, made from the templates of this package."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import lru_cache
from os import PathLike
from typing import TYPE_CHECKING, Any

from lungseg.utils.files import atomic_path
from lungseg.utils.text import escape_control

# Imported when a page is made: most commands make none.
if TYPE_CHECKING:
    from jinja2 import Environment

# Pages and manifests say it.
PATIENT_DATA = "Contains patient data: names of files, and pictures. Share it only with those who may see them."


def write_page(path: str | PathLike[str], template: str, **context: Any) -> None:
    """Write a page, whole or not at all.

    Args:
        path: the HTML file.
        template: name of a file in the folder `templates`.
        **context: the template's variables; text is escaped, also characters that would turn or hide it. Generators are
            read while the page is written.

    Raises:
        LungsegError: the file cannot be written.
    """
    with (
        atomic_path(path) as temporary,
        # A file name may hold bytes that are not UTF-8.
        open(temporary, "w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        file.writelines(page_parts(template, **context))


def page_parts(template: str, **context: Any) -> Iterator[str]:
    """Yield a page piece by piece, for pages that are larger than memory should hold; see `write_page`."""
    return _environment().get_template(template).generate(**context)


def png_uri(content: bytes) -> str:
    """Return a URI that holds the PNG file `content`."""
    return _data_uri("png", content)


def jpeg_uri(content: bytes) -> str:
    """Return a URI that holds the JPEG file `content`."""
    return _data_uri("jpeg", content)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = PackageLoader("lungseg.report")
    environment = Environment(
        loader=loader,
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else escape_control(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Mappings keep their order, by which outlines lie on one another; pages of thousands of radiographs want no blanks.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    # Style sheets and scripts are not templates: their braces are their own.
    environment.globals["patient_data"] = PATIENT_DATA
    environment.globals["asset"] = lambda name: Markup(loader.get_source(environment, name)[0])
    return environment
