// Owns the way from one cell to the next: left and right along a row, up and down across rows and lines.
"use strict";
(() => {
  const { data } = window.batchgen;
  const walk = { layout: null };
  let positions = new Int32Array(0);
  let rowOf = new Int32Array(0);
  let wish = -1;

  walk.take = (layout) => {
    walk.layout = layout;
    positions = new Int32Array(data.size).fill(-1);
    rowOf = new Int32Array(layout.cells.length);
    layout.cells.forEach((cell, at) => (positions[cell] = at));
    for (let row = 0; row < layout.rows.length; row += 1) rowOf.fill(row, layout.rowStart[row], layout.rowStart[row + 1]);
    wish = -1;
  };

  /** Where a cell lies in the layout; -1 when it is not shown. */
  walk.position = (cell) => (cell >= 0 && cell < positions.length ? positions[cell] : -1);
  walk.rowOf = (position) => rowOf[position];

  /** The positions of a row in reading order. */
  function reading(row) {
    const { rowStart, line, column } = walk.layout;
    const found = [];
    for (let at = rowStart[row]; at < rowStart[row + 1]; at += 1) found.push(at);
    return found.sort((a, b) => line[a] - line[b] || column[a] - column[b]);
  }

  /** The cell that lies next in a direction, or the same one at the edge. */
  walk.next = (cell, direction) => {
    const at = walk.position(cell);
    if (at < 0) return walk.layout.cells.length ? walk.layout.cells[0] : -1;
    if (direction === "left" || direction === "right") {
      wish = -1;
      return beside(at, direction === "right" ? 1 : -1);
    }
    if (direction === "first" || direction === "last") {
      wish = -1;
      const row = reading(rowOf[at]);
      return walk.layout.cells[direction === "first" ? row[0] : row[row.length - 1]];
    }
    return across(at, direction === "down" ? 1 : -1);
  };

  function beside(at, step) {
    const row = rowOf[at];
    const order = reading(row);
    const place = order.indexOf(at) + step;
    if (place >= 0 && place < order.length) return walk.layout.cells[order[place]];
    if (row + step < 0 || row + step >= walk.layout.rows.length) return walk.layout.cells[at];
    const other = reading(row + step);
    return walk.layout.cells[step > 0 ? other[0] : other[other.length - 1]];
  }

  function across(at, step) {
    const { line, column, rowLines, rowStart, rows, cells } = walk.layout;
    if (wish < 0) wish = column[at];
    let row = rowOf[at];
    let wanted = line[at] + step;
    for (;;) {
      if (wanted < 0 || wanted >= rowLines[row]) {
        row += step;
        if (row < 0 || row >= rows.length) return cells[at];
        wanted = step > 0 ? 0 : rowLines[row] - 1;
      }
      let best = -1;
      for (let other = rowStart[row]; other < rowStart[row + 1]; other += 1) {
        if (line[other] !== wanted) continue;
        if (best < 0 || Math.abs(column[other] - wish) < Math.abs(column[best] - wish)) best = other;
      }
      if (best >= 0) return cells[best];
      wanted += step;
    }
  }

  window.batchgen.walk = walk;
})();
