// SPDX-License-Identifier: Apache-2.0
// Asks about work that would be lost: a polygon that is not closed, changes that are not saved.

import { ask } from "./question.js";

const LUNGS = ["", "right lung", "left lung"];

// Returns whether to go on; the polygon that was begun, if any, is filled or discarded then.
export async function endPolygon(tools) {
  const corners = tools.polygon.length;
  if (!corners) return true;
  const answers = [["discard", "Discard it"], ["", "Keep drawing"]];
  if (corners >= 3) answers.unshift(["finish", `Finish it as ${LUNGS[tools.label]}`]);
  const count = corners === 1 ? "one corner" : `${corners} corners`;
  const choice = await ask("Finish the polygon?", `You began a polygon with ${count} and did not close it.`, answers, corners < 3);
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
