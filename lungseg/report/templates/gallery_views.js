// The chosen radiographs as pictures or as a table. Only what is in sight is made: ten thousand elements are slow.
const list = document.getElementById("cards"), box = document.getElementById("table");
const grid = box.querySelector("table"), body = document.getElementById("lines");
const controls = document.getElementById("controls");
// Lines that are made beyond both ends of the window.
const BEYOND = 4;
// Letters of a cell of the table that are shown.
const LONGEST_CELL = 32;

function make(kind, parent, { text = "", ...attributes } = {}) {
  const element = parent.appendChild(document.createElement(kind));
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// What opens the large picture: a link, so that it can also be opened in another tab.
function makeOpener(row, parent) {
  const { status, quality } = row.cells, spoken = isUnknown(quality) ? "" : `, quality ${quality.toFixed(2)}`;
  const attributes = { class: "open", "aria-label": `${row.title}, ${status}${spoken}` };
  return row.overlay ? make("a", parent, { ...attributes, href: row.overlay, target: "_blank" })
                     : make("button", parent, { ...attributes, type: "button" });
}

const source = row => (row.picture ? `data:image/jpeg;base64,${row.picture}` : row.thumbnail);

function makeCard(row, place) {
  const card = document.createElement("li");
  card.className = row.cells.status;
  card.setAttribute("aria-setsize", found.length);
  card.setAttribute("aria-posinset", place + 1);
  const opener = makeOpener(row, card);
  if (source(row)) make("img", opener, { alt: "", decoding: "async", src: source(row) });
  const name = make("bdi", make("span", opener, { class: "name", title: row.cells.file }));
  // Long names may be broken where their parts end.
  row.title.split(/(?<=[/_-])/).forEach(part => name.append(part, document.createElement("wbr")));
  addFindings(row, card);
  return card;
}

function addFindings(row, parent) {
  const { status, quality, quality_lower: lower, reason } = row.cells;
  const line = make("p", parent);
  make("span", line, { class: "badge", text: status });
  if (!isUnknown(quality)) line.append(` quality ${quality.toFixed(2)}`);
  if (!isUnknown(lower)) line.append(` (nine in ten: over ${lower.toFixed(2)})`);
  if (reason) make("p", parent, { class: "reason", text: reason });
  if (row.notes.length) make("p", parent, { class: "notes quiet", text: row.notes.join(", ") });
  const sizes = make("p", parent, { class: "sizes quiet" });
  for (const size of row.sizes ?? []) make("span", sizes, { text: size });
}

function makeLine(row, place) {
  const line = document.createElement("tr");
  line.className = row.cells.status;
  line.setAttribute("aria-rowindex", place + 2);
  for (const name of columns) {
    const value = row.cells[name] ?? "", text = String(name === "file" ? row.title : value);
    const cell = make(name === "file" ? "th" : "td", line, { text: name === "file" ? "" : text });
    if (name === "file") make("bdi", makeOpener(row, cell), { text });
    if (textColumns.has(name)) cell.className = name === "status" ? "text badge" : "text";
    if (String(value).length > LONGEST_CELL) cell.title = value;
  }
  line.firstElementChild.setAttribute("scope", "row");
  return line;
}

const textColumns = new Set(columns.filter(name => rows.some(row => typeof row.cells[name] === "string")));

// Columns have fixed widths: they would jump if they followed the lines that happen to be made.
function makeTable() {
  let total = 0;
  for (const name of columns) {
    const longest = rows.reduce((most, row) => Math.max(most, String(row.cells[name] ?? "").length), name.length + 2);
    const width = Math.min(longest, LONGEST_CELL) + 2;
    total += width;
    make("col", grid.querySelector("colgroup")).style.width = `${width}ch`;
    const title = make("th", grid.tHead.rows[0], { scope: "col", class: textColumns.has(name) ? "text" : "" });
    make("button", title, { type: "button", text: name }).onclick = () => sortBy(name);
  }
  grid.style.width = `${total}ch`;
}

const views = {
  pictures: {
    frame: list, body: list, make: makeCard, box: document.scrollingElement,
    before: document.getElementById("before-cards"), after: document.getElementById("after-cards"),
    across: () => getComputedStyle(list).gridTemplateColumns.split(" ").length,
    height: () => parseFloat(getComputedStyle(list).gridAutoRows) + parseFloat(getComputedStyle(list).rowGap),
    edge: () => parseFloat(getComputedStyle(document.body).getPropertyValue("--head")) || 0,
  },
  table: {
    frame: box, body, make: makeLine, box,
    before: document.getElementById("before-lines"), after: document.getElementById("after-lines"),
    across: () => 1,
    height: () => parseFloat(getComputedStyle(grid).getPropertyValue("--line-height")),
    edge: () => box.getBoundingClientRect().top + grid.tHead.offsetHeight,
  },
};
let view = views.pictures, found = [], current = -1, made = new Map(), drawn = "";

const openerOf = row => made.get(row).querySelector(".open");

// Return the places of the first radiograph in sight and of the one after the last, `beyond` lines farther at both ends.
function inSight(beyond = 0) {
  const height = view.height(), across = view.across(), start = view.before.getBoundingClientRect().top;
  const bottom = view === views.table ? box.getBoundingClientRect().bottom : innerHeight;
  const line = position => Math.floor((position - start) / height);
  const end = Math.max(across, Math.ceil(found.length / across) * across);
  const first = Math.min(Math.max(0, (line(view.edge()) - beyond) * across), end - across);
  return [first, Math.min(found.length, Math.max(1, line(bottom) + 1 + beyond) * across)];
}

// Make what is in sight, and remove what is no longer. With `anew`, nothing that was made is kept.
function draw(anew = false) {
  if (anew) { view.body.replaceChildren(); made.clear(); }
  const [first, last] = inSight(BEYOND), across = view.across();
  if (anew || drawn !== `${first} ${last} ${across}`) {
    drawn = `${first} ${last} ${across}`;
    const focused = view.body.contains(document.activeElement);
    fill(first, last);
    const height = count => `${Math.ceil(count / across) * view.height()}px`;
    view.before.style.height = height(first);
    view.after.style.height = height(found.length - last);
    if (focused && !view.body.contains(document.activeElement)) view.frame.focus({ preventScroll: true });
  }
  markCurrent();
}

// What is kept is not moved: it would lose the focus.
function fill(first, last) {
  const wanted = new Set(found.slice(first, last));
  for (const [row, element] of made) if (!wanted.has(row)) { element.remove(); made.delete(row); }
  let next = view.body.firstElementChild;
  for (let place = first; place < last; place++) {
    const row = found[place];
    if (made.has(row)) { next = made.get(row).nextElementSibling; continue; }
    made.set(row, view.make(row, place));
    view.body.insertBefore(made.get(row), next);
  }
}

// One of the radiographs is reached by the Tab key: the current one, or the first in sight.
function markCurrent() {
  const reached = made.has(found[current]) ? found[current] : found[inSight()[0]];
  for (const [row, element] of made) {
    if (row === found[current]) element.setAttribute("aria-current", "true");
    else element.removeAttribute("aria-current");
    openerOf(row).tabIndex = row === reached ? 0 : -1;
  }
}

// Make a radiograph the current one, bring it into sight, and focus it.
function goTo(place) {
  if (!found.length) return;
  current = Math.min(Math.max(place, 0), found.length - 1);
  if (!made.has(found[current])) {
    const line = Math.floor(current / view.across()) * view.height();
    view.box.scrollBy(0, view.before.getBoundingClientRect().top + line - view.edge());
    draw();
  }
  made.get(found[current]).scrollIntoView({ block: "nearest" });
  draw();
  openerOf(found[current]).focus({ preventScroll: true });
}

// Go so many radiographs on, or to the first in sight if the current one is not.
function step(by) {
  const [first, last] = inSight();
  goTo(current >= first && current < last ? current + by : first);
}

addEventListener("scroll", () => draw(), { capture: true, passive: true });
addEventListener("resize", () => draw());
