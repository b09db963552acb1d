// The pictures of an evaluation: small ones on the page, and a large one for each line of the table.
const items = JSON.parse(document.getElementById("items").textContent);
const body = document.querySelector(".cases tbody");
// Sorting moves the lines; each keeps its case.
[...body.rows].forEach((line, place) => {
  line.dataset.place = place;
  const cell = line.cells[0], name = cell.textContent;
  cell.textContent = "";
  make("button", cell, { type: "button", class: "open", text: name, title: name });
});
const order = () => [...body.rows].map(line => Number(line.dataset.place));
const viewer = makeViewer({
  count: () => items.length,
  item: place => items[order()[place]],
  onclose: place => body.rows[place].querySelector("button").focus(),
});
const open = place => viewer.show(order().indexOf(Number(place)));

body.onclick = event => { if (event.target.closest("tr")) open(event.target.closest("tr").dataset.place); };
for (const figure of document.querySelectorAll("figure[data-place]")) {
  const item = items[figure.dataset.place];
  if (!item.plain) continue;
  const button = make("button", figure, { type: "button", "aria-label": `Open ${item.title}` });
  figure.prepend(button);
  const frame = make("div", button, { class: "frame" });
  make("img", frame, { src: item.plain, alt: "", loading: "lazy" });
  frame.append(drawOutlines(item));
  button.onclick = () => open(figure.dataset.place);
}
