// One pair in full: A over B with a line between them, moved by pointer, by slider or by keys.
"use strict";

const viewer = (() => {
  const byId = (id) => document.getElementById(id);
  const { element } = comparison;
  const dialog = byId("viewer");
  const slider = byId("slider");
  let at = 0;

  function open(index) {
    at = index;
    draw();
    if (!dialog.open) dialog.showModal();
    slider.focus();
  }

  function step(by) {
    const to = at + by;
    if (to < 0 || to >= comparison.state.shown.length) return;
    open(to);
  }

  function draw() {
    const item = comparison.state.shown[at];
    const [a, b] = item.sides;
    byId("viewer-title").textContent = comparison.who(item);
    byId("prompt").textContent = item.prompt;
    byId("previous").disabled = at === 0;
    byId("next").disabled = at + 1 >= comparison.state.shown.length;
    picture("a", 0, a);
    picture("b", 1, b);
    const frame = byId("frame");
    const shape = [b, a].find((side) => side && side.file && side.width && side.height);
    frame.style.setProperty("--ratio", shape ? String(shape.width / shape.height) : "1");
    const both = Boolean(a && a.file && b && b.file);
    byId("line").hidden = !both;
    slider.disabled = !both;
    byId("flip").disabled = !both;
    move(both ? 50 : a && a.file ? 100 : 0);
    table(item, a, b);
  }

  function picture(letter, place, side) {
    const image = byId(`picture-${letter}`);
    const words = byId(`absent-${letter}`);
    const has = Boolean(side && side.file);
    image.hidden = !has;
    words.hidden = has;
    words.textContent = has ? "" : comparison.absent(side);
    image.alt = has ? `The picture in ${letter.toUpperCase()}` : "";
    if (has) image.src = comparison.address(place, side.file);
    else image.removeAttribute("src");
  }

  function move(share) {
    const value = Math.round(Math.min(100, Math.max(0, share)));
    slider.value = String(value);
    slider.setAttribute("aria-valuetext", `${value} % of A`);
    byId("frame").style.setProperty("--at", `${value}%`);
    byId("share").textContent = value === 100 ? "all of A" : value === 0 ? "all of B" : `A ${value} %`;
    byId("flip").setAttribute("aria-pressed", String(value === 0));
  }

  function flip() {
    if (!slider.disabled) move(Number(slider.value) > 0 ? 0 : 100);
  }

  function table(item, a, b) {
    const night = (side) => side.night || "";
    const rows = [
      ["state", (side) => side.state], ["pixels", comparison.size],
      ["bytes", (side) => (side.bytes ? side.bytes.toLocaleString("en") : "")], ["seed", (side) => side.seed],
      ["night", night], ["flags", (side) => side.flags.join(", ")], ["reason", (side) => side.reason],
    ];
    const body = byId("table");
    body.replaceChildren();
    line(body, "difference", comparison.bits(item) || "cannot be said");
    line(body, "model", item.model);
    for (const [name, value] of item.vars) line(body, name, value);
    for (const [name, read] of rows) {
      const values = [a ? read(a) : "", b ? read(b) : ""];
      if (!values[0] && !values[1]) continue;
      const row = element("tr");
      const head = element("th", "", name);
      head.scope = "row";
      const differs = Boolean(a && b) && values[0] !== values[1];
      row.append(head, element("td", "", values[0]), element("td", differs ? "other" : "", values[1]));
      body.append(row);
    }
  }

  function line(body, name, value) {
    const row = element("tr");
    const head = element("th", "", name);
    head.scope = "row";
    const cell = element("td", "", value);
    cell.colSpan = 2;
    row.append(head, cell);
    body.append(row);
  }

  function follow(event) {
    if (slider.disabled) return;
    const box = byId("frame").getBoundingClientRect();
    move(((event.clientX - box.left) / box.width) * 100);
  }

  function start() {
    const frame = byId("frame");
    frame.addEventListener("pointerdown", (event) => {
      frame.setPointerCapture(event.pointerId);
      follow(event);
      event.preventDefault();
      slider.focus();
    });
    frame.addEventListener("pointermove", (event) => {
      if (frame.hasPointerCapture(event.pointerId)) follow(event);
    });
    slider.addEventListener("input", () => move(Number(slider.value)));
    byId("flip").addEventListener("click", flip);
    byId("previous").addEventListener("click", () => step(-1));
    byId("next").addEventListener("click", () => step(1));
    byId("close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", back);
    dialog.addEventListener("keydown", (event) => {
      const does = { n: () => step(1), p: () => step(-1), b: flip }[event.key.toLowerCase()];
      if (!does || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      does();
    });
  }

  function back() {
    const card = byId("pairs").children[at];
    if (card) card.firstElementChild.focus();
  }

  start();
  return { open };
})();
