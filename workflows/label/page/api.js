// SPDX-License-Identifier: Apache-2.0
// The page's calls of the server. A call returns its result, or throws the server's sentence.

export const MODEL = "lung_cxr_segmentation";
let token = "";
// Distinguishes this window from the others of its user.
const client = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// An answer with an error status: `version` is the label's version on the server, `content` the answer's JSON.
class CallError extends Error {
  constructor(answer, content) {
    const { detail } = content;
    const unknown = `The server answers with status ${answer.status}.`;
    super(typeof detail === "string" ? detail : detail ? JSON.stringify(detail) : unknown);
    this.status = answer.status;
    this.content = content;
    this.version = answer.headers.get("ETag");
  }
}

async function call(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { ...headers, ...options.headers } });
  } catch {
    throw new Error("The server does not answer; is it still running?");
  }
  if (answer.status === 401) {
    await signIn();
    return call(path, options);
  }
  if (!answer.ok) throw await callError(answer);
  return answer;
}

async function callError(answer) {
  const content = await answer.json().catch(() => ({}));
  return new CallError(answer, content);
}

// One dialog for all calls that wait for it.
let signingIn = null;
function signIn() {
  signingIn ??= showDialog().finally(() => (signingIn = null));
  return signingIn;
}

async function showDialog() {
  const dialog = document.getElementById("login");
  const form = dialog.querySelector("form");
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  const answer = await fetch("/auth/token", { method: "POST", body: new URLSearchParams(new FormData(form)) });
  form.reset();
  document.getElementById("login-error").textContent = answer.ok ? "" : (await callError(answer)).message;
  token = answer.ok ? (await answer.json()).access_token : "";
}

const quote = encodeURIComponent;

export async function listStudies() {
  return (await call(`/lungseg/studies?client_id=${client}`)).json();
}

export async function listVersions() {
  return (await call("/lungseg/versions")).json();
}

export async function loadPicture(id) {
  return (await call(`/lungseg/studies/${quote(id)}/picture`)).blob();
}

// Returns {blob, version}. The error for a label that cannot be shown has its version too.
export async function loadLabel(id) {
  const answer = await call(`/lungseg/studies/${quote(id)}/label`);
  return { blob: await answer.blob(), version: answer.headers.get("ETag") };
}

// Returns {id} of the next study to annotate, which is reserved from now on, or the reason why there is none as {detail}.
export async function nextStudy(skip) {
  const body = JSON.stringify({ client_id: client, ...(skip && { skip }) });
  const headers = { "Content-Type": "application/json" };
  return (await call("/activelearning/lowest-quality", { method: "POST", body, headers })).json();
}

const reservation = (id) => `/lungseg/studies/${quote(id)}/reservation?client_id=${client}`;

// Reserves a study unless another client holds it, or renews its reservation.
export async function reserve(id) {
  await call(reservation(id), { method: "PUT" });
}

// Ends the reservation of a study while the page is closed.
export function release(id) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  fetch(reservation(id), { method: "DELETE", headers, keepalive: true }).catch(() => {});
}

// Returns {blob, result}: the label map as a PNG, in which the heart is 3, and the result's JSON.
export async function runModel(id) {
  const form = new FormData();
  form.set("params", JSON.stringify({ result_extension: ".png", heart: true }));
  const answer = await call(`/infer/${MODEL}?image=${quote(id)}`, { method: "POST", body: form });
  const parts = await answer.formData();
  return { blob: parts.get("image"), result: JSON.parse(await text(parts.get("params"))) };
}

async function text(part) {
  return typeof part === "string" ? part : part.text();
}

// Saves over the version that was opened (null: there was no label); returns {version}, or {conflict}: who saved another
// label meanwhile and when, and its version.
export async function saveFinal(id, png, opened) {
  const form = new FormData();
  form.set("label", png, "label.png");
  const headers = opened ? { "If-Match": opened } : { "If-None-Match": "*" };
  try {
    const answer = await call(`/datastore/label?image=${quote(id)}&tag=final`, { method: "PUT", body: form, headers });
    return { version: answer.headers.get("ETag") };
  } catch (error) {
    if (error.status !== 412) throw error;
    return { conflict: { ...error.content, version: error.version } };
  }
}
