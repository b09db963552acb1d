// SPDX-License-Identifier: Apache-2.0
// The page's calls of the server. A call returns its result, or throws the server's sentence.

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
  if (!answer.ok) throw new Error(await errorText(answer));
  return answer;
}

async function errorText(answer) {
  const text = await answer.text();
  try {
    const { detail } = JSON.parse(text);
    return typeof detail === "string" ? detail : JSON.stringify(detail);
  } catch {
    return `The server answers with status ${answer.status}.`;
  }
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
  document.getElementById("login-error").textContent = answer.ok ? "" : await errorText(answer);
  token = answer.ok ? (await answer.json()).access_token : "";
}

const quote = encodeURIComponent;

export async function listStudies() {
  return (await call("/lungseg/studies")).json();
}

export async function listVersions() {
  return (await call("/lungseg/versions")).json();
}

export async function loadPicture(id) {
  return (await call(`/lungseg/studies/${quote(id)}/picture`)).blob();
}

export async function loadLabel(id) {
  return (await call(`/lungseg/studies/${quote(id)}/label`)).blob();
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

export async function saveFinal(id, png) {
  const form = new FormData();
  form.set("label", png, "label.png");
  await call(`/datastore/label?image=${quote(id)}&tag=final`, { method: "PUT", body: form });
}
