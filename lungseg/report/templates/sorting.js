for (const button of document.querySelectorAll("table.sortable th button")) button.onclick = () => {
  const th = button.closest("th"), column = th.cellIndex, body = th.closest("table").tBodies[0];
  const up = th.getAttribute("aria-sort") !== "ascending";
  for (const other of th.parentNode.cells) other.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", up ? "ascending" : "descending");
  const value = row => row.cells[column].textContent, number = row => parseFloat(value(row).replace("\u2212", "-"));
  const text = th.classList.contains("text");
  const order = (a, b) => text ? value(a).localeCompare(value(b)) : number(a) - number(b);
  const rows = [...body.rows], full = rows.filter(row => text || value(row) !== "");
  full.sort((a, b) => up ? order(a, b) : order(b, a));
  body.append(...full, ...rows.filter(row => !full.includes(row)));
};
