// One radiograph of the chosen ones, large, with all its figures.
const viewer = makeViewer({
  count: () => found.length,
  item: place => itemOf(found[place]),
  describe: (place, parent) => {
    parent.className = `facts ${found[place].cells.status}`;
    addFindings(found[place], parent);
  },
  onshow: place => { current = place; writeAddress(); },
  onclose: place => { goTo(place); writeAddress(); },
});

// With Ctrl, Shift or the middle button, the browser opens the picture in a tab.
for (const frame of [list, body])
  frame.addEventListener("click", event => {
    if (!event.target.closest(".open") || event.ctrlKey || event.shiftKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const element = event.target.closest("li, tr");
    viewer.show(found.findIndex(row => made.get(row) === element));
  });
