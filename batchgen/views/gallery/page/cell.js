// Owns how one cell of the grid looks: a picture in its own shape, or what is missing with sign, word, reason and price.
"use strict";
(() => {
  const { dom, data, marks } = window.batchgen;
  const { el, icon } = dom;
  const WORDS = {
    stored: "stored",
    waiting: "waiting for download",
    pending: "not made yet",
    failed: "failed",
    unknown: "outcome unknown",
    expired: "link expired",
    lost: "lost",
    sending: "being made",
  };
  const FLAGS = {
    blank: "one colour",
    black: "black",
    size: "other size",
    format: "other format",
    duplicate: "same as another",
    "near-duplicate": "like another",
    animated: "animated",
    trailing: "extra bytes",
    short: "fewer than asked",
  };
  const NEEDS_DETAILS = new Set(["failed", "unknown", "expired", "lost", "pending", "waiting", "sending"]);

  const word = (state) => WORDS[state] || state;
  const flagWord = (flag) => FLAGS[flag] || flag;

  /** What a cell is called aloud. */
  function label(cell) {
    const words = [data.name(cell), word(data.stateOf(cell))];
    if (marks.word(cell)) words.push(marks.word(cell) === "keep" ? "kept" : "rejected");
    if (data.flags[cell]) words.push(data.flagsOf(cell).map(flagWord).join(", "));
    return words.join("; ");
  }

  /** The element of a cell in a box of `wide` by `high` pixels. `entry.wants` says what it still needs: picture, details. */
  function draw(cell, wide, high) {
    const state = data.stateOf(cell);
    const entry = { cell, wide, high, element: null, image: null, wants: state === "stored" ? "picture" : "details" };
    entry.element = el("div", { class: `cell is-${state}`, role: "gridcell", id: `cell-${cell}` });
    if (!data.now[cell]) entry.element.classList.add("is-earlier");
    if (state === "stored") entry.element.append(frame(entry));
    else entry.element.append(missing(entry, null));
    refresh(entry);
    return entry;
  }

  function frame(entry) {
    const [wide, high] = [data.width[entry.cell] || 1, data.height[entry.cell] || 1];
    const scale = Math.min(entry.wide / wide, entry.high / high);
    const box = el("div", { class: "frame" });
    box.style.width = `${Math.max(1, Math.round(wide * scale))}px`;
    box.style.height = `${Math.max(1, Math.round(high * scale))}px`;
    entry.image = el("img", { alt: "", decoding: "async", draggable: "false" });
    entry.image.addEventListener("load", () => entry.image.classList.add("seen"));
    entry.image.addEventListener("error", () => {
      if (!entry.image.getAttribute("src")) return;
      if (entry.isLarge) gone(entry);
      else large(entry);
    });
    box.append(entry.image);
    const flags = data.flagsOf(entry.cell);
    if (flags.length) box.append(el("span", { class: "flags" }, flags.map(flagWord).join(", ")));
    box.append(el("span", { class: "badge" }));
    return box;
  }

  /** Give an entry its picture or its words. `sharp`: small pictures are too small for how large it is shown. */
  function fill(entry, sharp) {
    if (!entry.wants) return;
    const wants = entry.wants;
    entry.wants = "";
    if (wants === "details") words(entry);
    else if (data.thumbOf(entry.cell)) {
      entry.image.src = data.thumbOf(entry.cell);
      if (sharp) large(entry);
    } else large(entry);
  }

  /** Take a cell away, and its picture out of memory at once. */
  function release(entry) {
    entry.element.remove();
    if (entry.image) entry.image.removeAttribute("src");
  }

  function large(entry) {
    if (entry.isLarge) return;
    entry.isLarge = true;
    data.details(entry.cell).then((detail) => {
      if (!entry.element.isConnected) return;
      const address = detail ? data.address(detail.file) : "";
      if (address) entry.image.src = address;
      else if (!entry.image.classList.contains("seen")) gone(entry, detail);
    });
  }

  function gone(entry, detail) {
    const words = detail && detail.message ? detail.message : "the file is missing; batchgen verify says more";
    entry.element.classList.replace("is-stored", "is-missing");
    entry.element.replaceChildren(box("missing", "file missing", words, ""));
  }

  function words(entry) {
    if (!NEEDS_DETAILS.has(data.stateOf(entry.cell))) return;
    data.details(entry.cell).then((detail) => {
      if (detail && entry.element.isConnected) entry.element.replaceChildren(missing(entry, detail));
    });
  }

  function missing(entry, detail) {
    const state = data.stateOf(entry.cell);
    return box(state, word(state), detail ? detail.message || detail.class : "", detail ? price(detail) : "");
  }

  function box(sign, state, reason, money) {
    return el(
      "div",
      { class: "missing" },
      icon(sign),
      el("b", {}, state),
      reason ? el("span", { class: "reason", title: reason.slice(0, 600) }, reason.slice(0, 300)) : "",
      money ? el("span", { class: "price" }, money) : "",
    );
  }

  /** What was paid for what is missing, or what it would cost. */
  function price(detail) {
    if (Number(detail.cost) > 0) return `${detail.currency} ${detail.cost} spent`;
    return detail.price ? `price ${detail.currency} ${detail.price}` : "";
  }

  /** Show the mark of a cell as it is now. */
  function refresh(entry) {
    const mark = marks.word(entry.cell);
    entry.element.classList.toggle("is-kept", mark === "keep");
    entry.element.classList.toggle("is-rejected", mark === "reject");
    entry.element.setAttribute("aria-label", label(entry.cell));
    const badge = entry.element.querySelector(".badge");
    if (badge) badge.replaceChildren(...(mark ? [icon(mark)] : []));
  }

  window.batchgen.cell = { draw, fill, release, refresh, label, word, flagWord, price };
})();
