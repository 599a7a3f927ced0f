// Owns the summary: counts, keeps, money, time, failures, and the charts beneath. Keeps are counted as they are made.
"use strict";
(() => {
  const { dom, data, marks, view, charts } = window.batchgen;
  const { el, count, plural } = dom;
  const BAD = ["failed", "unknown", "expired", "lost"];
  const summary = {};
  let counted = null;

  summary.setUp = () => {
    marks.onChange(() => {
      line();
      if (view.tab === "summary") summary.draw();
    });
    data.onCells(() => {
      counted = null;
      line();
      if (view.tab === "summary") summary.draw();
    });
    line();
  };

  function states() {
    if (counted) return counted;
    counted = { asked: 0, stored: 0, bad: 0, open: 0 };
    for (let cell = 0; cell < data.size; cell += 1) {
      if (!data.here[cell] || !data.now[cell]) continue;
      const state = data.stateOf(cell);
      counted.asked += 1;
      if (state === "stored") counted.stored += 1;
      else if (BAD.includes(state)) counted.bad += 1;
      else counted.open += 1;
    }
    return counted;
  }

  /** The one line beneath the name of the job. */
  function line() {
    const { asked, stored, bad, open } = states();
    const { money } = data.index.summary;
    const words = [stored === asked ? plural(stored, "picture", "pictures") : `${count(stored)} of ${plural(asked, "picture", "pictures")}`];
    if (bad) words.push(`${count(bad)} failed`);
    if (open) words.push(`${count(open)} to come`);
    if (money && Number(money.billed) > 0) words.push(moneyWords(money.billed));
    words.push(`${count(marks.counts.keep)} kept`);
    dom.byId("line").replaceChildren(...words.flatMap((word, at) => (at ? [" · ", el("span", {}, word)] : [el("span", {}, word)])));
  }

  const moneyWords = (amount) => `${data.index.currency} ${amount}${data.index.play_money ? " (play money)" : ""}`;

  summary.draw = () => {
    const { summary: facts } = data.index;
    const place = dom.byId("summary");
    const at = place.scrollTop;
    place.replaceChildren(
      el("div", { class: "tiles" }, ...tiles(facts)),
      el("div", { class: "columns" }, ...[models(facts), ...variables(), failureList(facts)].filter(Boolean)),
      drawn(facts.charts || {}, facts.models || []),
    );
    place.scrollTop = at;
  };

  function tile(name, value, ...more) {
    return el("div", { class: "tile" }, el("h3", {}, name), el("strong", {}, value), ...more.filter(Boolean).map((text) => el("span", {}, text)));
  }

  function tiles({ money, time }) {
    const { asked, stored, bad, open } = states();
    const { keep, reject } = marks.counts;
    const made = [
      tile("Pictures", count(stored), stored === asked ? "" : `of ${count(asked)} asked for`, bad ? `${count(bad)} failed` : "", open ? `${count(open)} to come` : ""),
      tile("Kept", count(keep), `${count(reject)} rejected`, `${count(Math.max(0, stored - keep - reject))} without a mark`),
    ];
    if (money && money.billed !== undefined) {
      const other = Object.entries(money.other || {}).map(([currency, amount]) => `${currency} ${amount}`);
      made.push(
        tile("Spent", `${data.index.currency} ${money.billed}`, data.index.play_money ? "play money" : "", Number(money.maybe) > 0 ? `${money.maybe} maybe billed` : "",
          money.pictures ? `for ${plural(money.pictures, "picture", "pictures")}` : "", ...other),
      );
    }
    if (time && time.runs) {
      made.push(tile("Time", dom.seconds(time.seconds) || "0 s", `in ${plural(time.runs, "run", "runs")}`, time.ended_at ? `until ${dom.time(time.ended_at)}` : ""));
    }
    return made;
  }

  /** Kept, rejected and stored pictures for each value of an axis, of what the job asks for now. */
  function tally(axis) {
    const found = axis.values.map(() => ({ stored: 0, keep: 0, reject: 0 }));
    for (let cell = 0; cell < data.size; cell += 1) {
      if (!data.here[cell] || data.stateOf(cell) !== "stored") continue;
      const mark = marks.word(cell);
      if (!data.now[cell] && !mark) continue;
      const entry = found[axis.of[cell]];
      entry.stored += 1;
      if (mark) entry[mark] += 1;
    }
    return found;
  }

  /** A table; the first `words` columns hold words, the others numbers. */
  function table(title, heads, rows, words = 1) {
    const kind = (at) => ({ class: at && at < words ? "words" : null });
    return el(
      "section",
      { class: "card" },
      el("h2", {}, title),
      el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": title },
        el("table", {},
          el("thead", {}, el("tr", {}, ...heads.map((head, at) => el("th", { scope: "col", ...kind(at) }, head)))),
          el("tbody", {}, ...rows.map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row" }, first), ...rest.map((value, at) => el("td", kind(at + 1), value)))))),
      ),
    );
  }

  const seconds = (value) => dom.seconds(value) || "–";

  function models({ models: list }) {
    if (!list || !list.length) return null;
    const axis = data.axis.get("model");
    const tallied = axis ? tally(axis) : [];
    const kept = new Map(axis ? axis.values.map(({ id }, at) => [id, tallied[at]]) : []);
    const rows = list.map((each) => {
      const mine = kept.get(each.label) || { keep: 0, reject: 0 };
      const bad = BAD.reduce((sum, state) => sum + (each[state] || 0), 0);
      const name = el("span", { title: each.model }, each.label);
      return [name, count(each.stored || 0), bad ? count(bad) : "–", count(mine.keep), count(mine.reject), each.billed || "–", seconds(each.latency_p50), seconds(each.latency_p95)];
    });
    return table("Models", ["Model", "Pictures", "Failed", "Kept", "Rejected", `Spent, ${data.index.currency || "money"}`, "Half within", "95 % within"], rows);
  }

  function variables() {
    return data.axes
      .filter((axis) => axis.key.startsWith("var:") && axis.values.length > 1)
      .map((axis) => {
        const found = tally(axis);
        const rows = axis.values.slice(0, 200).map((value, at) => [
          el("span", { title: value.text.slice(0, 900) }, value.id || "–"),
          count(found[at].stored),
          share(found[at]),
          count(found[at].reject),
        ]);
        return table(axis.title, [axis.title, "Pictures", "Kept", "Rejected"], rows);
      });
  }

  function share({ keep, stored }) {
    const bar = el("span", { class: "share", "aria-hidden": "true" });
    bar.style.setProperty("--share", stored ? keep / stored : 0);
    return el("span", { class: "with-share" }, count(keep), bar);
  }

  function failureList({ failures }) {
    if (!failures || !failures.length) return null;
    const rows = failures.slice(0, 100).map((each) => [el("span", { class: "message" }, each.message || each.class || "no message"), each.class || "–", each.label, count(each.count)]);
    return table("Failures", ["What was said", "Kind", "Model", "Pictures"], rows, 3);
  }

  function drawn(made, list) {
    const byLabel = new Map(list.map((each) => [each.label, each]));
    const figures = [];
    const minutes = made.per_minute || [];
    if (minutes.length > 1) figures.push(charts.perMinute(minutes));
    if (list.some((each) => BAD.some((state) => each[state]))) {
      figures.push(charts.failures(list, Object.assign((row) => row.label, { title: "Failures per model" })));
    }
    const nights = (made.nights || []).filter((each) => each.night);
    if (nights.length > 1) figures.push(charts.failures(nights, Object.assign((row) => row.night, { title: "Nights" })));
    const calls = (made.latency || []).map((each) => charts.latency(each, byLabel.get(each.label)));
    return el(
      "div",
      { class: "figures" },
      figures.length ? el("section", {}, el("h2", {}, "How it went"), el("div", { class: "row-of-figures" }, ...figures)) : "",
      calls.length ? el("section", {}, el("h2", {}, "Latency"), el("div", { class: "row-of-figures" }, ...calls)) : "",
    );
  }

  window.batchgen.summary = summary;
})();
