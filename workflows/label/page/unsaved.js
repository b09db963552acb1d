// SPDX-License-Identifier: Apache-2.0
// Asks about work that would be lost: a polygon that is not closed, changes that are not saved.

import { ask } from "./question.js";

const LUNGS = ["", "right lung", "left lung"];

// Returns whether to go on; the polygon that was begun, if any, is filled or discarded then.
export async function endPolygon(tools) {
  const corners = tools.polygon.length;
  if (!corners) return true;
  const whole = corners >= 3;
  const answers = [["discard", "Discard it"], ["", "Keep drawing"]];
  if (whole) answers.unshift(["finish", `Fill it as ${LUNGS[tools.label]}`]);
  const count = corners === 1 ? "one corner" : `${corners} corners`;
  const text = `It has ${count} and is not closed.`;
  const choice = await ask(whole ? "Finish the polygon?" : "Discard the polygon?", text, answers, !whole);
  if (choice === "finish") tools.close();
  if (choice === "discard") tools.abandon();
  return choice !== "";
}

// Returns whether to leave the study; `save` returns whether it has saved, or is null if saving is not possible.
export async function mayLeave(labels, tools, study, save) {
  if (!(await endPolygon(tools))) return false;
  if (!labels?.changed) return true;
  const answers = [["leave", "Leave without saving"], ["", "Stay"]];
  if (save) answers.unshift(["save", "Save and go on"]);
  const choice = await ask("Save your changes?", `Your changes to ${study} are not saved.`, answers, !save);
  return choice === "save" ? save() : choice === "leave";
}
