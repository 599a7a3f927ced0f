// The list of pairs: reads the data files one after the other, filters them and draws what is scrolled to.
// Every text from outside goes through textContent; addresses are always below one of the two folders.
"use strict";

const comparison = (() => {
  const PORTION = 60;
  const KINDS = [
    ["all", "All"], ["changed", "Changed"], ["alike", "Alike"], ["same", "Same bytes"],
    ["lacking", "Without picture"], ["only", "In one folder"],
  ];
  const state = { summary: null, items: [], shown: [], drawn: 0, kind: "all", model: "", words: [] };
  const byId = (id) => document.getElementById(id);

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const number = (value) => value.toLocaleString("en");

  function address(side, file) {
    return state.summary.roots[side] + file;
  }

  function load(file) {
    const script = document.createElement("script");
    script.src = file;
    script.addEventListener("error", () => {
      byId("count").textContent = `${file} is missing: run batchgen compare again`;
    });
    document.head.append(script);
  }

  function summary(found) {
    state.summary = found;
    const [a, b] = found.names;
    document.title = `${a} → ${b}: ${found.changed} changed`;
    byId("name-a").textContent = a;
    byId("name-b").textContent = b;
    drawFacts(found);
    for (const text of found.words) byId("words").append(element("li", "", text));
    for (const [label, model, compared, changed] of found.models) {
      drawModel(label, model, compared, changed);
      const option = element("option", "", label);
      option.value = label;
      byId("model").append(option);
    }
    drawKinds(found);
    if (found.files) load("data/pairs-0.js");
    else show();
  }

  function drawFacts(found) {
    const parts = [`${number(found.pairs)} pairs`, "", `over ${found.threshold} of 64 bits`];
    if (found.resized) parts.push(`${number(found.resized)} of another size`);
    if (found.only[0]) parts.push(`${number(found.only[0])} only in A`);
    if (found.only[1]) parts.push(`${number(found.only[1])} only in B`);
    const facts = byId("facts");
    parts.forEach((part, index) => {
      if (index) facts.append(index === 2 ? " " : " · ");
      facts.append(index === 1 ? element("b", "", `${number(found.changed)} changed`) : part);
    });
  }

  function drawModel(label, model, compared, changed) {
    const item = element("li");
    const name = element("span", "name");
    const text = element("span", "", label);
    text.title = model;
    name.append(text, element("span", "", `${number(changed)} of ${number(compared)}`));
    const meter = element("meter");
    meter.max = compared;
    meter.value = changed;
    meter.setAttribute("aria-label", `${label}: changed pairs`);
    item.append(name, meter);
    byId("models").append(item);
  }

  function drawKinds(found) {
    const both = found.pairs - found.lacking;
    const counts = {
      all: found.total, changed: found.changed, same: found.same, lacking: found.lacking,
      alike: both - found.changed - found.same, only: found.only[0] + found.only[1],
    };
    for (const [kind, words] of KINDS) {
      const button = element("button", "", words);
      button.type = "button";
      button.dataset.kind = kind;
      button.disabled = !counts[kind];
      button.setAttribute("aria-pressed", String(kind === state.kind));
      button.append(" ", element("span", "", number(counts[kind] || 0)));
      button.addEventListener("click", () => {
        state.kind = kind;
        for (const each of byId("kinds").children) each.setAttribute("aria-pressed", String(each === button));
        show();
      });
      byId("kinds").append(button);
    }
  }

  function pairs(file, items) {
    for (const item of items) {
      item.haystack = [item.prompt, item.id, item.label, ...item.vars.flat()].join("\n").toLowerCase();
      state.items.push(item);
      if (isWanted(item)) state.shown.push(item);
    }
    if (file + 1 < state.summary.files) setTimeout(load, 0, `data/pairs-${file + 1}.js`);
    sayCount();
    drawMore();
  }

  function isWanted(item) {
    return (state.kind === "all" || item.kind === state.kind) && (!state.model || item.label === state.model)
      && state.words.every((word) => item.haystack.includes(word));
  }

  function show() {
    state.shown = state.items.filter(isWanted);
    state.drawn = 0;
    byId("pairs").replaceChildren();
    sayCount();
    drawMore();
  }

  function sayCount() {
    const all = state.items.length < state.summary.total ? ", reading…" : "";
    byId("count").textContent = `${number(state.shown.length)} of ${number(state.summary.total)}, most changed first${all}`;
  }

  function isNear() {
    return byId("more").getBoundingClientRect().top < window.innerHeight * 2;
  }

  function drawMore() {
    while (state.drawn < state.shown.length && (state.drawn === 0 || isNear())) {
      const portion = state.shown.slice(state.drawn, state.drawn + PORTION);
      byId("pairs").append(...portion.map((item, index) => card(item, state.drawn + index)));
      state.drawn += portion.length;
    }
  }

  function card(item, index) {
    const made = element("li", `pair ${item.kind}`);
    const button = element("button");
    button.type = "button";
    const both = element("span", "both");
    both.style.setProperty("--ratio", String(ratio(item)));
    both.append(half(item, 0), half(item, 1));
    const text = element("span", "text");
    const first = element("span", "line-1");
    first.append(element("span", "who", who(item)), element("span", "bits", bits(item)));
    text.append(first, element("span", "what", item.prompt), notes(item));
    button.append(both, text);
    button.addEventListener("click", () => viewer.open(index));
    made.append(button);
    return made;
  }

  // Width by height of the wider picture, within what a card can take.
  function ratio(item) {
    const ratios = item.sides.filter((side) => side && side.width && side.height).map((side) => side.width / side.height);
    return ratios.length ? Math.min(1.8, Math.max(0.7, ...ratios)) : 1.4;
  }

  function half(item, place) {
    const side = item.sides[place];
    const made = element("span", place ? "half b" : "half a");
    const file = side && (side.thumb || side.file);
    if (file) {
      const image = element("img");
      image.loading = "lazy";
      image.decoding = "async";
      image.alt = `${place ? "B" : "A"}: ${item.prompt.slice(0, 120)}`;
      image.src = address(place, file);
      made.append(image);
    } else {
      made.append(element("span", "none", absent(side)));
    }
    made.append(element("span", "letter", place ? "B" : "A"));
    return made;
  }

  function absent(side) {
    if (!side) return "not in this folder";
    const reason = side.reason ? `: ${side.reason.slice(0, 160)}` : "";
    return side.state === "missing" ? "its file is missing" : side.state + reason;
  }

  function who(item) {
    const more = item.number > 1 ? ` · no. ${item.number}` : "";
    return `${item.label} · try ${item.try}${more} · ${item.id}`;
  }

  function bits(item) {
    if (item.kind === "same") return "same bytes";
    return typeof item.bits === "number" ? `${item.bits} of 64 bits` : "";
  }

  function notes(item) {
    const made = element("span", "notes");
    const [a, b] = item.sides;
    if (item.resized) made.append(element("span", "", `${size(a)} → ${size(b)}`));
    for (const flag of new Set([...(a ? a.flags : []), ...(b ? b.flags : [])])) made.append(element("span", "", flag));
    return made;
  }

  function size(side) {
    return side && side.width ? `${side.width}×${side.height}` : "";
  }

  function start() {
    let waiting = 0;
    byId("model").addEventListener("change", (event) => {
      state.model = event.target.value;
      show();
    });
    byId("find").addEventListener("input", (event) => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        state.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
        show();
      }, 120);
    });
    new IntersectionObserver(() => state.summary && drawMore(), { rootMargin: "100%" }).observe(byId("more"));
    window.addEventListener("resize", () => state.summary && drawMore());
  }

  start();
  return { summary, pairs, state, element, address, absent, who, bits, size, drawMore };
})();
