// SPDX-License-Identifier: Apache-2.0
// Another annotator saved a label of the open study: shows both, and lets the annotator choose.

import { show } from "./question.js";

const find = (id) => document.getElementById(id);

// Returns "mine", "theirs", or "" for later. `theirs` are the values of the other label, or null if there is none to show.
export async function chooseBetween(viewer, { user, time }, theirs, reason) {
  const dialog = find("conflict");
  find("conflict-text").textContent = `${sentence(user, time)} ${reason}`.trim();
  for (const part of dialog.querySelectorAll(".theirs")) part.hidden = !theirs;
  for (const part of dialog.querySelectorAll(".other")) part.hidden = !time;
  const shown = dialog.querySelectorAll("[data-shown]");
  const look = (button) => {
    for (const one of shown) one.setAttribute("aria-pressed", one === button);
    viewer.preview(button.dataset.shown === "theirs" ? theirs : null);
  };
  for (const button of shown) button.onclick = () => look(button);
  look(shown[0]);
  const choice = await show(dialog);
  viewer.preview(null);
  return choice;
}

// Returns who saved the other label and when, as far as it is known.
export function sentence(user, time) {
  if (!time) return "The label that you opened was deleted meanwhile.";
  const saved = new Date(time);
  const today = saved.toDateString() === new Date().toDateString();
  const day = today ? "" : ` on ${saved.toLocaleDateString()}`;
  const hour = saved.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return `${user ?? "Someone else"} saved another label of this study${day} at ${hour}.`;
}
