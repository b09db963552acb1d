// SPDX-License-Identifier: Apache-2.0
// Asks the annotator one question in a dialog.

const dialog = document.getElementById("question");

// Returns the value of the chosen answer, "" for Escape. `answers` are [value, text]; that of "" changes nothing, and the
// first one has the focus unless it loses work (`careful`).
export async function ask(title, text, answers, careful) {
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector("p").textContent = text;
  const preferred = careful ? "" : answers[0][0];
  const buttons = answers.map(([value, words]) => {
    const button = document.createElement("button");
    button.value = value;
    button.textContent = words;
    button.autofocus = value === preferred;
    button.classList.toggle("main", value === preferred);
    return button;
  });
  dialog.querySelector(".answers").replaceChildren(...buttons);
  return show(dialog);
}

// Opens a dialog and returns the value of the button that closes it; "" for Escape.
export async function show(opened) {
  opened.returnValue = "";
  opened.showModal();
  await new Promise((done) => opened.addEventListener("close", done, { once: true }));
  return opened.returnValue;
}
