// Owns the grid: only what is near the window exists as elements; headers stay in sight; one cell is the active one.
"use strict";
(() => {
  const { dom, data, marks, view, cell: cells, walk } = window.batchgen;
  const { el } = dom;
  const GAP = 6;
  const ROW_GAP = 10;
  const LEVEL = 27;
  const NARROWEST = 64;
  const TALLEST = 12_000_000; // browsers draw nothing below some 16 million pixels
  const SETTLED = 90;
  const SHARP_FROM = 420;
  const grid = { active: -1, layout: null };
  let place;
  let sheet;
  let heads;
  let levels = [];
  let size = {};
  const rows = new Map();
  let drawnHeads = "";
  let asked = 0;
  let settling = 0;
  let lastTop = 0;
  let isFast = false;
  const loading = new Set();

  grid.open = () => {
    place = dom.byId("grid");
    sheet = dom.byId("sheet");
    heads = dom.byId("heads");
    place.addEventListener("scroll", () => schedule(), { passive: true });
    new ResizeObserver(() => grid.layout && resized()).observe(place);
    marks.onChange(refresh);
    place.addEventListener("click", (event) => {
      const found = event.target.closest(".cell");
      if (!found) return;
      grid.activate(Number(found.id.slice(5)));
      window.batchgen.lightbox.open(grid.active);
    });
  };

  function refresh(cell) {
    for (const row of rows.values()) {
      for (const entry of row.entries.values()) if (cell === undefined || entry.cell === cell) cells.refresh(entry);
    }
  }

  let before = "";
  function resized() {
    const now = `${place.clientWidth} ${place.clientHeight}`;
    if (now === before || !place.clientWidth) return;
    before = now;
    grid.build();
  }

  /** Lay everything out anew and draw it; what was at the top stays there. */
  grid.build = () => {
    if (!place.clientWidth) return;
    const anchor = grid.layout ? anchored() : null;
    if (!view.height) view.height = usualHeight();
    measureHeads();
    const room = place.clientWidth - size.headWidth - 2 * GAP;
    grid.layout = window.batchgen.layout(room);
    view.page = grid.layout.page;
    walk.take(grid.layout);
    measure();
    for (const number of rows.keys()) dropRow(number);
    loading.clear();
    drawnHeads = "";
    sheet.style.height = `${Math.min(TALLEST, size.total)}px`;
    sheet.style.width = `${size.width}px`;
    place.setAttribute("aria-rowcount", grid.layout.rows.length + (size.top ? 1 : 0));
    place.setAttribute("aria-colcount", grid.layout.wide + 1);
    if (walk.position(grid.active) < 0) grid.active = grid.layout.cells.length ? grid.layout.cells[0] : -1;
    if (anchor) restore(anchor);
    lastTop = place.scrollTop;
    isFast = false;
    paint();
  };

  function usualHeight() {
    const wide = place.clientWidth;
    const many = data.size;
    if (many <= 2) return Math.min(view.LARGEST, Math.max(200, place.clientHeight - 140));
    if (many <= 12) return wide < 640 ? 200 : 240;
    return wide < 640 ? 132 : wide < 1700 ? 156 : 188;
  }

  function shownLevels(keys) {
    const several = keys.filter((key) => data.axis.get(key).values.length > 1);
    return several.length ? several : keys.slice(0, 1);
  }

  function measureHeads() {
    const wide = place.clientWidth;
    const isStacked = wide < 640;
    levels = shownLevels(view.columns);
    size = {
      window: wide, // asked for once: each time costs a layout
      high: place.clientHeight,
      isStacked,
      headWidth: !view.rows.length || isStacked ? 0 : Math.round(Math.min(300, Math.max(150, wide * 0.17))),
      headHeight: view.rows.length && isStacked ? 40 : 0,
      top: levels.length * LEVEL,
    };
  }

  function measure() {
    const { layout } = grid;
    size.line = view.height + GAP;
    size.box = layout.ratios.map((ratio) => Math.max(NARROWEST, Math.round(ratio * view.height)));
    size.left = new Float64Array(layout.wide + 1);
    size.base = new Int32Array(layout.wide);
    let at = size.headWidth + GAP;
    layout.sub.forEach((many, base) => {
      for (let within = 0; within < many; within += 1) {
        const column = layout.first[base] + within;
        size.left[column] = at;
        size.base[column] = base;
        at += size.box[base] + GAP;
      }
      at += many > 1 ? GAP : 0;
    });
    size.left[layout.wide] = at;
    size.width = Math.max(place.clientWidth, at);
    size.rowTop = new Float64Array(layout.rows.length + 1);
    for (let row = 0; row < layout.rows.length; row += 1) {
      size.rowTop[row + 1] = size.rowTop[row] + size.headHeight + layout.rowLines[row] * size.line + ROW_GAP;
    }
    size.total = size.top + size.rowTop[layout.rows.length] + GAP;
  }

  /** How far down the window is in the whole, which may be taller than what a browser scrolls. */
  function depth() {
    if (size.total <= TALLEST) return place.scrollTop;
    return (place.scrollTop * (size.total - place.clientHeight)) / (TALLEST - place.clientHeight);
  }

  function scrollToDepth(wanted) {
    const most = size.total - place.clientHeight;
    const bounded = Math.max(0, Math.min(most, wanted));
    place.scrollTop = size.total <= TALLEST ? bounded : (bounded * (TALLEST - place.clientHeight)) / most;
  }

  function rowAt(wanted) {
    let [low, high] = [0, grid.layout.rows.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (size.rowTop[middle] <= wanted) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }

  function anchored() {
    if (!grid.layout.cells.length || depth() < 2) return null;
    const row = rowAt(depth());
    const first = grid.layout.cells[grid.layout.rowStart[row]];
    return { cell: first, share: (depth() - size.rowTop[row]) / (size.rowTop[row + 1] - size.rowTop[row]) };
  }

  function restore({ cell, share }) {
    const at = walk.position(cell);
    if (at < 0) return scrollToDepth(0);
    const row = walk.rowOf(at);
    return scrollToDepth(size.rowTop[row] + share * (size.rowTop[row + 1] - size.rowTop[row]));
  }

  function schedule() {
    if (!asked) asked = requestAnimationFrame(paint);
  }

  /** Draw what the window shows and a little more, take away what is far. */
  function paint() {
    asked = 0;
    if (!grid.layout) return;
    const [top, high] = [depth(), size.high];
    isFast = Math.abs(top - lastTop) > high * 0.8;
    lastTop = top;
    const [from, to] = [top - size.top - high * 0.5, top - size.top + high * 1.5];
    const [left, right] = [place.scrollLeft - 200, place.scrollLeft + size.window + 200];
    const shift = place.scrollTop - top + size.top;
    const first = grid.layout.rows.length ? rowAt(from) : 0;
    let last = first;
    while (last < grid.layout.rows.length && size.rowTop[last] < to) last += 1;
    for (const number of rows.keys()) {
      if (number < first || number >= last) dropRow(number);
    }
    for (let number = first; number < last; number += 1) {
      if (!rows.has(number)) rows.set(number, startRow(number));
      fillRow(number, rows.get(number), { from, to, left, right, shift });
    }
    drawHeads(left, right);
    point();
    if (!isFast) loadAll();
    clearTimeout(settling);
    settling = setTimeout(settle, SETTLED);
  }

  function dropRow(number) {
    const row = rows.get(number);
    row.element.remove();
    for (const entry of row.entries.values()) {
      cells.release(entry);
      loading.delete(entry);
    }
    rows.delete(number);
  }

  function startRow(number) {
    const element = el("div", { class: "row", role: "row", "aria-rowindex": number + (size.top ? 2 : 1) });
    element.style.height = `${size.rowTop[number + 1] - size.rowTop[number]}px`;
    if (view.rows.length) element.append(rowHead(number));
    sheet.append(element);
    return { element, entries: new Map(), side: "", aside: null };
  }

  function fillRow(number, row, window_) {
    const { layout } = grid;
    const top = size.rowTop[number];
    row.element.style.top = `${top + window_.shift}px`; // no transform: what is sticky within would not notice
    const added = [];
    for (let at = layout.rowStart[number]; at < layout.rowStart[number + 1]; at += 1) {
      const y = size.headHeight + layout.line[at] * size.line;
      const x = size.left[layout.column[at]];
      const wide = size.box[size.base[layout.column[at]]];
      const isNear = top + y + size.line > window_.from && top + y < window_.to && x + wide > window_.left && x < window_.right;
      const entry = row.entries.get(at);
      if (isNear === Boolean(entry)) continue;
      if (!isNear) {
        cells.release(entry);
        row.entries.delete(at);
        loading.delete(entry);
        continue;
      }
      const fresh = cells.draw(layout.cells[at], wide, view.height);
      const { style } = fresh.element;
      style.left = `${x}px`;
      style.top = `${y}px`;
      style.width = `${wide}px`;
      style.height = `${view.height}px`;
      fresh.element.setAttribute("aria-colindex", layout.column[at] + 2);
      row.entries.set(at, fresh);
      loading.add(fresh);
      added.push(fresh.element);
    }
    row.element.append(...added);
    drawAside(number, row);
  }

  /** A row whose pictures all lie outside of the window says where they are. */
  function drawAside(number, row) {
    const { layout } = grid;
    const [from, to] = [place.scrollLeft + size.headWidth, place.scrollLeft + size.window];
    let [before, after] = [0, 0];
    for (let at = layout.rowStart[number]; at < layout.rowStart[number + 1] && !(before && after); at += 1) {
      const x = size.left[layout.column[at]];
      if (x + size.box[size.base[layout.column[at]]] <= from) before += 1;
      else if (x >= to) after += 1;
      else before = after = 1;
    }
    const side = before && after ? "" : before ? "left" : "right";
    if (side === row.side) return;
    row.side = side;
    row.aside?.remove();
    row.aside = null;
    if (!side) return;
    const many = layout.rowStart[number + 1] - layout.rowStart[number];
    const first = side === "right" ? layout.rowStart[number] : layout.rowStart[number + 1] - 1;
    row.aside = el("button", { type: "button", class: "aside", tabindex: "-1", on: { click: () => grid.activate(layout.cells[first]) } });
    row.aside.append(...(side === "left" ? [dom.icon("left"), `${dom.count(many)} on the left`] : [`${dom.count(many)} on the right`, dom.icon("right")]));
    row.aside.style.left = `${size.headWidth + GAP}px`;
    row.aside.style.top = `${size.top + 8}px`;
    row.aside.style.marginTop = `${8 - (size.headWidth ? size.rowTop[number + 1] - size.rowTop[number] : 0)}px`; // beside the header
    row.element.append(row.aside);
  }

  function loadAll() {
    for (const entry of loading) {
      if (entry.wants === "picture" && data.thumbOf(entry.cell)) {
        cells.fill(entry, false);
        loading.delete(entry);
      }
    }
  }

  /** Scrolling has stopped: now is time for words, for pictures that were passed over, and for sharper ones. */
  function settle() {
    isFast = false;
    const isSharp = view.height * window.devicePixelRatio > SHARP_FROM;
    for (const row of rows.values()) {
      for (const entry of row.entries.values()) {
        if (isSharp && entry.image && !entry.wants && !entry.isLarge) entry.wants = "picture";
        cells.fill(entry, isSharp);
      }
    }
    loading.clear();
  }

  /** What stands in a header for a value of an axis. */
  function words(key, value) {
    const { id, text } = data.axis.get(key).values[value];
    if (key === "try") return { title: `Try ${id}`, more: text === id ? "" : text };
    if (key === "prompt") return { title: text || id, more: id };
    if (key === "model") return { title: id, more: text };
    return { title: id || text || "–", more: text === id ? "" : text, kind: data.axis.get(key).title };
  }

  function rowHead(number) {
    const head = el("div", { class: "row-head", role: "rowheader" });
    const inner = el("div", { class: "row-words" });
    const keys = shownLevels(view.rows);
    for (const key of keys) {
      const { title, more, kind } = words(key, grid.layout.rows[number][view.rows.indexOf(key)]);
      const part = el("div", { class: "row-part", title: `${title}\n${more}`.trim().slice(0, 900) });
      if (kind) part.append(el("span", { class: "kind" }, kind));
      part.append(el("span", { class: key === "prompt" ? "text" : "text short" }, title.slice(0, 500)));
      if (more && !size.isStacked) part.append(el("span", { class: "id" }, more.slice(0, 120)));
      inner.append(part);
    }
    if (size.isStacked) {
      head.style.width = `${size.window}px`;
      head.style.height = `${size.headHeight}px`;
    } else {
      head.style.width = `${size.headWidth}px`;
      head.style.height = "100%";
      inner.style.top = `${size.top + 6}px`;
      inner.style.maxHeight = `${Math.max(view.height, size.high / 3)}px`;
      inner.style.setProperty("--lines", Math.max(1, Math.floor((view.height - 22 * keys.length) / 18 / keys.length)));
    }
    head.append(inner);
    return head;
  }

  function drawHeads(left, right) {
    const { layout } = grid;
    heads.hidden = !size.top || !layout.rows.length;
    if (heads.hidden) return;
    let [first, last] = [0, layout.columns.length];
    while (first < last && columnEnd(first) < left) first += 1;
    while (last > first && columnStart(last - 1) > right) last -= 1;
    const now = `${first} ${last}`;
    if (now === drawnHeads) return;
    drawnHeads = now;
    heads.style.height = `${size.top}px`;
    heads.replaceChildren();
    const corner = el("div", { class: "corner", role: "none" });
    corner.style.width = `${size.headWidth}px`;
    heads.append(corner);
    levels.forEach((key, level) => drawLevel(key, level, first, last));
  }

  const columnStart = (base) => size.left[grid.layout.first[base]];
  const columnEnd = (base) => columnStart(base) + grid.layout.sub[base] * (size.box[base] + GAP) - GAP;

  function drawLevel(key, level, first, last) {
    const { columns } = grid.layout;
    const upTo = view.columns.indexOf(key) + 1;
    const isSame = (a, b) => columns[a].slice(0, upTo).every((value, at) => value === columns[b][at]);
    let start = first;
    while (start > 0 && isSame(start, start - 1)) start -= 1;
    while (start < last) {
      let end = start + 1;
      while (end < columns.length && isSame(start, end)) end += 1;
      const { title, more, kind } = words(key, columns[start][upTo - 1]);
      const head = el("div", { class: "column-head", role: "columnheader", title: `${title}\n${more}`.trim().slice(0, 900) });
      const label = el("span", {}, kind ? el("span", { class: "kind" }, kind) : "", title.slice(0, 200));
      if (key === "try" && more) label.append(el("span", { class: "id" }, more));
      head.append(label);
      head.style.left = `${columnStart(start)}px`;
      head.style.width = `${columnEnd(end - 1) - columnStart(start)}px`;
      head.style.top = `${level * LEVEL}px`;
      head.style.height = `${LEVEL}px`;
      label.style.left = `${size.headWidth + GAP}px`;
      heads.append(head);
      start = end;
    }
  }

  /** Make a cell the active one and bring it into sight. */
  grid.activate = (cell) => {
    const at = walk.position(cell);
    if (at < 0) return;
    grid.active = cell;
    const row = walk.rowOf(at);
    const y = size.rowTop[row] + size.headHeight + grid.layout.line[at] * size.line;
    const room = place.clientHeight - size.top;
    const top = depth();
    if (y - size.headHeight < top) scrollToDepth(y - size.headHeight - GAP);
    else if (y + size.line > top + room) scrollToDepth(y + size.line + GAP - room);
    const x = size.left[grid.layout.column[at]];
    const wide = size.box[size.base[grid.layout.column[at]]];
    if (x - size.headWidth < place.scrollLeft) place.scrollLeft = x - size.headWidth - GAP;
    else if (x + wide > place.scrollLeft + place.clientWidth) place.scrollLeft = x + wide + GAP - place.clientWidth;
    paint();
  };

  grid.move = (direction) => grid.activate(walk.next(grid.active, direction));

  /** Some rows at once. */
  grid.leap = (pages) => {
    if (grid.active < 0) return;
    const at = walk.position(grid.active);
    const row = walk.rowOf(at);
    const wanted = size.rowTop[row] + pages * (place.clientHeight - size.top);
    const target = pages === Infinity ? grid.layout.rows.length - 1 : pages === -Infinity ? 0 : rowAt(Math.max(0, wanted));
    grid.activate(grid.layout.cells[grid.layout.rowStart[target]]);
  };

  function point() {
    sheet.querySelector(".is-active")?.classList.remove("is-active");
    const element = grid.active < 0 ? null : document.getElementById(`cell-${grid.active}`);
    if (element) {
      element.classList.add("is-active");
      place.setAttribute("aria-activedescendant", element.id);
    } else place.removeAttribute("aria-activedescendant");
  }

  grid.element = () => place;
  window.batchgen.grid = grid;
})();
