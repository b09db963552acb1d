// The viewer of the pages: one picture, large, with its outlines, letters and figures. The page has viewer.html in its
// body, viewer.css in its style, and this file before its own script, which calls:
//
//   const viewer = makeViewer({
//     count: () => number of items,
//     item: place => the item at this place, from 0 on; see below,
//     describe: (place, parent) => {},  // may be left out: adds elements above the figures
//     onshow: place => {},              // may be left out: after an item was shown
//     onclose: place => {},             // may be left out: after the viewer was closed at this place
//   });
//   viewer.show(place);  // open the viewer, or go to another item
//   viewer.close();
//   viewer.open          // whether it is open
//
// Keys: j, k and the arrows go on and back, Home and End to the first and last item, o shows and hides the outlines, up
// and down scroll the figures, Escape closes. Outlines that are hidden stay so for all items.
//
// An item has, as far as they are known:
//   title     text
//   plain     URI or link of the picture without a drawing
//   drawn     URI or link of a picture with the outlines on it, which is shown if there is no plain one
//   width, height  of the picture in the units of `outlines` and `marks`, whatever its size in pixels is
//   outlines  [{ name, colour, dashed, path }]: `path` is the attribute d of an SVG path; the last one lies on top
//   marks     [{ text, x, y, colour }]: letters of the patient's sides, centred at x and y
//   figures   [[name, value], …]
//   file      link to the picture at its full size
// lungseg/report/outlines.py makes outlines and marks of a label map. `drawOutlines(item)` returns an SVG element with
// them, to lay over a small picture whose frame has a `position`; its second argument is a set of names that are left
// out. Texts are never read as HTML.

function make(kind, parent, { text = "", ...attributes } = {}) {
  const element = parent.appendChild(document.createElement(kind));
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Taken from an element: the page has no address in it, not even this one, which nobody opens.
const SVG = new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg").namespaceURI;

function makeShape(kind, parent, attributes) {
  const shape = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
  parent?.append(shape);
  return shape;
}

// From the centre of a letter to the picture's edge, in the units of the items that outlines.py makes.
const LETTER_ROOM = 45;

function drawOutlines({ width, height, outlines = [], marks = [] }, hidden = new Set()) {
  const frame = makeShape("svg", null, { class: "outlines", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  for (const { name, colour = "#fff", dashed, path } of outlines) {
    if (hidden.has(name)) continue;
    // Dashes and thin lines are seen on any background with a dark line under them.
    makeShape("path", frame, { d: path, class: "halo" });
    makeShape("path", frame, { d: path, stroke: colour, class: dashed ? "dashed" : "" });
  }
  // Letters on small pictures are larger: they stay in the picture.
  const within = (at, size) => Math.min(Math.max(at, LETTER_ROOM), size - LETTER_ROOM);
  for (const { text, x, y, colour = "#fff" } of marks) {
    const place = { x: within(x, width), y: within(y, height), fill: colour };
    makeShape("text", frame, place).textContent = text;
  }
  return frame;
}

function makeViewer({ count, item, describe = () => {}, onshow = () => {}, onclose = () => {} }) {
  const dialog = document.getElementById("viewer"), part = name => dialog.querySelector(`.${name}`);
  const hidden = new Set();
  let place = 0, shown = null;

  function show(wanted) {
    place = Math.min(Math.max(wanted, 0), count() - 1);
    shown = item(place);
    part("title").textContent = shown.title;
    part("position").textContent = `${(place + 1).toLocaleString("en")} of ${count().toLocaleString("en")}`;
    part("previous").disabled = place === 0;
    part("next").disabled = place === count() - 1;
    part("file").hidden = !shown.file;
    if (shown.file) part("file").href = shown.file;
    const stage = part("stage"), picture = shown.plain || shown.drawn;
    stage.replaceChildren();
    if (picture) make("img", stage, { src: picture, alt: `The lungs of ${shown.title}` });
    part("large").hidden = !picture;
    part("fixed").hidden = Boolean(shown.plain);
    for (const tool of [part("shown"), part("opacity")]) tool.disabled = !shown.plain;
    listLayers();
    drawLayers();
    const facts = part("facts");
    facts.replaceChildren();
    describe(place, facts);
    const list = make("dl", facts);
    for (const [name, value] of shown.figures ?? []) {
      make("dt", list, { text: name });
      make("dd", list, { text: value });
    }
    if (!dialog.open) dialog.showModal();
    part("both").scrollTop = facts.scrollTop = 0;
    // The next picture is there when it is asked for.
    if (place + 1 < count()) { const next = item(place + 1); new Image().src = next.plain || next.drawn || ""; }
    onshow(place);
  }

  function listLayers() {
    const layers = part("layers");
    layers.querySelectorAll("label").forEach(label => label.remove());
    for (const { name, colour = "#fff", dashed } of (shown.plain && shown.outlines) || []) {
      const label = make("label", layers), mark = make("input", label, { type: "checkbox" });
      mark.checked = !hidden.has(name);
      mark.oninput = () => { hidden[mark.checked ? "delete" : "add"](name); drawLayers(); };
      make("span", label, { class: dashed ? "swatch dashed" : "swatch" }).style.color = colour;
      label.append(name);
    }
  }

  function drawLayers() {
    part("stage").querySelector("svg")?.remove();
    if (!shown.plain || !part("shown").checked) return;
    const frame = drawOutlines(shown, hidden);
    frame.style.opacity = part("opacity").value / 100;
    part("stage").append(frame);
  }

  part("shown").oninput = part("opacity").oninput = drawLayers;
  part("previous").onclick = () => show(place - 1);
  part("next").onclick = () => show(place + 1);
  part("close").onclick = () => dialog.close();
  // A click beside the dialog.
  dialog.onclick = event => { if (event.target === dialog) dialog.close(); };
  dialog.onclose = () => onclose(place);
  // On the window: a button that is disabled at the last item loses the focus to the page.
  addEventListener("keydown", event => {
    const { key, target } = event;
    if (!dialog.open || event.ctrlKey || event.altKey || event.metaKey) return;
    // The slider has the arrows, Home and End for itself.
    if (target.type === "range" && /^(Arrow|Home|End)/.test(key)) return;
    const goals = { j: place + 1, ArrowRight: place + 1, k: place - 1, ArrowLeft: place - 1, Home: 0, End: count() - 1 };
    const scrolls = { ArrowDown: 60, ArrowUp: -60 };
    if (key in goals) show(goals[key]);
    else if (key in scrolls) for (const box of [part("facts"), part("both")]) box.scrollBy(0, scrolls[key]);
    else if (key === "o" && !part("shown").disabled) { part("shown").checked = !part("shown").checked; drawLayers(); }
    else return;
    event.preventDefault();
  });
  return { show, close: () => dialog.close(), get open() { return dialog.open; } };
}
