// Loads a form anew when one goes back to it after it was sent: what it showed is not there any more.
"use strict";

let wasSent = false;

document.addEventListener("submit", (event) => {
  wasSent ||= event.target.elements.namedItem("seen") !== null;
});

// A browser may keep the whole page as it was left, with what its form knew then.
addEventListener("pageshow", (event) => {
  if (event.persisted && wasSent) location.reload();
});
