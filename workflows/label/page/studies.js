// SPDX-License-Identifier: Apache-2.0
// The list of studies in the server's order: studies without a label first, the worst at the top.

// Study -> {state, row}: only rows that changed are made anew, so that a click or the focus is not lost.
const rows = new Map();

export function drawList(list, studies, current, open) {
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && [...list.children].indexOf(focused.parentElement);
  const { scrollTop } = list.parentElement;
  const drawn = studies.map((study) => {
    const state = JSON.stringify([study, study.id === current]);
    if (rows.get(study.id)?.state !== state) rows.set(study.id, { state, row: drawRow(study, current, open) });
    return rows.get(study.id).row;
  });
  if (drawn.length === list.children.length && drawn.every((row, index) => row === list.children[index])) return;
  list.replaceChildren(...drawn);
  const known = new Set(studies.map((study) => study.id));
  for (const id of rows.keys()) if (!known.has(id)) rows.delete(id);
  list.parentElement.scrollTop = scrollTop;
  if (!focused) return;
  // The study may have moved or vanished.
  const row = rows.get(focused.dataset.id)?.row ?? drawn[Math.min(place, drawn.length - 1)];
  row?.firstElementChild.focus({ preventScroll: true });
}

function drawRow(study, current, open) {
  const button = document.createElement("button");
  button.dataset.id = study.id;
  if (study.id === current) button.setAttribute("aria-current", "true");
  button.append(part("name", study.id), quality(study));
  const doubts = study.error ? [study.error] : Object.keys(study.doubts ?? {}), notes = Object.keys(study.notes ?? {});
  if (study.reserved_by) button.append(part("reserved", `${study.reserved_by} is at work`));
  if (doubts.length) button.append(part("doubts", doubts.join(", ")));
  if (notes.length) button.append(part("notes", notes.join(", ")));
  button.addEventListener("click", () => open(study.id));
  const row = document.createElement("li");
  row.append(button);
  return row;
}

function quality(study) {
  if (study.labelled) return part("quality done", "labelled");
  if (study.error) return part("quality low", "unreadable");
  if (study.quality === null) return part("quality", "…");
  const shown = part("low-quality" in (study.doubts ?? {}) ? "quality low" : "quality", study.quality.toFixed(3));
  shown.title = `Estimated Dice of the model's lungs${study.quality_lower === null ? "" : `; over ${study.quality_lower.toFixed(3)} for nine in ten`}`;
  return shown;
}

function part(kind, text) {
  const span = document.createElement("span");
  span.className = kind;
  span.textContent = text;
  return span;
}
