// The elements of a radiograph: its picture and its line of the table. Texts are never read as HTML.
const grid = document.querySelector("#table table");
// Letters of a cell of the table that are shown.
const LONGEST_CELL = 32;
// So small, its outline would hide what lies under it.
const NOT_ON_CARDS = new Set(["heart"]);
const textColumns = new Set(columns.filter(name => rows.some(row => typeof row.cells[name] === "string")));

// What opens the large picture: a link, so that it can also be opened in another tab.
function makeOpener(row, parent) {
  const { status, quality } = row.cells, spoken = isUnknown(quality) ? "" : `, quality ${quality.toFixed(2)}`;
  const attributes = { class: "open", "aria-label": `${row.title}, ${status}${spoken}` };
  return row.overlay ? make("a", parent, { ...attributes, href: row.overlay, target: "_blank" })
                     : make("button", parent, { ...attributes, type: "button" });
}

const source = row => (row.picture ? `data:image/jpeg;base64,${row.picture}` : row.thumbnail);

// See viewer.js. Pictures that earlier versions wrote have their outlines on them, and no drawing as data.
function itemOf(row) {
  const { width = 1, height = 1, outlines = {}, marks = {} } = row.drawing ?? {};
  const sides = { R: styles["right lung"].colour, L: styles["left lung"].colour };
  return {
    title: row.title, file: row.overlay, width, height,
    plain: row.drawing && source(row), drawn: row.overlay ?? source(row),
    outlines: Object.entries(outlines).map(([name, path]) => ({ name, path, ...styles[name] })),
    marks: Object.entries(marks).map(([text, [x, y]]) => ({ text, x, y, colour: sides[text] })),
    figures: columns.filter(name => !isUnknown(row.cells[name]) && name !== "status" && name !== "reason")
      .map(name => [name, row.cells[name]]),
  };
}

function makeCard(row, place) {
  const card = document.createElement("li");
  card.className = row.cells.status;
  card.setAttribute("aria-setsize", found.length);
  card.setAttribute("aria-posinset", place + 1);
  const opener = makeOpener(row, card);
  if (source(row)) {
    const frame = make("span", opener, { class: "picture" });
    make("img", frame, { alt: "", decoding: "async", src: source(row) });
    if (row.drawing) frame.append(drawOutlines(itemOf(row), NOT_ON_CARDS));
  }
  const name = make("bdi", make("span", opener, { class: "name", title: row.cells.file }));
  // Long names may be broken where their parts end.
  row.title.split(/(?<=[/_-])/).forEach(part => name.append(part, document.createElement("wbr")));
  addFindings(row, card, true);
  return card;
}

// `brief`: without what the page says once for all radiographs, and what has no room on a card.
function addFindings(row, parent, brief = false) {
  const { status, quality, quality_lower: lower } = row.cells;
  const reason = brief ? row.brief ?? row.cells.reason : row.cells.reason;
  const line = make("p", parent);
  make("span", line, { class: "badge", text: status });
  if (!isUnknown(quality)) line.append(` quality ${quality.toFixed(2)}`);
  if (!isUnknown(lower) && !brief) line.append(` (nine in ten: over ${lower.toFixed(2)})`);
  if (reason) make("p", parent, { class: "reason", text: reason, title: brief ? reason : "" });
  if (row.notes.length) make("p", parent, { class: "notes quiet", text: row.notes.join(", ") });
  const sizes = make("p", parent, { class: "sizes quiet" });
  for (const size of row.sizes ?? []) make("span", sizes, { text: brief ? size.replace(/: .*/, "") : size });
}

function makeLine(row, place) {
  const line = document.createElement("tr");
  line.className = row.cells.status;
  line.setAttribute("aria-rowindex", place + 2);
  for (const name of columns) {
    const value = row.cells[name] ?? "", text = String(name === "file" ? row.title : value);
    const cell = make(name === "file" ? "th" : "td", line, { text: name === "file" ? "" : text });
    if (name === "file") make("bdi", makeOpener(row, cell), { text });
    if (!textColumns.has(name)) continue;
    cell.className = name === "status" ? "text badge" : "text";
    // The end of a long text is cut off.
    cell.title = value;
  }
  line.firstElementChild.setAttribute("scope", "row");
  return line;
}

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
