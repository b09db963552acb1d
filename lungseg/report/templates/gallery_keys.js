// The keys that the page lists.
const isTyping = element => element.matches("select, input[type=search]");

function keyMove(key) {
  const last = found.length - 1;
  if (key === "Home") return 0;
  if (key === "End") return last;
  const across = view.across();
  const by = { j: 1, k: -1, ArrowDown: across, ArrowUp: -across };
  if (view === views.pictures) Object.assign(by, { ArrowRight: 1, ArrowLeft: -1 });
  return by[key] && { by: by[key] };
}

addEventListener("keydown", event => {
  const { key, target } = event;
  if (viewer.open || event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
  if (key === "Escape") {
    // The second time, it leads out of the search.
    if (isTyping(target) && form.search.value === "") target.blur();
    clear();
  } else if (isTyping(target)) {
    if (target !== form.search || !["Enter", "ArrowDown"].includes(key)) return;
    goTo(0);
  } else if (key === "/") {
    form.search.focus();
    form.search.select();
  } else if (key === "t") {
    form.view.value = view === views.table ? "pictures" : "table";
    show();
  } else {
    const move = keyMove(key);
    if (move === undefined || !found.length) return;
    if (typeof move === "number") goTo(move);
    else step(move.by);
  }
  event.preventDefault();
});
