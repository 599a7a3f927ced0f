// Owns the lightbox: one cell large with its whole recipe, the keys in it, and the buttons that mark, copy and compare.
"use strict";
(() => {
  const { dom, data, marks, cell: cells, walk, grid, stage, job } = window.batchgen;
  const { el, icon } = dom;
  const lightbox = { cell: -1 };
  let dialog;

  lightbox.setUp = () => {
    dialog = dom.byId("lightbox");
    stage.open();
    const press = {
      "box-keep": () => lightbox.mark("keep"),
      "box-reject": () => lightbox.mark("reject"),
      "box-copy": () => copyJob(),
      "box-a": () => setA(),
      "box-side": () => mode("side"),
      "box-blink": () => mode("blink"),
      "box-left": () => lightbox.go("left"),
      "box-right": () => lightbox.go("right"),
      "box-up": () => lightbox.go("up"),
      "box-down": () => lightbox.go("down"),
      "box-close": () => dialog.close(),
    };
    for (const [id, action] of Object.entries(press)) dom.byId(id).addEventListener("click", action);
    dialog.addEventListener("close", closed);
    dialog.addEventListener("keydown", key);
    marks.onChange((cell) => dialog.open && (cell === undefined || cell === lightbox.cell) && drawMark());
  };

  lightbox.isOpen = () => dialog.open;

  lightbox.open = (cell) => {
    if (cell < 0) return;
    if (!dialog.open) dialog.showModal();
    show(cell);
    dom.byId("stage").focus();
  };

  function closed() {
    if (dialog.open) return; // the event comes late: it was opened again
    stage.close();
    drawModes();
    grid.activate(lightbox.cell);
    lightbox.cell = -1;
    grid.element().focus();
  }

  lightbox.go = (direction) => {
    const next = walk.next(lightbox.cell, direction);
    if (next >= 0 && next !== lightbox.cell) show(next);
  };

  function show(cell) {
    lightbox.cell = cell;
    grid.active = cell;
    stage.show(cell);
    drawMark();
    drawModes();
    const at = walk.position(cell);
    dom.byId("box-where").textContent = `${dom.count(at + 1)} of ${dom.count(walk.layout.cells.length)}`;
    dom.byId("box-title").textContent = data.name(cell);
    const known = data.known(cell);
    if (known) drawDetails(cell, known);
    else {
      dom.byId("facts").replaceChildren(el("p", { class: "soft" }, "…"));
      data.details(cell).then((detail) => lightbox.cell === cell && drawDetails(cell, detail));
    }
    ahead(cell);
  }

  /** Have the neighbours ready before they are asked for. */
  function ahead(cell) {
    for (const direction of ["right", "left"]) {
      const next = walk.next(cell, direction);
      if (next < 0 || next === cell || data.stateOf(next) !== "stored") continue;
      data.details(next).then((detail) => {
        const address = detail && lightbox.cell === cell ? data.address(detail.file) : "";
        if (address) new Image().src = address;
      });
    }
  }

  function drawMark() {
    const mark = marks.word(lightbox.cell);
    for (const word of ["keep", "reject"]) {
      const button = dom.byId(`box-${word}`);
      button.setAttribute("aria-pressed", String(mark === word));
      button.disabled = data.stateOf(lightbox.cell) !== "stored";
    }
  }

  function drawModes() {
    for (const word of ["side", "blink"]) {
      const button = dom.byId(`box-${word}`);
      button.setAttribute("aria-pressed", String(stage.mode === word));
      button.disabled = stage.a < 0;
    }
    dom.byId("box-a").setAttribute("aria-pressed", String(stage.a >= 0 && stage.a === lightbox.cell));
    dom.byId("name-a").textContent = stage.a < 0 ? "" : `A is ${data.name(stage.a)}`;
  }

  function setA() {
    stage.a = stage.a === lightbox.cell ? -1 : lightbox.cell;
    if (stage.a < 0 && stage.mode !== "one") stage.setMode(stage.mode);
    drawModes();
    dom.say(stage.a < 0 ? "A is taken away" : "This picture is A. Go to another one, then S: side by side, B: taking turns");
  }

  function mode(word) {
    if (stage.a < 0) return dom.say("First press A on one of the two pictures");
    stage.setMode(word);
    drawModes();
    return undefined;
  }

  lightbox.mark = (word) => marks.set(lightbox.cell, word);

  function markAndGo(word) {
    if (marks.word(lightbox.cell) === word || lightbox.mark(word)) lightbox.go("right");
  }

  async function copyJob() {
    const detail = await data.details(lightbox.cell);
    if (!detail) return dom.say("The recipe cannot be read: build the gallery again");
    const text = job.again(detail);
    if (await job.copy(text)) return dom.say("Copied: a job that makes this picture");
    const area = el("textarea", { class: "by-hand", readonly: true, "aria-label": "A job that makes this picture" });
    area.value = text;
    dom.byId("facts").prepend(el("p", {}, "This browser does not let a page copy. Here it is to be copied by hand:"), area);
    area.select();
    return undefined;
  }

  /** Why there is no picture. */
  lightbox.explain = (cell, place) => {
    const state = data.stateOf(cell);
    place.replaceChildren(icon(state === "stored" ? "missing" : state), el("b", {}, state === "stored" ? "file missing" : cells.word(state)));
    data.details(cell).then((detail) => {
      if (!detail || !place.isConnected || place.childElementCount !== 2) return;
      place.append(...[detail.message, detail.message ? "" : detail.class, cells.price(detail)].filter(Boolean).map((text) => el("p", {}, text)));
    });
  };

  function drawDetails(cell, detail) {
    const facts = dom.byId("facts");
    if (!detail) return facts.replaceChildren(el("p", {}, "The details cannot be read: build the gallery again."));
    const flags = data.flagsOf(cell).map(cells.flagWord).join(", ");
    const money = (text) => (text ? `${detail.currency} ${text}${data.index.play_money ? " (play money)" : ""}` : "");
    const address = data.address(detail.file);
    const file = address ? el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, detail.file) : detail.file;
    const size = data.width[cell] ? `${data.width[cell]} × ${data.height[cell]}` : "";
    return facts.replaceChildren(
      el("p", { class: "prompt", dir: "auto" }, detail.prompt),
      detail.negative ? el("p", { class: "negative" }, el("span", { class: "kind" }, "without"), detail.negative) : "",
      table([
        ["State", data.stateOf(cell) === "stored" && !detail.file ? "file missing" : cells.word(data.stateOf(cell))],
        ["Reason", [detail.class, detail.message].filter(Boolean).join(": ")],
        ["Flags", flags],
        ["Earlier", data.now[cell] ? "" : "the job does not ask for it now"],
        ["Model", detail.label === detail.model ? detail.model : `${detail.label}\n${detail.model}`],
        ["Seed", detail.seed],
        ["Size", size],
      ]),
      section("Fields", Object.entries({ ...detail.params, ...detail.extra }).filter(([name]) => name !== "negative_prompt")),
      section("Variables", Object.entries(detail.vars || {})),
      section("Made", [
        ["Cost", money(detail.cost)],
        ["List price", detail.price === detail.cost ? "" : money(detail.price)],
        ["Latency", dom.seconds(detail.latency)],
        ["At", dom.time(detail.at)],
        ["Attempts", detail.attempts || ""],
        ["Maybe billed", detail.maybe_billed ? dom.plural(detail.maybe_billed, "further call", "further calls") : ""],
        ["Request", detail.request_id],
        ["Provider", detail.provider],
        ["Run", detail.run],
        ["Task", detail.task],
        ["File", file],
        ["Kind", [detail.format, dom.bytes(detail.bytes)].filter(Boolean).join(", ")],
      ]),
    );
  }

  function section(title, rows) {
    const drawn = table(rows);
    return drawn ? el("section", {}, el("h3", {}, title), drawn) : "";
  }

  function table(rows) {
    const list = el("dl", { class: "facts-list" });
    for (const [name, value] of rows) {
      const shown = value && typeof value === "object" && !(value instanceof Node) ? JSON.stringify(value) : value;
      if (shown === "" || shown === null || shown === undefined) continue;
      list.append(el("div", {}, el("dt", {}, name), el("dd", {}, shown instanceof Node ? shown : String(shown))));
    }
    return list.childElementCount ? list : "";
  }

  const MOVES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", Home: "first", End: "last" };
  const KEYS = {
    k: () => lightbox.mark("keep"),
    x: () => lightbox.mark("reject"),
    u: () => marks.set(lightbox.cell, ""),
    K: () => markAndGo("keep"),
    X: () => markAndGo("reject"),
    c: () => copyJob(),
    a: () => setA(),
    s: () => mode("side"),
    b: () => mode("blink"),
    v: () => stage.flipByHand(),
    z: () => stage.toggle(),
    "+": () => stage.zoom(1.4),
    "=": () => stage.zoom(1.4),
    "-": () => stage.zoom(1 / 1.4),
    i: () => dialog.classList.toggle("is-bare"),
    o: () => dom.byId("facts").querySelector("a")?.click(),
    "?": () => window.batchgen.controls.help(),
  };

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("textarea")) return;
    const isInFacts = event.target.closest("#facts") && (event.key === "ArrowUp" || event.key === "ArrowDown");
    const action = MOVES[event.key] && !isInFacts ? () => lightbox.go(MOVES[event.key]) : KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  window.batchgen.lightbox = lightbox;
})();
