// SPDX-License-Identifier: Apache-2.0
// The list of studies in the server's order: studies without a label first, the worst at the top.

const LOW = 0.9;

export function drawList(list, studies, current, open) {
  const rows = studies.map((study) => {
    const button = document.createElement("button");
    button.dataset.id = study.id;
    if (study.id === current) button.setAttribute("aria-current", "true");
    button.append(part("name", study.id), quality(study));
    const reasons = study.error ? [study.error] : Object.keys(study.flags ?? {});
    if (reasons.length) button.append(part("flags", reasons.join(", ")));
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
  const shown = part(study.quality < LOW ? "quality low" : "quality", study.quality.toFixed(3));
  shown.title = "Estimated Dice of the model's lungs";
  return shown;
}

function part(kind, text) {
  const span = document.createElement("span");
  span.className = kind;
  span.textContent = text;
  return span;
}
