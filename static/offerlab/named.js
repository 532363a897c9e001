// Names what the admin's theme leaves nameless to who hears a page: selects that are searched, and
// what is filled in inside of a table, whose label is its column's.
"use strict";

function nameOf(input) {
  const words = input.labels?.[0]?.textContent ?? input.closest("[data-label]")?.dataset.label;
  // A star says that it is required, which the input says by itself.
  return (words ?? "").replace("*", "").trim();
}

function nameCells() {
  const cells = "td[data-label] :is(input:not([type=hidden]), select, textarea):not([aria-label])";
  for (const input of document.querySelectorAll(cells)) {
    if (input.labels.length === 0) input.setAttribute("aria-label", nameOf(input));
  }
}

// What is seen of such a select is a box beside it, named by nothing but what is chosen.
function nameBox(box) {
  const select = box.closest(".select2-container").previousElementSibling;
  const chosen = box.querySelector(".select2-selection__rendered");
  const name = document.createElement("span");
  name.hidden = true;
  name.id = `${select.id}_name`;
  name.textContent = nameOf(select);
  select.before(name);
  box.setAttribute("aria-labelledby", `${name.id} ${chosen.id}`);
  box.setAttribute("aria-controls", `select2-${select.id}-results`);
  const help = select.getAttribute("aria-describedby");
  if (help) box.setAttribute("aria-describedby", help);
  // It is no input, which would need a name of its own.
  chosen.removeAttribute("role");
  chosen.removeAttribute("aria-readonly");
}

// A cross for the mouse, beside what is chosen; the keyboard has its Delete.
function hideCross(cross) {
  cross.setAttribute("aria-hidden", "true");
}

// Of one that is open; its input stands at the page's end.
function nameSearch(search) {
  const list = search.closest(".select2-dropdown").querySelector(".select2-results__options");
  const select = document.getElementById(list.id.replace(/^select2-|-results$/g, ""));
  if (!select) return;
  search.setAttribute("aria-label", `Search: ${nameOf(select)}`);
  list.setAttribute("aria-label", nameOf(select));
}

function nameAll() {
  nameCells();
  document.querySelectorAll(".selection > [role=combobox]:has([role=textbox])").forEach(nameBox);
  document.querySelectorAll(".select2-selection__clear").forEach(hideCross);
  document.querySelectorAll(".select2-dropdown .select2-search__field").forEach(nameSearch);
}

document.addEventListener("DOMContentLoaded", () => {
  nameAll();
  // Selects are dressed up, and rows added, later.
  new MutationObserver(nameAll).observe(document.body, { childList: true, subtree: true });
});
