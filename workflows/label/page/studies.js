// SPDX-License-Identifier: Apache-2.0
// The list of studies in the server's order: studies without a label first, the worst at the top.

export function drawList(list, studies, current, open) {
  const rows = studies.map((study) => {
    const button = document.createElement("button");
    button.dataset.id = study.id;
    if (study.id === current) button.setAttribute("aria-current", "true");
    button.append(part("name", study.id), quality(study));
    const doubts = study.error ? [study.error] : Object.keys(study.doubts ?? {}), notes = Object.keys(study.notes ?? {});
    if (doubts.length) button.append(part("doubts", doubts.join(", ")));
    if (notes.length) button.append(part("notes", notes.join(", ")));
    button.addEventListener("click", () => open(study.id));
    const row = document.createElement("li");
    row.append(button);
    return row;
  });
  list.replaceChildren(...rows);
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
