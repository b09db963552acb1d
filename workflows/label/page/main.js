// SPDX-License-Identifier: Apache-2.0
// Connects the list, the stage and the server.

import * as api from "./api.js";
import { chooseBetween, sentence } from "./conflict.js";
import { lungsOnly, ratioText } from "./findings.js";
import { listen } from "./keys.js";
import { decode, encode } from "./png.js";
import { Reservation } from "./reservation.js";
import { drawList } from "./studies.js";
import { Tools } from "./tools.js";
import { endPolygon, mayLeave } from "./unsaved.js";
import { Viewer } from "./viewer.js";

const REFRESH = 4000;
const find = (id) => document.getElementById(id);

const viewer = new Viewer(find("stage"), showState);
const tools = new Tools(viewer);
const reservation = new Reservation(api.reserve);
let studies = [];
let current = null;
// Whether the current study has a label map; before that, saving would write an empty one.
let loaded = false;
// The version of the final label that was opened; null if there was none.
let version = null;

function showMessage(text, bad = false) {
  find("message").textContent = text;
  find("message").classList.toggle("bad", bad);
}

// Runs one step at a time, and shows its error.
let busy = false;
async function step(title, work) {
  if (busy) return false;
  // A stroke ends here; no stroke can begin before the step is over.
  tools.up();
  const focused = document.activeElement;
  busy = true;
  document.body.dataset.busy = "true";
  showMessage(title);
  showState();
  try {
    showMessage((await work()) ?? "");
    return true;
  } catch (error) {
    showMessage(error.message, true);
    return false;
  } finally {
    busy = false;
    delete document.body.dataset.busy;
    showState();
    // A button loses the focus while it is disabled.
    if (document.activeElement === document.body) focused?.focus({ preventScroll: true });
  }
}

async function refresh() {
  try {
    await reservation.tend();
    studies = await api.listStudies();
    const { active, training } = await api.listVersions();
    const state = training && `; version ${training.version} ${training.running ? "is in training" : "is not finished"}`;
    find("model").textContent = `Weights: version ${active}${state ?? ""}`;
  } catch (error) {
    showMessage(error.message, true);
    return;
  }
  const done = studies.filter((study) => study.labelled).length;
  find("progress").textContent = `${done} of ${studies.length} labelled`;
  drawList(find("studies"), studies, current, open);
  showOthers();
}

// Shows who else works on the open study.
function showOthers() {
  const holder = studies.find((study) => study.id === current)?.reserved_by;
  find("others").textContent = holder ? `${holder[0].toUpperCase()}${holder.slice(1)} is at work on this study too` : "";
}

function leave() {
  // A stroke that is still being drawn is a change too.
  tools.up();
  return mayLeave(viewer.labels, tools, current, loaded ? save : null);
}

async function open(id) {
  if (!busy && (await leave())) await load(id);
}

async function load(id) {
  const opened = await step(`Opening ${id} …`, async () => {
    const bitmap = await createImageBitmap(await api.loadPicture(id));
    current = id;
    loaded = false;
    version = null;
    viewer.drawn = false;
    viewer.show(bitmap);
    tools.abandon();
    await reservation.hold(id);
    // Another may have saved a label since the list was drawn.
    studies = await api.listStudies();
    const study = studies.find((one) => one.id === id);
    describe(study);
    showOthers();
    if (!study?.labelled) return segment();
    await showLabels(await loadLabel());
    return "Opened with its final label";
  });
  if (opened) location.hash = encodeURIComponent(id);
  await refresh();
}

// Loads the final label; also of a label that cannot be shown, the version is known.
async function loadLabel() {
  try {
    const label = await api.loadLabel(current);
    version = label.version;
    return label.blob;
  } catch (error) {
    version = error.version ?? version;
    throw error;
  }
}

function describe(study) {
  find("study").textContent = current ?? "";
  for (const kind of ["doubts", "notes"]) find(kind).textContent = Object.values(study?.[kind] ?? {}).join("; ");
  find("ratio").textContent = ratioText(study ?? {});
}

async function showLabels(blob, lines = []) {
  const { width, height } = viewer.labels;
  const values = await decode(blob, width, height);
  viewer.showFindings(values, lines);
  const rect = viewer.labels.replace(lungsOnly(values));
  // Undoing ends at the first label map.
  if (!loaded) viewer.labels.forget();
  loaded = true;
  viewer.redraw(rect);
}

async function segment() {
  const { blob, result } = await api.runModel(current);
  await showLabels(blob, result.lines);
  describe(result);
  return `Estimated Dice ${result.quality?.toFixed(3) ?? "unknown"}, weights version ${result.version}`;
}

// Returns whether the study has a final label that its annotator knows: this one, or that of another.
async function save() {
  if (busy || !(await endPolygon(tools))) return false;
  return step("Saving …", async () => {
    const { labels } = viewer;
    const { state, values, width, height } = labels;
    const png = await encode(values, width, height);
    for (;;) {
      const { version: saved, conflict } = await api.saveFinal(current, png, version);
      if (!conflict) {
        version = saved;
        labels.markSaved(state);
        await refresh();
        return "Saved as final label";
      }
      const choice = await settle(conflict);
      if (choice === "theirs") return "Kept the other label; Undo brings yours back";
      if (choice !== "mine") throw new Error(`Not saved: ${sentence(conflict.user, conflict.time)}`);
    }
  });
}

// Another label was saved meanwhile; returns "mine" if this one is to be saved over it, "theirs", or "" for later.
async function settle(conflict) {
  const { labels } = viewer;
  const opened = version;
  version = conflict.version;
  let theirs = null, reason = "";
  if (version) {
    try {
      theirs = lungsOnly(await decode(await loadLabel(), labels.width, labels.height));
    } catch (error) {
      reason = `It cannot be shown: ${error.message}`;
    }
  }
  viewer.showContours(true);
  const choice = await chooseBetween(viewer, conflict, theirs, reason);
  viewer.showContours(find("shown").checked);
  if (choice === "theirs") {
    viewer.redraw(labels.replace(theirs));
    labels.markSaved(labels.state);
  } else if (choice === "") {
    // Saving asks again.
    version = opened;
  }
  return choice;
}

async function next() {
  if (busy || !(await leave())) return;
  let chosen = {};
  await step("Looking for the next study …", async () => {
    chosen = await api.nextStudy(current);
    return chosen.detail && chosen.detail[0].toUpperCase() + chosen.detail.slice(1);
  });
  if (chosen.id) await load(chosen.id);
}

function undo() {
  if (tools.corners.length) tools.stepBack();
  else if (viewer.labels) viewer.redraw(viewer.labels.undo());
}

function redo() {
  if (viewer.labels) viewer.redraw(viewer.labels.redo());
}

function showState() {
  const { labels } = viewer;
  find("undo").disabled = !labels?.steps.length && !tools.corners.length;
  find("redo").disabled = !labels?.undone.length;
  find("run").disabled = busy || !current;
  find("save").disabled = busy || !loaded;
  find("next").disabled = busy;
  document.body.dataset.changed = String(Boolean(labels?.changed));
  document.body.dataset.corners = tools.corners.length;
}

function press(group, chosen) {
  for (const button of find(group).querySelectorAll("button")) button.setAttribute("aria-pressed", button === chosen);
}

async function chooseTool(tool) {
  // The picture can be moved while a polygon is drawn.
  if (tool !== "polygon" && tool !== "pan" && !(await endPolygon(tools))) return;
  tools.choose(tool);
  press("kinds", document.querySelector(`[data-tool="${tool}"]`));
}

function chooseLabel(label) {
  tools.label = Number(label);
  press("labels", document.querySelector(`button[data-label="${label}"]`));
}

function setRadius(radius) {
  find("radius").value = radius;
  tools.radius = Number(find("radius").value);
}

function showContours(visible) {
  find("shown").checked = visible;
  viewer.showContours(visible);
}

for (const button of find("kinds").children) button.addEventListener("click", () => chooseTool(button.dataset.tool));
for (const button of find("labels").children) button.addEventListener("click", () => chooseLabel(button.dataset.label));
find("radius").addEventListener("input", () => setRadius(find("radius").value));
for (const id of ["black", "white"]) {
  find(id).addEventListener("input", () => viewer.setWindow(Number(find("black").value), Number(find("white").value)));
}
find("shown").addEventListener("change", () => showContours(find("shown").checked));
const actions = {
  undo,
  redo,
  fit: () => viewer.labels && viewer.fit(),
  in: () => viewer.zoom(1.25),
  out: () => viewer.zoom(0.8),
  run: () => step("Running the model …", segment),
  save,
  next,
};
for (const [id, action] of Object.entries(actions)) find(id).addEventListener("click", action);

listen({
  1: () => chooseLabel(1),
  2: () => chooseLabel(2),
  b: () => chooseTool("brush"),
  e: () => chooseTool("eraser"),
  p: () => chooseTool("polygon"),
  h: () => chooseTool("pan"),
  v: () => showContours(!find("shown").checked),
  f: actions.fit,
  "+": actions.in,
  "-": actions.out,
  m: () => find("run").click(),
  s: () => find("save").click(),
  n: () => find("next").click(),
  "[": () => setRadius(tools.radius - 2),
  "]": () => setRadius(tools.radius + 2),
  enter: () => tools.close(),
  escape: () => tools.abandon(),
  undo,
  redo,
  hold: (held) => tools.hold(held),
});
window.addEventListener("beforeunload", (event) => (viewer.labels?.changed || tools.corners.length) && event.preventDefault());
window.addEventListener("pagehide", () => current && api.release(current));

chooseTool("brush");
chooseLabel(1);
setRadius(14);
viewer.setWindow(0, 255);
showState();
await refresh();
const named = decodeURIComponent(location.hash.slice(1));
if (studies.some((study) => study.id === named)) await load(named);
setInterval(refresh, REFRESH);
document.body.dataset.ready = "true";
