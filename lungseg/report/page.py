# SPDX-License-Identifier: Apache-2.0
"""The parts of a report's page: one HTML file that needs no other file and no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np

_LONGEST_SIDE = 720

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --quiet: #595959; --ground: #fff; --line: #ddd; --strong: #888;
        --focus: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --quiet: #a8a8a8; --ground: #16181a; --line: #3a3d40; --strong: #777; --focus: #56b4e9; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 2rem auto;
       max-width: 76rem; padding: 0 1rem; }
h1 { margin-bottom: .2rem; } h2 { margin-top: 2.2rem; } .quiet { color: var(--quiet); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
caption { text-align: left; font-weight: 600; padding: .8rem 0 .3rem; }
thead th { border-bottom: 2px solid var(--strong); } th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--focus); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figure img { width: 100%; background: #000; } img { max-width: 100%; height: auto; }
figcaption { font-size: .9rem; }
"""

_SORTING = """
for (const button of document.querySelectorAll("table.sortable th button")) button.onclick = () => {
  const th = button.closest("th"), column = th.cellIndex, body = th.closest("table").tBodies[0];
  const up = th.getAttribute("aria-sort") !== "ascending";
  for (const other of th.parentNode.cells) other.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", up ? "ascending" : "descending");
  const value = row => row.cells[column].textContent, number = row => parseFloat(value(row));
  const text = th.classList.contains("text");
  const order = (a, b) => text ? value(a).localeCompare(value(b)) : number(a) - number(b);
  const rows = [...body.rows], full = rows.filter(row => text || value(row) !== "");
  full.sort((a, b) => up ? order(a, b) : order(b, a));
  body.append(...full, ...rows.filter(row => !full.includes(row)));
};
"""


def document(title: str, body: Iterable[str]) -> str:
    """Return the page; `title` is plain text, the items of `body` are HTML."""
    return "\n".join(document_parts(title, body))


def document_parts(title: str, body: Iterable[str], style: str = "", script: str = _SORTING) -> Iterator[str]:
    """Yield the page piece by piece, for pages that are larger than memory should hold; lines end between them.

    Args:
        title: plain text.
        body: HTML.
        style: CSS, besides what all pages share.
        script: JavaScript, run at the end.
    """
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>"
    yield '<p class="quiet">Not a medical device.</p>'
    yield from body
    yield f"<script>{script}</script>\n</body>\n</html>\n"


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    caption: str = "",
    text_columns: Sequence[int] = (0,),
    sortable: bool = False,
) -> str:
    """Return a table of plain-text cells.

    Args:
        header: a title per column.
        rows: the cells.
        caption: the table's title.
        text_columns: indices of the columns that hold words; the others hold numbers.
        sortable: a click on a title sorts by that column; empty cells stay last.
    """

    def kind(column: int) -> str:
        return ' class="text"' if column in text_columns else ""

    head = "".join(
        f'<th scope="col"{kind(column)}>'
        + (f"<button>{escape(title)}</button>" if sortable else escape(title))
        + "</th>"
        for column, title in enumerate(header)
    )
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind(column)}>{escape(cell)}</td>" for column, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table{" class=sortable" if sortable else ""}>'
        + (f"<caption>{escape(caption)}</caption>" if caption else "")
        + f"\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def embed_png(content: bytes, description: str) -> str:
    """Return an image element that holds the PNG file `content`."""
    return _img("png", content, description)


def embed_photo(picture: np.ndarray, description: str) -> str:
    """Return an image element that holds `picture`, (H, W, 3) uint8, as a JPEG of at most 720 pixels."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return _img("jpeg", buffer.getvalue(), description)


def _img(kind: str, content: bytes, description: str) -> str:
    data = base64.b64encode(content).decode("ascii")
    return f'<img alt="{escape(description)}" src="data:image/{kind};base64,{data}">'
