// Owns which cells are shown and where they lie: filtering, then rows, columns and lines as numbers. It draws nothing.
"use strict";
(() => {
  const { data, marks, view } = window.batchgen;
  const MARK_WORDS = ["none", "keep", "reject"];
  const MOST_BESIDE = 4;
  let texts = null;

  /** The cells that pass the filters, in the order of the data. */
  function shown() {
    const tests = [...view.only].map(([key, values]) => {
      const axis = data.axis.get(key);
      return { of: axis.of, allowed: Uint8Array.from(axis.values, (_, at) => (values.has(at) ? 1 : 0)) };
    });
    const states = data.index.states.map((state) => !view.states.size || view.states.has(state));
    let mask = 0;
    data.index.flags.forEach((flag, bit) => (mask |= view.flags.has(flag) ? 1 << bit : 0));
    const markAllowed = MARK_WORDS.map((word) => !view.marks.size || view.marks.has(word));
    const words = view.find.toLowerCase().split(/\s+/).filter(Boolean).map(finder);
    const found = new Int32Array(data.size);
    let many = 0;
    for (let cell = 0; cell < data.size; cell += 1) {
      if (!data.here[cell] || !(data.now[cell] || view.earlier)) continue;
      if (!states[data.state[cell]] || !markAllowed[marks.of[cell]]) continue;
      if (view.flags.size && !(data.flags[cell] & mask) && !(view.flags.has("none") && !data.flags[cell])) continue;
      if (!tests.every((test) => test.allowed[test.of[cell]])) continue;
      if (!words.every((fits) => fits(cell))) continue;
      found[many++] = cell;
    }
    return found.subarray(0, many);
  }

  /** A test whether a word stands in any text of a cell: its prompt, names, values, id. */
  function finder(word) {
    texts ||= data.axes.map((axis) => ({
      of: axis.of,
      values: axis.values.map((value) => `${value.id}\n${value.text}`.toLowerCase()),
    }));
    const holds = texts.map((axis) => Uint8Array.from(axis.values, (text) => (text.includes(word) ? 1 : 0)));
    const isId = /^[0-9a-f]{4,}$/.test(word);
    const start = word.slice(0, 16);
    return (cell) => texts.some((axis, at) => holds[at][axis.of[cell]]) || (isId && data.id[cell].startsWith(start));
  }

  /** For each cell the rank of its combination of values on some axes, and the combinations in order. */
  function ranks(cells, keys) {
    const rank = new Int32Array(cells.length);
    let combinations = [[]];
    for (const key of keys) {
      const axis = data.axis.get(key);
      const size = axis.values.length;
      const joined = new Float64Array(cells.length);
      for (let at = 0; at < cells.length; at += 1) joined[at] = rank[at] * size + axis.of[cells[at]];
      const present = [...new Set(joined)].sort((a, b) => a - b);
      const place = new Map(present.map((value, at) => [value, at]));
      for (let at = 0; at < cells.length; at += 1) rank[at] = place.get(joined[at]);
      combinations = present.map((value) => [...combinations[Math.floor(value / size)], value % size]);
    }
    return { rank, combinations };
  }

  /** Only the cells of the page that is looked at. */
  function paged(all) {
    const pages = ranks(all, view.pages);
    const page = Math.min(view.page, Math.max(0, pages.combinations.length - 1));
    const cells = pages.combinations.length > 1 ? all.filter((_, at) => pages.rank[at] === page) : all;
    return { cells, page, pages: pages.combinations };
  }

  /** Where everything lies. `room` is how wide the pictures of a single column may lie beside each other. */
  function layout(room) {
    const all = shown();
    const { cells, page, pages } = paged(all);
    const rows = ranks(cells, view.rows);
    const columns = ranks(cells, view.columns);
    const many = Math.max(1, columns.combinations.length);
    const order = Int32Array.from(cells, (_, at) => at);
    order.sort((a, b) => rows.rank[a] - rows.rank[b] || columns.rank[a] - columns.rank[b] || a - b);
    const ratios = ratiosOf(cells, columns.rank, many);
    const depth = deepest(order, rows.rank, columns.rank, many);
    const sub = depth.map((deep, at) =>
      many === 1 ? Math.min(deep, Math.max(1, Math.floor(room / (ratios[at] * view.height + 10)))) : Math.min(deep, MOST_BESIDE),
    );
    const first = [];
    let wide = 0;
    for (const each of sub) {
      first.push(wide);
      wide += each;
    }
    const result = {
      cells: new Int32Array(cells.length),
      line: new Int32Array(cells.length),
      column: new Int32Array(cells.length),
      rowStart: new Int32Array(rows.combinations.length + 1),
      rowLines: new Int32Array(rows.combinations.length),
      rows: cells.length ? rows.combinations : [],
      columns: columns.combinations,
      sub,
      first,
      wide,
      ratios,
      page,
      pages,
      total: all.length,
    };
    place(result, order, cells, rows.rank, columns.rank);
    return result;
  }

  function place(result, order, cells, rowRank, columnRank) {
    let row = -1;
    let column = -1;
    let within = 0;
    order.forEach((at, position) => {
      if (rowRank[at] !== row) {
        row = rowRank[at];
        result.rowStart[row] = position;
        column = -1;
      }
      within = columnRank[at] === column ? within + 1 : 0;
      column = columnRank[at];
      const line = Math.floor(within / result.sub[column]);
      result.cells[position] = cells[at];
      result.line[position] = line;
      result.column[position] = result.first[column] + (within % result.sub[column]);
      result.rowLines[row] = Math.max(result.rowLines[row], line + 1);
    });
    result.rowStart[result.rowStart.length - 1] = order.length;
  }

  function deepest(order, rowRank, columnRank, many) {
    const deep = new Array(many).fill(1);
    let run = 0;
    for (let at = 0; at < order.length; at += 1) {
      const [here, before] = [order[at], order[at - 1]];
      run = at && rowRank[here] === rowRank[before] && columnRank[here] === columnRank[before] ? run + 1 : 1;
      deep[columnRank[here]] = Math.max(deep[columnRank[here]], run);
    }
    return deep;
  }

  /** Width by height of each column: that of the pictures in its middle. Columns without a picture take all columns'. */
  function ratiosOf(cells, columnRank, many) {
    const found = Array.from({ length: many }, () => []);
    const every = [];
    for (let at = 0; at < cells.length; at += 1) {
      const [wide, high] = [data.width[cells[at]], data.height[cells[at]]];
      const list = found[columnRank[at]];
      if (!wide || !high || list.length > 500) continue;
      list.push(wide / high);
      if (every.length < 2000) every.push(wide / high);
    }
    const middle = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
    const usual = every.length ? middle(every) : 1;
    return found.map((list) => Math.min(2.4, Math.max(0.5, list.length ? middle(list) : usual)));
  }

  Object.assign(window.batchgen, { layout, shown });
})();
