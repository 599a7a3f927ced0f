// Owns the pictures of the lightbox: one, two side by side, or two that take turns; zoom and pan are the same for both.
"use strict";
(() => {
  const { dom, data } = window.batchgen;
  const BLINK = 550;
  const MOST = 16;
  const stage = { mode: "one", a: -1, cell: -1, isShowingA: false };
  const panes = new Map();
  let at = { scale: 1, x: 0, y: 0 };
  let blinking = 0;
  let place;

  stage.open = () => {
    place = dom.byId("stage");
    for (const side of ["a", "b"]) {
      const pane = dom.byId(`pane-${side}`);
      panes.set(side, { pane, image: pane.querySelector("img"), words: pane.querySelector(".pane-words"), tag: pane.querySelector(".tag"), shown: -1 });
    }
    place.addEventListener("wheel", wheel, { passive: false });
    place.addEventListener("dblclick", (event) => toggle(event));
    drag();
  };

  /** Show a cell, with A beside or beneath it when two are compared. */
  stage.show = (cell) => {
    if (cell !== stage.cell && stage.mode === "one") reset();
    stage.cell = cell;
    draw();
  };

  stage.setMode = (mode) => {
    stage.mode = mode === stage.mode || stage.a < 0 ? "one" : mode;
    stage.isShowingA = false;
    clearInterval(blinking);
    const isCalm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (stage.mode === "blink" && !isCalm) blinking = setInterval(stage.flip, BLINK);
    reset();
    draw();
  };

  /** Show the other of the two; also stops them from taking turns on their own when the reader does it. */
  stage.flip = () => {
    stage.isShowingA = !stage.isShowingA;
    show();
  };
  stage.flipByHand = () => {
    clearInterval(blinking);
    if (stage.mode === "blink") stage.flip();
  };

  stage.close = () => {
    clearInterval(blinking);
    stage.mode = "one";
    stage.cell = -1;
    for (const each of panes.values()) {
      each.image.removeAttribute("src");
      each.shown = -1;
    }
  };

  function draw() {
    put(panes.get("b"), stage.cell);
    if (stage.mode !== "one") put(panes.get("a"), stage.a);
    show();
  }

  function show() {
    const isTwo = stage.mode !== "one";
    place.dataset.mode = stage.mode;
    place.dataset.showing = stage.isShowingA ? "a" : "b";
    const isHidden = { a: !isTwo || (stage.mode === "blink" && !stage.isShowingA), b: stage.mode === "blink" && stage.isShowingA };
    for (const [side, each] of panes) {
      each.pane.classList.toggle("is-out", isHidden[side]);
      each.pane.setAttribute("aria-hidden", String(isHidden[side]));
      each.tag.hidden = !isTwo;
    }
  }

  function put(each, cell) {
    if (each.shown === cell) return;
    each.shown = cell;
    const { image, words } = each;
    image.classList.remove("seen");
    image.alt = data.name(cell);
    words.replaceChildren();
    const thumb = data.thumbOf(cell);
    if (thumb) image.src = thumb;
    else image.removeAttribute("src");
    fit(each);
    if (data.stateOf(cell) !== "stored") {
      image.removeAttribute("src");
      window.batchgen.lightbox.explain(cell, words);
      return;
    }
    data.details(cell).then((detail) => {
      const address = detail ? data.address(detail.file) : "";
      if (each.shown !== cell) return;
      if (!address) window.batchgen.lightbox.explain(cell, words);
      else sharpen(each, cell, address);
    });
  }

  /** The whole picture takes the place of the small one when it can be drawn. */
  function sharpen(each, cell, address) {
    const full = new Image();
    full.src = address;
    const use = () => {
      if (each.shown !== cell) return;
      each.image.src = address;
      each.image.classList.add("seen");
    };
    full.decode().then(use, () => {
      if (each.shown !== cell) return;
      each.image.removeAttribute("src");
      each.words.replaceChildren(dom.el("p", {}, "The file is missing or is no picture; batchgen verify says more."));
    });
  }

  /** Give the picture its own shape within the pane, so that nothing jumps when the sharp one comes. */
  function fit(each) {
    const cell = each.shown;
    if (cell < 0) return;
    const [wide, high] = [data.width[cell] || 1, data.height[cell] || 1];
    each.image.width = wide;
    each.image.height = high;
    each.image.style.setProperty("--ratio", wide / high);
  }

  function reset() {
    at = { scale: 1, x: 0, y: 0 };
    move();
  }

  function move() {
    for (const { image } of panes.values()) image.style.transform = `translate(${at.x}px, ${at.y}px) scale(${at.scale})`;
    place.classList.toggle("is-zoomed", at.scale > 1);
  }

  /** Zoom by a factor about a point, given from the middle of a pane. */
  function zoom(factor, x, y) {
    const scale = Math.min(MOST, Math.max(1, at.scale * factor));
    const real = scale / at.scale;
    at = scale === 1 ? { scale, x: 0, y: 0 } : { scale, x: x - (x - at.x) * real, y: y - (y - at.y) * real };
    move();
  }
  stage.zoom = (factor) => zoom(factor, 0, 0);

  /** One picture pixel on one screen pixel, or the whole picture again. */
  stage.toggle = () => toggle(null);
  function toggle(event) {
    if (at.scale > 1) return reset();
    const { image } = panes.get(stage.isShowingA ? "a" : "b");
    const shown = image.getBoundingClientRect();
    const wanted = Math.max(1.5, image.width / window.devicePixelRatio / Math.max(1, shown.width));
    const point = event ? fromMiddle(event) : { x: 0, y: 0 };
    return zoom(wanted, point.x, point.y);
  }

  function fromMiddle(event) {
    const pane = event.target.closest(".pane") || place;
    const box = pane.getBoundingClientRect();
    return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
  }

  function wheel(event) {
    event.preventDefault();
    const { x, y } = fromMiddle(event);
    zoom(Math.exp(-Math.max(-120, Math.min(120, event.deltaY)) / 300), x, y);
  }

  /** Dragging pans a zoomed picture; a quick stroke over one that fits goes to the next or previous one. */
  function drag() {
    let from = null;
    place.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      from = { x: event.clientX, y: event.clientY, panX: at.x, panY: at.y };
      place.setPointerCapture(event.pointerId);
    });
    place.addEventListener("pointermove", (event) => {
      if (!from || at.scale === 1) return;
      at.x = from.panX + event.clientX - from.x;
      at.y = from.panY + event.clientY - from.y;
      move();
    });
    place.addEventListener("pointerup", (event) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
      const isStroke = at.scale === 1 && Math.abs(dx) > 60 && Math.abs(dx) > 2 * Math.abs(dy);
      from = null;
      if (isStroke) window.batchgen.lightbox.go(dx < 0 ? "right" : "left");
    });
    place.addEventListener("pointercancel", () => (from = null));
  }

  window.batchgen.stage = stage;
})();
