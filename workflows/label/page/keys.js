// SPDX-License-Identifier: Apache-2.0
// The keys of the page; those in a dialog or a text field are not its own.

// Calls the action of each key. `actions` has them by the key's name in small letters, and `undo`, `redo` and `hold`, which
// gets whether the space key is down.
export function listen(actions) {
  window.addEventListener("keydown", (event) => {
    if (event.target.closest("dialog, input:not([type=range], [type=checkbox])")) return;
    const key = event.key.toLowerCase();
    const button = event.target.closest("button");
    if ((event.ctrlKey || event.metaKey) && key === "z") {
      event.preventDefault();
      (event.shiftKey ? actions.redo : actions.undo)();
    } else if (key === " " && !button) {
      event.preventDefault();
      actions.hold(true);
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey && !(key === "enter" && button)) {
      actions[key]?.();
    }
  });
  window.addEventListener("keyup", (event) => event.key === " " && actions.hold(false));
}
