// Replaces the sections of the page that changed. Without this script the page works, and a reload shows the
// newest state.
"use strict";

const note = document.getElementById("connection");
const events = new EventSource("/events");

for (const section of document.querySelectorAll("section[data-live]")) {
  // The server renders and escapes the sections, in events as in the page.
  events.addEventListener(section.id, (event) => {
    section.innerHTML = event.data;
  });
}
events.onopen = () => {
  note.textContent = "live";
};
events.onerror = () => {
  note.textContent = "no connection; trying again";
};
