// One radiograph, large, with all its figures.
const viewer = document.getElementById("viewer");
const part = name => viewer.querySelector(`.${name}`);

function look(place) {
  current = Math.min(Math.max(place, 0), found.length - 1);
  const row = found[current];
  part("title").textContent = row.title;
  part("position").textContent = `${(current + 1).toLocaleString("en")} of ${found.length.toLocaleString("en")}`;
  part("previous").disabled = current === 0;
  part("next").disabled = current === found.length - 1;
  const large = part("large"), picture = row.overlay ?? source(row);
  large.replaceChildren();
  if (picture) {
    const frame = row.overlay ? make("a", large, { href: row.overlay, target: "_blank" }) : large;
    make("img", frame, { src: picture, alt: `The lungs of ${row.title}` });
  }
  // The next picture is there when it is asked for.
  if (found[current + 1]?.overlay) new Image().src = found[current + 1].overlay;
  const facts = part("facts");
  facts.replaceChildren();
  facts.className = `facts ${row.cells.status}`;
  addFindings(row, facts);
  const figures = make("dl", facts);
  for (const name of columns) {
    if (isUnknown(row.cells[name]) || name === "status" || name === "reason") continue;
    make("dt", figures, { text: name });
    make("dd", figures, { text: row.cells[name] });
  }
  if (!viewer.open) viewer.showModal();
  viewer.scrollTop = 0;
  writeAddress();
}

part("previous").onclick = () => look(current - 1);
part("next").onclick = () => look(current + 1);
part("close").onclick = () => viewer.close();
// A click beside the dialog.
viewer.onclick = event => { if (event.target === viewer) viewer.close(); };
viewer.onclose = () => { goTo(current); writeAddress(); };

// With Ctrl, Shift or the middle button, the browser opens the picture in a tab.
for (const frame of [list, body])
  frame.addEventListener("click", event => {
    if (!event.target.closest(".open") || event.ctrlKey || event.shiftKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const element = event.target.closest("li, tr");
    look(found.findIndex(row => made.get(row) === element));
  });
