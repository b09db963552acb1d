const rows = JSON.parse(document.getElementById("rows").textContent);
const list = document.getElementById("cards"), end = document.getElementById("end");
const form = document.getElementById("controls"), bars = [...document.querySelectorAll(".bar")];
const AT_ONCE = 60;
let found = [];
rows.forEach((row, place) => { row.place = place; row.text = row.name.toLowerCase(); });

// Rising order; cards without the figure (NaN) come last.
const by = value => (a, b) => isNaN(value(a)) - isNaN(value(b)) || value(a) - value(b) || a.place - b.place;
const collator = new Intl.Collator(undefined, { numeric: true });
const orders = {
  worst: by(row => row.place),
  best: by(row => -row.quality),
  small: by(row => row.area),
  large: by(row => -row.area),
  unequal: by(row => -Math.abs(Math.log(row.ratio))),
  heart: by(row => -row.ctr),
  name: (a, b) => collator.compare(a.text, b.text) || a.place - b.place,
};

function make(kind, parent, { text = "", ...attributes } = {}) {
  const element = parent.appendChild(document.createElement(kind));
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function addCard(row) {
  const card = make("li", list, { class: row.status });
  const frame = row.overlay ? make("a", card, { href: row.overlay, target: "_blank" }) : card;
  if (row.picture)
    make("img", frame, { alt: `lungs of ${row.name}`, decoding: "async", src: `data:image/jpeg;base64,${row.picture}` });
  else if (row.overlay) frame.textContent = "overlay";
  const name = make("bdi", make("p", card, { class: "name", title: row.file }));
  // Long names may be broken where their parts end.
  row.name.split(/(?<=[/_-])/).forEach(part => name.append(part, document.createElement("wbr")));
  const line = make("p", card);
  make("span", line, { class: "badge", text: row.status });
  if (row.quality !== undefined) line.append(` quality ${row.quality.toFixed(2)}`);
  if (row.lower !== undefined) line.append(` (nine in ten: over ${row.lower.toFixed(2)})`);
  if (row.reason) make("p", card, { class: "reason", text: row.reason });
  if (row.notes.length) make("p", card, { class: "notes quiet", text: row.notes.join(", ") });
  const sizes = make("p", card, { class: "sizes quiet" });
  for (const size of row.sizes ?? []) make("span", sizes, { text: size });
}

// As many cards as fill the window are made, more of them when its end comes into sight.
const watcher = new IntersectionObserver(seen => seen.some(entry => entry.isIntersecting) && addCards(),
                                         { rootMargin: "1200px" });
function addCards() {
  watcher.unobserve(end);
  const there = list.childElementCount;
  found.slice(there, there + AT_ONCE).forEach(addCard);
  if (list.childElementCount < found.length) watcher.observe(end);
}

const limit = text => ({ "-inf": -Infinity, inf: Infinity })[text] ?? parseFloat(text);

function show() {
  const checked = name => [...form.querySelectorAll(`[name=${name}]:checked`)].map(box => box.value);
  const status = checked("status"), doubts = checked("doubt"), notes = checked("note");
  const words = form.search.value.trim().toLowerCase();
  const ranges = bars.filter(bar => bar.getAttribute("aria-pressed") === "true")
    .map(({ dataset: { key, low, high } }) => ({ key, low: limit(low), high: limit(high) }));
  found = rows.filter(row => row.text.includes(words)
    && (!status.length || status.includes(row.status))
    && (!doubts.length || doubts.some(name => row.doubts.includes(name)))
    && (!notes.length || notes.some(name => row.notes.includes(name)))
    && ranges.every(({ key, low, high }) => row[key] >= low && row[key] < high));
  found.sort(orders[form.order.value]);
  form.shown.value = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  list.replaceChildren();
  addCards();
}

function press(bar) {
  const pressed = bar.getAttribute("aria-pressed") === "true";
  for (const other of bars) if (other.dataset.key === bar.dataset.key) other.setAttribute("aria-pressed", "false");
  bar.setAttribute("aria-pressed", String(!pressed));
  show();
}

for (const bar of bars) {
  bar.onclick = () => press(bar);
  bar.onkeydown = event => { if ([" ", "Enter"].includes(event.key)) { event.preventDefault(); press(bar); } };
}
form.oninput = show;
form.onsubmit = event => event.preventDefault();
form.onreset = () => { for (const bar of bars) bar.setAttribute("aria-pressed", "false"); setTimeout(show); };
form.hidden = false;
show();
