// The page's only script: sliders, galleries of bars, one dialog. All texts come from the page's own elements
// and are set as text, never as markup.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const nearestRows = 12;
  const number = (n) => Math.round(n).toLocaleString("en-US");
  const make = (name, className, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // A picture of the page: the card's image, the text and its score.
  function picture([card, text, itm]) {
    const id = data.cards[card];
    const article = document.getElementById(id);
    const said = article.querySelector(`[data-text="${text}"] .text`);
    const item = make("li", "picture");
    const link = make("a");
    link.href = "#" + id;
    link.append(article.querySelector(".thumb").cloneNode(true));
    const words = make("bdi", "text", said ? said.textContent : "");
    words.setAttribute("dir", "auto");
    link.append(words);
    item.append(link, make("div", "about", "P(match) " + itm.toFixed(4)));
    return item;
  }

  function setSlider(panel, source, at) {
    const position = source.positions[at];
    const place = Math.min(Math.max(position / source.top, 0), 1);
    const kept = source.kept[at];
    const share = source.controls ? source.control[at] / source.controls : null;
    const out = (name, text) => { panel.querySelector(`[data-out="${name}"]`).textContent = text; };
    const shown = String(Number(position.toFixed(6)));
    // As in the table of all positions, so that both are rounded alike.
    const cells = panel.querySelectorAll("details tbody tr")[at].cells;
    out("threshold", cells[0].textContent);
    panel.querySelector(".own").textContent = at === source.position ? "the job’s" : "not the job’s";
    out("kept", number(kept));
    out("share", cells[2].textContent);
    out("control", cells[3].textContent);
    out("false", share === null ? "–" : number(share * source.texts));
    if (source.truth) {
      out("precision", cells[5].textContent);
      out("recall", cells[6].textContent);
    }
    const slider = panel.querySelector("input");
    slider.setAttribute("aria-valuetext", `threshold ${cells[0].textContent}, ${number(kept)} texts kept`);
    const named = Number.isNaN(Number(cells[0].textContent));
    panel.querySelector("output").textContent = named ? cells[0].textContent : position.toFixed(2);
    const line = panel.querySelector(".line");
    const x = place * data.width;
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    const bars = panel.querySelectorAll(".bar");
    bars.forEach((bar, i) => bar.classList.toggle("kept", (i + 0.5) / bars.length >= place));
    const command = panel.querySelector(".recut-threshold");
    command.textContent = command.dataset.before + shown + command.dataset.after;
    const list = panel.querySelector(".nearest");
    if (!list) return;
    const rows = new Map();
    source.bars.flat().concat(source.nearest).forEach((row) => rows.set(row[0] + " " + row[1], row));
    const distance = (row) => Math.abs(row[2] - position);
    const nearest = [...rows.values()].sort((a, b) => distance(a) - distance(b)).slice(0, nearestRows);
    list.replaceChildren(...nearest.map(picture));
  }

  function chooseBar(panel, source, at) {
    panel.querySelectorAll(".chart a").forEach((bar, i) => bar.classList.toggle("chosen", i === at));
    const row = panel.querySelectorAll(".bars tbody tr")[at];
    const chosen = panel.querySelector(".chosen-bar");
    const command = (text) => {
      const line = make("div", "command");
      const copy = make("button", "", "Copy");
      copy.type = "button";
      line.append(make("code", "", text), copy);
      return line;
    };
    const pictures = make("ul", "pictures");
    const samples = source.bars[at] || [];
    pictures.append(...samples.map(picture));
    const title = `${source.score} ${row.cells[0].textContent}: ${row.cells[1].textContent} texts`;
    const sample = samples.length ? "A random sample of them; the same seed shows the same rows." : "";
    chosen.replaceChildren(make("h4", "", title), make("p", "muted small", sample), pictures,
      make("p", "small", "The same texts as a condition over the ledger, and as a cut of the job:"),
      command(row.querySelector(".where").textContent), command(row.querySelector(".recut").textContent));
    chosen.hidden = false;
  }

  document.querySelectorAll(".source").forEach((panel, i) => {
    const source = data.sources[i];
    const slider = panel.querySelector("input");
    panel.querySelector(".slider").hidden = false;
    slider.addEventListener("input", () => setSlider(panel, source, Number(slider.value)));
    panel.querySelector(".reset").addEventListener("click", () => {
      slider.value = source.position;
      setSlider(panel, source, source.position);
    });
    setSlider(panel, source, source.position);
    panel.querySelectorAll(".chart a").forEach((bar, at) => bar.addEventListener("click", (event) => {
      event.preventDefault();
      chooseBar(panel, source, at);
    }));
  });

  // A row in a dialog instead of a jump to the end of the page.
  const dialog = document.querySelector("dialog");
  function show(card) {
    const copy = card.cloneNode(true);
    copy.removeAttribute("id");
    dialog.querySelector(".content").replaceChildren(copy);
    if (!dialog.open) dialog.showModal();
  }
  dialog.querySelector("button").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.addEventListener("click", (event) => {
    const copy = event.target.closest(".command button");
    if (copy) {
      const code = copy.parentElement.querySelector("code");
      getSelection().selectAllChildren(code);
      const done = () => { copy.textContent = "Copied"; };
      if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, () => {});
      return;
    }
    const link = event.target.closest(".picture a");
    const card = link && document.getElementById(link.getAttribute("href").slice(1));
    if (!card || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(card);
  });
  const linked = /^#row-[0-9a-f]+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  if (linked) {
    linked.closest("details").open = true;
    linked.scrollIntoView();
  }
})();
