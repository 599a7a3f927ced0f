// Owns the marks keep and reject: in the browser's storage where it lets us, else in memory; those of marks.json beneath.
"use strict";
(() => {
  const { dom, data } = window.batchgen;
  const WORDS = ["", "keep", "reject"];
  const AT_ONCE = 2000;
  const marks = { of: new Uint8Array(0), isKept: true, counts: { keep: 0, reject: 0 } };
  const base = new Map();
  let own = new Map();
  let place = "";
  let writing = 0;
  const listeners = [];

  /** `listener(cell)` is called after each mark; without a cell when many changed. */
  marks.onChange = (listener) => listeners.push(listener);

  /** Read what was kept: `index.marks` (full task ids) and what this browser remembers of this folder and job. */
  marks.open = () => {
    const { index } = data;
    marks.of = new Uint8Array(data.size);
    for (const [key, word] of Object.entries(index.marks || {})) base.set(short(key), word);
    place = `batchgen marks ${location.pathname.replace(/[^/]*$/, "")} ${index.job}`;
    own = remembered();
    window.addEventListener("pagehide", () => writing && write());
    document.addEventListener("visibilitychange", () => document.hidden && writing && write());
    window.addEventListener("storage", (event) => {
      if (event.key !== place) return;
      own = remembered();
      marks.counts = { keep: 0, reject: 0 };
      marks.of.fill(0);
      marks.apply(0, data.size);
      for (const listener of listeners) listener();
    });
  };

  const short = (key) => key.replace(/^([0-9a-f]{16})[0-9a-f]*/, "$1");
  const keyOf = (cell) => `${data.id[cell]}-${data.number[cell]}`;

  function remembered() {
    try {
      const kept = JSON.parse(window.localStorage.getItem(place) || "{}");
      return new Map(Object.entries(kept).filter(([, word]) => WORDS.includes(word)));
    } catch {
      unkept();
      return new Map();
    }
  }

  function unkept() {
    marks.isKept = false;
    dom.byId("unkept").hidden = false;
  }

  function write() {
    clearTimeout(writing);
    writing = 0;
    if (!marks.isKept) return;
    try {
      window.localStorage.setItem(place, JSON.stringify(Object.fromEntries(own)));
    } catch {
      unkept();
    }
  }

  /** Give cells that have come their marks. */
  marks.apply = (first, end) => {
    for (let cell = first; cell < end; cell += 1) {
      if (!data.here[cell]) continue;
      const key = keyOf(cell);
      const word = own.has(key) ? own.get(key) : base.get(key);
      if (word) put(cell, word);
    }
  };

  function put(cell, word) {
    const before = WORDS[marks.of[cell]];
    if (before) marks.counts[before] -= 1;
    if (word) marks.counts[word] += 1;
    marks.of[cell] = Math.max(0, WORDS.indexOf(word));
  }

  marks.word = (cell) => WORDS[marks.of[cell]];

  /** Mark a cell; the same mark again takes it away. Only pictures can be marked. */
  marks.set = (cell, word) => {
    if (data.stateOf(cell) !== "stored") {
      dom.say("There is no picture here to mark");
      return false;
    }
    const now = marks.word(cell) === word ? "" : word;
    if (now === marks.word(cell)) return false;
    put(cell, now);
    const key = keyOf(cell);
    if ((base.get(key) || "") === now) own.delete(key);
    else own.set(key, now);
    if (own.size < AT_ONCE) write();
    else if (!writing) writing = setTimeout(write, 400);
    for (const listener of listeners) listener(cell);
    dom.say(now ? (now === "keep" ? "Kept" : "Rejected") : "Mark taken away");
    return true;
  };

  /** The cells with a mark. */
  marks.cells = (word) => {
    const code = WORDS.indexOf(word);
    const found = [];
    for (let cell = 0; cell < data.size; cell += 1) if (marks.of[cell] === code) found.push(cell);
    return found;
  };

  /** The text of marks.json: all marks of the page, and those of the folder for tasks that it does not show. */
  marks.file = async () => {
    const all = {};
    const shown = new Set();
    for (let cell = 0; cell < data.size; cell += 1) if (data.here[cell]) shown.add(keyOf(cell));
    for (const [key, word] of Object.entries(data.index.marks || {})) if (!shown.has(short(key))) all[key] = word;
    for (let cell = 0; cell < data.size; cell += 1) {
      const word = marks.word(cell);
      if (!word) continue;
      const detail = await data.details(cell);
      if (!detail) throw new Error("the details of a marked picture cannot be read: build the gallery again");
      all[`${detail.task}-${data.number[cell]}`] = word;
    }
    return JSON.stringify({ batchgen: "marks/1", job: data.index.job, marks: all }, null, 1) + "\n";
  };

  window.batchgen.marks = marks;
})();
