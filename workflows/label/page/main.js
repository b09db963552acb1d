// SPDX-License-Identifier: Apache-2.0
// Connects the list, the stage and the server.

import * as api from "./api.js";
import { lungsOnly, ratioText } from "./findings.js";
import { decode, encode } from "./png.js";
import { drawList } from "./studies.js";
import { Tools } from "./tools.js";
import { Viewer } from "./viewer.js";

const REFRESH = 4000;
const find = (id) => document.getElementById(id);

const viewer = new Viewer(find("stage"), showState);
const tools = new Tools(viewer);
let studies = [];
let current = null;
// Whether the current study has a label map; before that, saving would write an empty one.
let loaded = false;

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
  }
}

async function refresh() {
  try {
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
  const { scrollTop } = find("studies").parentElement;
  drawList(find("studies"), studies, current, open);
  find("studies").parentElement.scrollTop = scrollTop;
}

async function open(id) {
  if (viewer.labels?.changed && !window.confirm("Leave this study without saving your changes?")) return;
  const opened = await step(`Opening ${id} …`, async () => {
    const bitmap = await createImageBitmap(await api.loadPicture(id));
    current = id;
    loaded = false;
    viewer.drawn = false;
    viewer.show(bitmap);
    tools.abandon();
    const study = studies.find((one) => one.id === id);
    describe(study);
    if (!study?.labelled) return segment();
    await showLabels(await api.loadLabel(id));
    return "Opened with its final label";
  });
  if (opened) location.hash = encodeURIComponent(id);
  await refresh();
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

async function save() {
  return step("Saving …", async () => {
    const { labels } = viewer;
    const { state, values, width, height } = labels;
    await api.saveFinal(current, await encode(values, width, height));
    labels.markSaved(state);
    await refresh();
    return "Saved as final label";
  });
}

async function next() {
  const other = studies.find((study) => !study.labelled && !study.error && study.id !== current);
  if (other) await open(other.id);
  else showMessage("All other studies have a label");
}

function undo() {
  if (viewer.labels) viewer.redraw(viewer.labels.undo());
}

function redo() {
  if (viewer.labels) viewer.redraw(viewer.labels.redo());
}

function showState() {
  const { labels } = viewer;
  find("undo").disabled = !labels?.steps.length;
  find("redo").disabled = !labels?.undone.length;
  find("run").disabled = busy || !current;
  find("save").disabled = busy || !loaded;
  find("next").disabled = busy;
  document.body.dataset.changed = String(Boolean(labels?.changed));
}

function press(group, chosen) {
  for (const button of find(group).querySelectorAll("button")) button.setAttribute("aria-pressed", button === chosen);
}

function chooseTool(tool) {
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

const keys = {
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
};
window.addEventListener("keydown", (event) => {
  if (event.target.closest("dialog, input:not([type=range], [type=checkbox])")) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && key === "z") {
    event.preventDefault();
    (event.shiftKey ? redo : undo)();
  } else if (key === " " && !event.target.closest("button")) {
    event.preventDefault();
    tools.hold(true);
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey && keys[key] && !(key === "enter" && event.target.closest("button"))) {
    keys[key]();
  }
});
window.addEventListener("keyup", (event) => event.key === " " && tools.hold(false));
window.addEventListener("beforeunload", (event) => viewer.labels?.changed && event.preventDefault());

chooseTool("brush");
chooseLabel(1);
setRadius(14);
viewer.setWindow(0, 255);
showState();
await refresh();
const named = decodeURIComponent(location.hash.slice(1));
if (studies.some((study) => study.id === named)) await open(named);
setInterval(refresh, REFRESH);
document.body.dataset.ready = "true";
