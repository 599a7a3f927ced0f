// Owns the start of the page and its keys: puts the parts together when the index has come.
"use strict";
(() => {
  const { dom, data, marks, view, grid, lightbox, summary, controls } = window.batchgen;
  const { byId } = dom;
  const BETWEEN = 400;
  let built = 0;
  let waiting = 0;

  window.batchgen.start = () => {
    const { index } = data;
    if (index.schema !== "gallery/1") return fail("This gallery was written by another version: build it again with batchgen gallery.");
    document.title = `${index.job} – gallery`;
    byId("job").textContent = index.job;
    byId("job").title = index.job_path ? `${index.job_path}, in ${index.folder}` : index.folder;
    byId("built").textContent = `Built ${dom.time(index.built_at)} by batchgen ${index.version}.`;
    byId("running").hidden = !index.running;
    marks.open();
    view.open();
    grid.open();
    lightbox.setUp();
    summary.setUp();
    controls.setUp();
    view.onChange(changed);
    data.onCells(came);
    document.addEventListener("keydown", key);
    byId("tabs").addEventListener("keydown", tabs);
    if (view.tab === "summary") summary.draw();
    if (!data.size) build();
    return undefined;
  };

  function fail(text) {
    byId("empty").hidden = false;
    byId("empty").textContent = text;
  }

  function changed(what) {
    if (what === "tab" && view.tab === "summary") summary.draw();
    if (view.tab === "pictures") build();
  }

  /** More cells have come: the first at once, the others not more often than one can look. */
  function came(isWhole) {
    clearTimeout(waiting);
    if (isWhole || !built || performance.now() - built > BETWEEN) build();
    else waiting = setTimeout(build, BETWEEN);
  }

  function build() {
    if (byId("pictures").hidden) return;
    grid.build();
    built = performance.now();
    if (grid.layout) controls.drawLayout();
  }

  const MOVES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };
  const IN_GRID = {
    Home: () => grid.move("first"),
    End: () => grid.move("last"),
    PageDown: () => grid.leap(1),
    PageUp: () => grid.leap(-1),
    Enter: () => lightbox.open(grid.active),
    " ": () => lightbox.open(grid.active),
    k: () => marks.set(grid.active, "keep"),
    x: () => marks.set(grid.active, "reject"),
    u: () => marks.set(grid.active, ""),
  };
  const ANYWHERE = {
    "/": () => byId("find").focus(),
    "?": () => controls.help(),
    "+": () => view.zoom(view.height * 1.25),
    "=": () => view.zoom(view.height * 1.25),
    "-": () => view.zoom(view.height / 1.25),
    "[": () => controls.turn(-1),
    "]": () => controls.turn(1),
  };

  function key(event) {
    if (event.altKey || document.querySelector("dialog[open]")) return;
    const isTyping = event.target.closest("input:not([type=checkbox]):not([type=range]), select, textarea");
    if (isTyping) {
      if (event.key === "Escape") grid.element().focus();
      return;
    }
    const isInGrid = view.tab === "pictures" && (event.target === document.body || grid.element().contains(event.target));
    if ((event.ctrlKey || event.metaKey) && isInGrid && (event.key === "Home" || event.key === "End")) {
      event.preventDefault();
      grid.leap(event.key === "Home" ? -Infinity : Infinity);
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    const action = (isInGrid && (MOVES[event.key] ? () => grid.move(MOVES[event.key]) : IN_GRID[event.key])) || (view.tab === "pictures" && ANYWHERE[event.key]);
    if (!action && event.key !== "?") return;
    if (isInGrid && grid.active < 0 && !ANYWHERE[event.key]) return;
    event.preventDefault();
    if (action) action();
    else controls.help();
  }

  function tabs(event) {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    view.tab = view.tab === "pictures" ? "summary" : "pictures";
    view.changed("tab");
    byId(`tab-${view.tab}`).focus();
  }

  window.addEventListener("load", () => data.index || fail("The data of this gallery is missing: build it again with batchgen gallery."));
})();
