// The chosen radiographs as pictures or as a table. Only what is in sight is made: ten thousand elements are slow.
const list = document.getElementById("cards"), box = document.getElementById("table");
const body = document.getElementById("lines");
const controls = document.getElementById("controls");
// Lines that are made beyond both ends of the window.
const BEYOND = 4;

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

// Return the places of the first radiograph in sight and of the one after the last, `beyond` lines farther out.
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

// Bring the current radiograph into sight, and the whole table around it.
function reveal() {
  if (view === views.table) box.scrollIntoView({ block: "nearest" });
  if (!found[current]) return;
  if (!made.has(found[current])) {
    const line = Math.floor(current / view.across()) * view.height();
    view.box.scrollBy(0, view.before.getBoundingClientRect().top + line - view.edge());
    draw();
  }
  made.get(found[current]).scrollIntoView({ block: "nearest" });
  draw();
}

// Make a radiograph the current one, and focus it.
function goTo(place) {
  if (!found.length) return;
  current = Math.min(Math.max(place, 0), found.length - 1);
  reveal();
  openerOf(found[current]).focus({ preventScroll: true });
}

// Go so many radiographs on, or to the first in sight if the current one is not.
function step(by) {
  const [first, last] = inSight();
  goTo(current >= first && current < last ? current + by : first);
}

addEventListener("scroll", () => draw(), { capture: true, passive: true });
addEventListener("resize", () => draw());
