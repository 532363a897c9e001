// Keeps a form that is being sent from being sent again: whoever clicks twice makes one thing.
"use strict";

// After so long nothing is on its way any more, such as where the answer was a file.
const PATIENCE_MS = 10_000;

let sent = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (sent.has(form)) {
    event.preventDefault();
    return;
  }
  const ours = sent;
  ours.add(form);
  setTimeout(() => ours.delete(form), PATIENCE_MS);
});

// Whoever comes back to a page may send its forms again.
addEventListener("pageshow", () => {
  sent = new WeakSet();
});
