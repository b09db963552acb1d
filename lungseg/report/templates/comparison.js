// Variables of the page: items (see viewer.js), names (of the methods), sideBySide (number of items).
const viewer = makeViewer({ count: () => items.length, item: place => items[place] });
const placeOf = new Map(items.map((item, place) => [item.title, place]));

items.slice(0, sideBySide).forEach((item, place) => {
  const figure = make("figure", document.getElementById("cases"), { class: "case" });
  make("small", make("figcaption", figure, { text: item.title }), { text: item.differs });
  const tiles = make("div", figure, { class: "tiles" });
  names.forEach((name, number) => {
    const tile = make("button", tiles, { type: "button", class: "tile" });
    const frame = make("span", tile, { class: "frame" });
    make("img", frame, { src: item.plain, alt: `${item.title}, ${name}`, loading: "lazy" });
    // The other methods' outlines are in the viewer.
    const outlines = item.outlines.filter(one => one.name === name || !names.includes(one.name));
    frame.append(drawOutlines({ ...item, outlines }));
    make("span", tile, { text: `${name}: Dice ${item.dice[number]}` });
    tile.onclick = () => viewer.show(place);
  });
});

for (const row of document.querySelector("table.sortable")?.tBodies[0].rows ?? []) {
  const cell = row.cells[0], place = placeOf.get(cell.textContent);
  if (place === undefined) continue;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "open";
  button.textContent = cell.textContent;
  button.onclick = () => viewer.show(place);
  cell.replaceChildren(button);
}

for (const dot of document.querySelectorAll(".dot")) {
  const place = placeOf.get(dot.dataset.case);
  if (place === undefined) continue;
  dot.classList.add("opens");
  dot.onclick = () => viewer.show(place);
}
