// Owns the small charts: bars drawn as SVG, each with a sentence that says the same. It counts nothing.
"use strict";
(() => {
  const { dom } = window.batchgen;
  const { el, svg, count } = dom;
  const [WIDE, HIGH, FOOT] = [320, 96, 16];

  /** A figure of bars. `parts` are stacked: [{name, values}]; `ticks` are [place 0..1, text]. */
  function bars({ title, sentence, parts, ticks, unit }) {
    const many = parts[0].values.length;
    const sums = Array.from({ length: many }, (_, at) => parts.reduce((sum, part) => sum + (part.values[at] || 0), 0));
    const most = Math.max(...sums, 0) || 1;
    const drawing = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH + FOOT}`, role: "img", "aria-label": `${title}: ${sentence}`, class: "chart" });
    drawing.append(svg("line", { x1: 0, x2: WIDE, y1: HIGH - 0.5, y2: HIGH - 0.5, class: "ground" }));
    const step = WIDE / many;
    const gap = step > 5 ? Math.min(2, step * 0.18) : 0;
    for (let at = 0; at < many; at += 1) {
      let top = HIGH - 1;
      for (const part of parts) {
        const high = ((part.values[at] || 0) / most) * (HIGH - 16);
        if (!high) continue;
        top -= high;
        const wide = Math.max(0.7, Math.min(step - gap, 46));
        const x = at * step + (step - wide) / 2;
        drawing.append(svg("rect", { x: x.toFixed(2), y: top.toFixed(2), width: wide.toFixed(2), height: Math.max(0.7, high).toFixed(2), class: `bar bar-${part.name}` }));
      }
    }
    drawing.append(svg("text", { x: 0, y: 9, class: "most" }, `${most < 10 && most % 1 ? most.toFixed(1) : count(Math.round(most))}${unit ? " " + unit : ""}`));
    ticks.forEach(([share, text]) => {
      const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
      drawing.append(svg("text", { x: (share * WIDE).toFixed(1), y: HIGH + 13, "text-anchor": anchor }, text));
    });
    return el("figure", {}, el("figcaption", {}, title), drawing, el("p", { class: "soft" }, sentence));
  }

  function latency({ label, edges, counts }, model) {
    const last = edges[edges.length - 1];
    const total = counts.reduce((sum, each) => sum + each, 0);
    const half = model && typeof model.latency_p50 === "number" ? `half within ${dom.seconds(model.latency_p50)}, ` : "";
    const most = model && typeof model.latency_p95 === "number" ? `95 % within ${dom.seconds(model.latency_p95)}` : "";
    return bars({
      title: label,
      sentence: `${half}${most}${half || most ? "; " : ""}${dom.plural(total, "call", "calls")}`,
      parts: [{ name: "stored", values: counts }],
      ticks: [[0, edges[0] ? dom.seconds(edges[0]) : "0 s"], [0.5, dom.seconds(last / 2)], [1, `${dom.seconds(last)} and more`]],
      unit: "calls",
    });
  }

  function perMinute(minutes) {
    const clock = (iso) => new Date(iso).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
    const values = minutes.map((each) => each.count);
    const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
    const [first, last] = [clock(minutes[0].at), clock(minutes[minutes.length - 1].at)];
    return bars({
      title: "Pictures per minute, last run",
      sentence: `${mean < 10 ? mean.toFixed(1) : Math.round(mean)} in the mean, ${Math.max(...values)} at most`,
      parts: [{ name: "stored", values }],
      ticks: first === last ? [[0.5, first]] : [[0, first], [1, last]],
      unit: "a minute",
    });
  }

  function failures(rows, nameOf) {
    const bad = (row) => row.failed + row.unknown + row.lost + row.expired;
    const total = rows.reduce((sum, row) => sum + bad(row), 0);
    return bars({
      title: nameOf.title,
      sentence: `${dom.plural(total, "picture", "pictures")} missing of ${count(rows.reduce((sum, row) => sum + bad(row) + row.stored, 0))}`,
      parts: [{ name: "stored", values: rows.map((row) => row.stored) }, { name: "failed", values: rows.map(bad) }],
      ticks: rows.length > 6
        ? [[0, nameOf(rows[0])], [1, nameOf(rows[rows.length - 1])]]
        : rows.map((row, at) => [(at + 0.5) / rows.length, nameOf(row).slice(0, Math.floor(56 / rows.length))]),
      unit: "pictures",
    });
  }

  window.batchgen.charts = { latency, perMinute, failures };
})();
