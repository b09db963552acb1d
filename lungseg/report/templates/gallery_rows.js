// The radiographs of the page, their orders, and the choice among them. Nothing here draws.
const data = document.getElementById("rows");
const columns = data.dataset.columns.split(" ").filter(Boolean);
const styles = JSON.parse(data.dataset.styles);
const rows = JSON.parse(data.textContent);
const plain = text => text.normalize("NFC").toLowerCase();

rows.forEach((row, place) => {
  row.place = place;
  row.cells = Object.fromEntries(columns.map((name, number) => [name, row.cells[number]]));
  const { file, name = "", reason = "", doubts = "", notes = "" } = row.cells;
  row.doubts = doubts.split(" ").filter(Boolean);
  row.notes = notes.split(" ").filter(Boolean);
  row.text = plain([row.title, file, name, reason, doubts, notes].join("\n"));
});

// A column, or the figure of that name.
const figure = (row, name) => row.cells[name] ?? row[name];

// Name of an order in words -> the value that it sorts by, and whether the largest comes first.
const usualOrders = {
  worst: [row => row.place, false],
  best: [row => row.cells.quality, true],
  small: [row => row.area, false],
  large: [row => row.area, true],
  unequal: [row => Math.abs(Math.log(row.cells.left_right_ratio)), true],
  heart: [row => row.cells.ctr, true],
  name: [row => row.title, false],
};
const isOrder = name => Object.hasOwn(usualOrders, name) || columns.some(column => name === `column:${column}`);

const collator = new Intl.Collator(undefined, { numeric: true });
const isUnknown = value => value === undefined || value === null || value === "" || Number.isNaN(value);

// Return all rows in an order; those without the value come last, whether it is reversed or not.
function inOrder(name, reversed) {
  const column = name.replace(/^column:/, "");
  const isUsual = Object.hasOwn(usualOrders, name);
  const [value, largestFirst] = isUsual ? usualOrders[name] : [row => row.cells[column], false];
  const known = [], unknown = [];
  for (const row of rows) {
    row.key = value(row);
    (isUnknown(row.key) ? unknown : known).push(row);
  }
  if (known.some(row => typeof row.key === "string")) {
    // Numbers are compared faster than texts, and there are often few different texts.
    const texts = [...new Set(known.map(row => row.key))].sort(collator.compare);
    const ranks = new Map(texts.map((text, rank) => [text, rank]));
    for (const row of known) row.key = ranks.get(row.key);
  }
  const sign = largestFirst === reversed ? 1 : -1;
  known.sort((a, b) => sign * (a.key - b.key) || a.place - b.place);
  return [...known, ...unknown];
}

const flags = {
  status: row => [row.cells.status], code: row => [row.cells.code].filter(Boolean),
  doubt: row => row.doubts, note: row => row.notes,
};

// Return those of `all` that meet every condition, and "kind name" -> the number that a flag would leave, given the
// conditions of other kinds. `wanted`: words (text), ranges ({key, low, high}), and a set of names for each kind.
function choose(all, wanted) {
  const kinds = Object.keys(flags), counts = {};
  const found = all.filter(row => {
    if (!row.text.includes(wanted.words)) return false;
    if (!wanted.ranges.every(({ key, low, high }) => figure(row, key) >= low && figure(row, key) < high)) return false;
    const failed = kinds.filter(kind => wanted[kind].size && !flags[kind](row).some(name => wanted[kind].has(name)));
    if (failed.length > 1) return false;
    for (const kind of failed.length ? failed : kinds)
      for (const name of flags[kind](row)) counts[`${kind} ${name}`] = (counts[`${kind} ${name}`] ?? 0) + 1;
    return !failed.length;
  });
  return { found, counts };
}
