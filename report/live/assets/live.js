// Replaces the parts of the page that changed. Without this script the page works, and a reload shows the
// newest state.
"use strict";

const note = document.getElementById("connection");
const events = new EventSource("/events");

// Elements that did not change stay: their pictures are not fetched again, and they keep the focus.
function update(section, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const before = new Map(Array.from(section.children, (element) => [element.outerHTML, element]));
  const next = Array.from(template.content.children, (element) => {
    const same = before.get(element.outerHTML);
    before.delete(element.outerHTML);
    return same ?? element;
  });
  const stays = new Set(next);
  Array.from(section.childNodes).filter((node) => !stays.has(node)).forEach((node) => node.remove());
  next.forEach((element, at) => {
    if (section.children[at] !== element) section.insertBefore(element, section.children[at] ?? null);
  });
}

for (const section of document.querySelectorAll("section[data-live]")) {
  // The server renders and escapes the sections, in events as in the page.
  events.addEventListener(section.id, (event) => update(section, event.data));
}
events.onopen = () => {
  note.textContent = "live";
};
events.onerror = () => {
  note.textContent = "no connection; trying again";
};
