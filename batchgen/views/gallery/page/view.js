// Owns what is looked at: which axis lies where, the filters, the size of the grid; and the address that keeps them.
"use strict";
(() => {
  const { dom, data } = window.batchgen;
  const PLACES = ["rows", "columns", "pages"];
  const SMALLEST = 48;
  const LARGEST = 560;
  const PREFERENCES = "batchgen gallery";

  const view = {
    rows: [],
    columns: [],
    pages: [],
    page: 0,
    only: new Map(),
    states: new Set(),
    flags: new Set(),
    marks: new Set(),
    find: "",
    earlier: false,
    height: 0,
    theme: "",
    tab: "pictures",
    SMALLEST,
    LARGEST,
  };
  const listeners = [];

  /** `listener(what)` is called when the view changed: "cells" (other cells or places), "size", "tab". */
  view.onChange = (listener) => listeners.push(listener);
  view.changed = (what) => {
    writeHash();
    for (const listener of listeners) listener(what);
  };

  view.open = () => {
    view.setDefault();
    readPreferences();
    readHash();
    window.addEventListener("hashchange", () => {
      readHash();
      for (const listener of listeners) listener("cells");
    });
  };

  view.setDefault = () => {
    const wanted = data.index.default || {};
    for (const place of PLACES) view[place] = known(wanted[place] || []);
    if (!view.rows.length && !view.columns.length) view.rows = known(["prompt"]);
  };

  const known = (keys) => keys.filter((key, at) => data.axis.has(key) && keys.indexOf(key) === at);

  view.placeOf = (key) => PLACES.find((place) => view[place].includes(key)) || "";

  /** Put an axis on rows, columns, pages or nowhere (""). A variable that leaves the rows splits prompts there by row. */
  view.move = (key, place) => {
    for (const each of PLACES) view[each] = view[each].filter((other) => other !== key);
    if (place) view[place].push(key);
    const isSplit = key.startsWith("var:") && (place === "columns" || place === "pages") && view.rows.includes("prompt");
    if (isSplit && view.placeOf("row") === "") {
      const others = data.axes.filter((axis) => axis.key.startsWith("var:") && axis.values.length > 1 && !view.placeOf(axis.key));
      view.rows.splice(view.rows.indexOf("prompt"), 1, "row", ...others.map((axis) => axis.key));
      dom.say("Rows are now the prompts as written, with their other variables");
    }
    view.page = 0;
    view.changed("cells");
  };

  /** Move an axis before its neighbour in its place. */
  view.raise = (key) => {
    const place = view[view.placeOf(key)];
    const at = place ? place.indexOf(key) : -1;
    if (at > 0) place.splice(at - 1, 2, key, place[at - 1]);
    view.changed("cells");
  };

  view.swap = () => {
    [view.rows, view.columns] = [view.columns, view.rows];
    view.changed("cells");
  };

  view.isFiltered = () =>
    Boolean(view.only.size || view.states.size || view.flags.size || view.marks.size || view.find.trim());

  view.clear = () => {
    view.only.clear();
    for (const set of [view.states, view.flags, view.marks]) set.clear();
    view.find = "";
    view.page = 0;
    view.changed("cells");
  };

  view.zoom = (height) => {
    view.height = Math.round(Math.min(LARGEST, Math.max(SMALLEST, height)));
    keepPreferences();
    for (const listener of listeners) listener("size");
  };

  view.setTheme = (theme) => {
    view.theme = theme;
    applyTheme();
    keepPreferences();
  };

  function applyTheme() {
    if (view.theme) document.documentElement.dataset.theme = view.theme;
    else delete document.documentElement.dataset.theme;
  }

  function readPreferences() {
    try {
      const kept = JSON.parse(window.localStorage.getItem(PREFERENCES) || "{}");
      if (kept.theme === "light" || kept.theme === "dark") view.theme = kept.theme;
      if (kept.height >= SMALLEST && kept.height <= LARGEST) view.height = kept.height;
    } catch {
      // a browser that keeps nothing begins anew each time
    }
    applyTheme();
  }

  function keepPreferences() {
    try {
      window.localStorage.setItem(PREFERENCES, JSON.stringify({ theme: view.theme, height: view.height }));
    } catch {
      // as above
    }
  }

  function writeHash() {
    const words = new URLSearchParams();
    const wanted = data.index.default || {};
    for (const place of PLACES) {
      if (view[place].join() !== known(wanted[place] || []).join()) words.set(place, JSON.stringify(view[place]));
    }
    if (view.page) words.set("page", String(view.page + 1));
    for (const [key, values] of view.only) {
      for (const value of values) words.append("only." + key, data.axis.get(key).values[value].id);
    }
    for (const name of ["states", "flags", "marks"]) for (const word of view[name]) words.append(name, word);
    if (view.find) words.set("find", view.find);
    if (view.earlier) words.set("earlier", "1");
    if (view.tab !== "pictures") words.set("tab", view.tab);
    const hash = words.toString();
    if (hash === location.hash.slice(1)) return;
    try {
      history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
    } catch {
      // then the address does not keep the view
    }
  }

  function readHash() {
    const words = new URLSearchParams(location.hash.slice(1));
    view.setDefault();
    for (const place of PLACES) if (words.has(place)) view[place] = known(listOf(words.get(place)));
    const seen = new Set();
    for (const place of PLACES) view[place] = view[place].filter((key) => !seen.has(key) && seen.add(key));
    view.page = Math.max(0, (parseInt(words.get("page"), 10) || 1) - 1);
    view.only = new Map();
    for (const axis of data.axes) {
      const ids = new Set(words.getAll("only." + axis.key));
      const values = axis.values.flatMap((value, at) => (ids.has(value.id) ? [at] : []));
      if (values.length) view.only.set(axis.key, new Set(values));
    }
    view.states = new Set(words.getAll("states").filter((word) => data.index.states.includes(word)));
    view.flags = new Set(words.getAll("flags").filter((word) => word === "none" || data.index.flags.includes(word)));
    view.marks = new Set(words.getAll("marks").filter((word) => ["keep", "reject", "none"].includes(word)));
    view.find = words.get("find") || "";
    view.earlier = words.get("earlier") === "1";
    view.tab = words.get("tab") === "summary" ? "summary" : "pictures";
  }

  function listOf(text) {
    try {
      const list = JSON.parse(text);
      return Array.isArray(list) ? list.filter((word) => typeof word === "string") : [];
    } catch {
      return [];
    }
  }

  window.batchgen.view = view;
})();
