// The controls, and the address that repeats them, so that a choice can be sent to others.
const form = controls, bars = [...document.querySelectorAll(".bar")];
const ADDRESS_AFTER = 300;
const limit = text => ({ "-inf": -Infinity, inf: Infinity })[text] ?? parseFloat(text);
const isPressed = button => button.getAttribute("aria-pressed") === "true";
const press = (button, on) => button.setAttribute("aria-pressed", String(on));
const barName = ({ dataset: { key, low, high } }) => `${key}:${low}:${high}`;
const checked = kind => new Set([...form.querySelectorAll(`[name=${kind}]:checked`)].map(mark => mark.value));

let ordered = "", all = rows;

function show() {
  const order = `${form.order.value} ${isPressed(form.reversed)}`;
  if (order !== ordered) all = inOrder(form.order.value, isPressed(form.reversed));
  ordered = order;
  const ranges = bars.filter(isPressed)
    .map(({ dataset: { key, low, high } }) => ({ key, low: limit(low), high: limit(high) }));
  const wanted = { words: plain(form.search.value.trim()), ranges };
  for (const kind of Object.keys(flags)) wanted[kind] = checked(kind);
  const before = found[current], chosen = choose(all, wanted);
  const focused = document.activeElement === view.frame || view.body.contains(document.activeElement);
  found = chosen.found;
  current = found.indexOf(before);
  form.shown.value = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  for (const mark of form.querySelectorAll("input[type=checkbox]")) {
    const count = chosen.counts[`${mark.name} ${mark.value}`] ?? 0;
    mark.parentNode.querySelector(".count").textContent = count.toLocaleString("en");
    mark.parentNode.classList.toggle("none", !count);
  }
  showView();
  if (focused && found.length) goTo(Math.max(current, 0));
  writeAddress();
}

function showView() {
  const last = view;
  view = views[form.view.value];
  if (view !== last) {
    last.body.replaceChildren();
    last.before.style.height = last.after.style.height = "";
  }
  for (const one of Object.values(views)) one.frame.hidden = one !== view;
  if (view === views.table && !grid.tHead.rows[0].cells.length) makeTable();
  grid.setAttribute("aria-rowcount", found.length + 1);
  [...grid.tHead.rows[0].cells].forEach((title, number) => {
    const sorted = form.order.value === `column:${columns[number]}`;
    if (sorted) title.setAttribute("aria-sort", isPressed(form.reversed) ? "descending" : "ascending");
    else title.removeAttribute("aria-sort");
  });
  // The new choice is seen from its beginning.
  view.box.scrollTop = view === views.table ? 0 : Math.min(view.box.scrollTop, view.before.offsetTop - view.edge());
  draw(true);
  if (view !== last) reveal();
}

function sortBy(column) {
  const again = form.order.value === `column:${column}`;
  form.order.value = `column:${column}`;
  press(form.reversed, again && !isPressed(form.reversed));
  show();
}

// Clear the search, or all filters if nothing is searched.
function clear(everything = form.search.value === "") {
  form.search.value = "";
  if (everything) {
    for (const bar of bars) press(bar, false);
    for (const mark of form.querySelectorAll(":checked[type=checkbox]")) mark.checked = false;
  }
  show();
}

function pressBar(bar) {
  const on = !isPressed(bar);
  for (const other of bars) if (other.dataset.key === bar.dataset.key) press(other, other === bar && on);
  show();
}

let writing;
// Later, and once for many changes: browsers refuse many in a row.
function writeAddress() {
  clearTimeout(writing);
  writing = setTimeout(() => {
    const wanted = `${location.href.split("#")[0]}${address()}`;
    if (wanted !== location.href) history.replaceState(null, "", wanted);
  }, ADDRESS_AFTER);
}

function address() {
  const parts = new URLSearchParams();
  if (form.search.value.trim()) parts.set("search", form.search.value.trim());
  for (const kind of Object.keys(flags)) for (const name of checked(kind)) parts.append(kind, name);
  for (const bar of bars.filter(isPressed)) parts.append("range", barName(bar));
  if (form.order.value !== "worst") parts.set("order", form.order.value);
  if (isPressed(form.reversed)) parts.set("reversed", "yes");
  if (form.view.value !== "pictures") parts.set("view", form.view.value);
  if (viewer.open) parts.set("open", found[current].title);
  return `${parts}` && `#${parts}`;
}

// The address may come from anywhere: what the page does not know is ignored.
function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  form.search.value = parts.get("search") ?? "";
  for (const mark of form.querySelectorAll("input[type=checkbox]"))
    mark.checked = parts.getAll(mark.name).includes(mark.value);
  for (const bar of bars) press(bar, parts.getAll("range").includes(barName(bar)));
  form.order.value = isOrder(parts.get("order") ?? "") ? parts.get("order") : "worst";
  press(form.reversed, parts.get("reversed") === "yes");
  form.view.value = parts.get("view") === "table" ? "table" : "pictures";
  show();
  const place = found.findIndex(row => row.title === parts.get("open"));
  if (place >= 0) viewer.show(place);
  else viewer.close();
}

for (const bar of bars) {
  bar.onclick = () => pressBar(bar);
  bar.onkeydown = event => { if ([" ", "Enter"].includes(event.key)) { event.preventDefault(); pressBar(bar); } };
}
const columnOrders = form.order.querySelector("optgroup");
for (const name of columns) make("option", columnOrders, { value: `column:${name}`, text: name });
form.oninput = show;
form.onsubmit = event => event.preventDefault();
form.reversed.onclick = () => { press(form.reversed, !isPressed(form.reversed)); show(); };
document.getElementById("all").onclick = () => clear(true);
form.hidden = document.getElementById("keys").hidden = false;
// What stays at the top of the window covers what lies under it.
new ResizeObserver(() => {
  const covers = getComputedStyle(form).position === "sticky" ? form.offsetHeight : 0;
  document.body.style.setProperty("--head", `${covers}px`);
  draw();
}).observe(form);
addEventListener("hashchange", readAddress);
readAddress();
