// Owns the data: receives index, cells and details from the scripts in data/, and asks for those scripts when needed.
// A cell is a number here; what is known of it stands in columns. It draws nothing.
"use strict";
(() => {
  const DETAIL_FILES_KEPT = 32;
  const THUMB = /^[0-9a-f]{2}\/[0-9a-f]{32}\.webp$/;
  const DATA_FILE = /^data\/(cells|details)-\d{1,7}\.js$/;
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("batchgen-data", { createScriptURL: checked })
    : { createScriptURL: checked };

  function checked(url) {
    if (!DATA_FILE.test(url)) throw new TypeError("not a data file of this gallery");
    return url;
  }

  const data = {
    index: null,
    size: 0,
    loaded: 0,
    isWhole: false,
    id: [],
    thumb: [],
    axes: [],
    axis: new Map(),
  };
  const listeners = [];
  const details = new Map();
  const asked = new Map();

  /** `listener(isWhole)` is called whenever more cells have come. */
  data.onCells = (listener) => listeners.push(listener);

  function take(index) {
    data.index = index;
    const size = (data.size = index.cells);
    data.state = new Uint8Array(size);
    data.flags = new Uint32Array(size);
    data.now = new Uint8Array(size);
    data.number = new Uint16Array(size);
    data.width = new Uint32Array(size);
    data.height = new Uint32Array(size);
    data.here = new Uint8Array(size);
    data.axes = index.axes.map(({ key, title, values }) => ({ key, title, values, of: new Uint32Array(size) }));
    data.axis = new Map(data.axes.map((axis) => [axis.key, axis]));
    data.isWhole = size === 0;
    if (!data.isWhole) load("cells", 0);
    window.batchgen.start();
  }

  function load(kind, number) {
    const script = document.createElement("script");
    script.src = policy.createScriptURL(`data/${kind}-${number}.js`);
    script.addEventListener("load", () => script.remove());
    script.addEventListener("error", () => {
      script.remove();
      failed(kind, number);
    });
    document.head.append(script);
  }

  function failed(kind, number) {
    if (kind === "details") settle(number, null);
    else {
      window.batchgen.dom.say(`data/cells-${number}.js could not be read: build the gallery again`);
      came(number);
    }
  }

  function takeCells(file, columns) {
    const first = file * data.index.cells_per_file;
    const many = Math.min(columns.id.length, data.size - first);
    const put = (column, values) => {
      for (let at = 0; at < many; at += 1) column[first + at] = values[at];
    };
    put(data.id, columns.id);
    put(data.thumb, columns.thumb);
    put(data.state, columns.state);
    put(data.flags, columns.flags);
    put(data.now, columns.now);
    put(data.number, columns.n);
    put(data.width, columns.w);
    put(data.height, columns.h);
    for (const axis of data.axes) put(axis.of, columns.axis[axis.key]);
    data.here.fill(1, first, first + many);
    data.loaded += many;
    window.batchgen.marks.apply(first, first + many);
    came(file);
  }

  function came(file) {
    const next = file + 1;
    data.isWhole = next * data.index.cells_per_file >= data.size;
    for (const listener of listeners) listener(data.isWhole);
    if (!data.isWhole) setTimeout(() => load("cells", next), 0);
  }

  /** What is known of a cell's details at once; null when they have to be fetched. */
  data.known = (cell) => {
    const file = Math.floor(cell / data.index.details_per_file);
    const part = details.get(file);
    return part ? part[cell % data.index.details_per_file] || null : null;
  };

  /** The details of a cell, as a promise; null when they cannot be had. */
  data.details = (cell) => {
    if (cell < 0 || cell >= data.size) return Promise.resolve(null);
    const known = data.known(cell);
    if (known) return Promise.resolve(known);
    return data.detailFile(Math.floor(cell / data.index.details_per_file)).then((part) =>
      part ? part[cell % data.index.details_per_file] || null : null,
    );
  };

  /** All details of one file: a list, or null. */
  data.detailFile = (file) => {
    if (details.has(file)) return Promise.resolve(details.get(file));
    if (!asked.has(file)) {
      let settled;
      const promise = new Promise((resolve) => (settled = resolve));
      asked.set(file, { promise, settled });
      load("details", file);
    }
    return asked.get(file).promise;
  };

  function settle(file, part) {
    const waiting = asked.get(file);
    asked.delete(file);
    if (part) {
      details.set(file, part);
      if (details.size > DETAIL_FILES_KEPT) details.delete(details.keys().next().value);
    }
    if (waiting) waiting.settled(part);
  }

  data.stateOf = (cell) => data.index.states[data.state[cell]] || "";
  data.valueOf = (cell, key) => {
    const axis = data.axis.get(key);
    return (axis && axis.values[axis.of[cell]]) || { id: "", text: "" };
  };
  data.flagsOf = (cell) => data.index.flags.filter((_, bit) => (data.flags[cell] >>> bit) & 1);
  data.thumbOf = (cell) => (THUMB.test(data.thumb[cell]) ? `thumbs/${data.thumb[cell]}` : "");

  /** The address of a file of the folder; empty for a name that leads out of it. */
  data.address = (file) => {
    const parts = String(file || "").split("/");
    const isOdd = parts.some((part) => part === "" || part === "." || part === ".." || part.includes("\\") || part.includes("\0"));
    if (isOdd) return "";
    try {
      return "../" + parts.map(encodeURIComponent).join("/");
    } catch {
      return ""; // half a surrogate pair is no name
    }
  };

  /** What a cell is called in a sentence. */
  data.name = (cell) => {
    const words = [data.valueOf(cell, "prompt").id, data.valueOf(cell, "model").id];
    const tries = data.axis.get("try");
    if (tries && tries.values.length > 1) words.push(`try ${data.valueOf(cell, "try").id}`);
    const nights = data.axis.get("night");
    if (nights && nights.values.length > 1) words.push(data.valueOf(cell, "night").id);
    if (data.number[cell] > 1) words.push(`picture ${data.number[cell]}`);
    return words.filter(Boolean).join(", ");
  };

  Object.assign(window.batchgen, { data, index: take, cells: takeCells, details: settle });
})();
