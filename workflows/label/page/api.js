// SPDX-License-Identifier: Apache-2.0
// What the page asks the server. Every call either returns what was asked for, or throws the server's sentence.

export const MODEL = "lung_cxr_segmentation";
let token = "";

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
  if (!answer.ok) throw new Error(await sentence(answer));
  return answer;
}

async function sentence(answer) {
  const text = await answer.text();
  try {
    const { detail } = JSON.parse(text);
    return typeof detail === "string" ? detail : JSON.stringify(detail);
  } catch {
    return `The server answers with status ${answer.status}.`;
  }
}

// One dialog, however many calls wait for it.
let signingIn = null;
function signIn() {
  signingIn ??= askWhoItIs().finally(() => (signingIn = null));
  return signingIn;
}

async function askWhoItIs() {
  const dialog = document.getElementById("login");
  const form = dialog.querySelector("form");
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  const answer = await fetch("/auth/token", { method: "POST", body: new URLSearchParams(new FormData(form)) });
  form.reset();
  document.getElementById("refused").textContent = answer.ok ? "" : await sentence(answer);
  token = answer.ok ? (await answer.json()).access_token : "";
}

const quoted = encodeURIComponent;

export async function listStudies() {
  return (await call("/lungseg/studies")).json();
}

export async function listVersions() {
  return (await call("/lungseg/versions")).json();
}

export async function loadPicture(id) {
  return (await call(`/lungseg/studies/${quoted(id)}/picture`)).blob();
}

export async function loadLabel(id) {
  return (await call(`/lungseg/studies/${quoted(id)}/label`)).blob();
}

// Returns {blob, result}: the label map as a PNG, and the result's JSON.
export async function runModel(id) {
  const form = new FormData();
  form.set("params", JSON.stringify({ result_extension: ".png" }));
  const answer = await call(`/infer/${MODEL}?image=${quoted(id)}`, { method: "POST", body: form });
  const parts = await answer.formData();
  return { blob: parts.get("image"), result: JSON.parse(await text(parts.get("params"))) };
}

async function text(part) {
  return typeof part === "string" ? part : part.text();
}

export async function saveFinal(id, png) {
  const form = new FormData();
  form.set("label", png, "label.png");
  await call(`/datastore/label?image=${quoted(id)}&tag=final`, { method: "PUT", body: form });
}
