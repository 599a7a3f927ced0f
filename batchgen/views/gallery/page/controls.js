// Owns the bar and its menus: arranging axes, filters, search, pages, size, saving, theme, help.
"use strict";
(() => {
  const { dom, data, marks, view, cell: cells, grid, job } = window.batchgen;
  const { el, icon, byId } = dom;
  const MOST_VALUES = 500;
  const controls = {};
  let open = null;

  controls.setUp = () => {
    menu(byId("arrange"), arrangePanel);
    menu(byId("save"), savePanel);
    byId("filters").append(...filters());
    wire();
    document.addEventListener("pointerdown", (event) => open && !open.panel.contains(event.target) && !open.button.contains(event.target) && shut());
    document.addEventListener("keydown", (event) => event.key === "Escape" && open && shut(true));
    window.addEventListener("resize", () => shut());
    view.onChange(controls.draw);
    controls.draw();
  };

  function wire() {
    let waiting = 0;
    const find = byId("find");
    find.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        view.find = find.value;
        view.page = 0;
        view.changed("cells");
      }, 120);
    });
    byId("earlier").addEventListener("change", (event) => {
      view.earlier = event.target.checked;
      view.changed("cells");
    });
    byId("clear").addEventListener("click", () => {
      view.clear();
      find.focus();
    });
    byId("size").addEventListener("input", (event) => view.zoom(view.SMALLEST * (view.LARGEST / view.SMALLEST) ** (event.target.value / 100)));
    byId("smaller").addEventListener("click", () => view.zoom(view.height / 1.25));
    byId("larger").addEventListener("click", () => view.zoom(view.height * 1.25));
    byId("theme").addEventListener("click", switchTheme);
    byId("help").addEventListener("click", () => controls.help());
    byId("help-close").addEventListener("click", () => byId("help-box").close());
    byId("page-before").addEventListener("click", () => controls.turn(-1));
    byId("page-after").addEventListener("click", () => controls.turn(1));
    byId("page").addEventListener("change", (event) => {
      view.page = Number(event.target.value);
      view.changed("cells");
    });
    for (const tab of ["pictures", "summary"]) {
      byId(`tab-${tab}`).addEventListener("click", () => {
        view.tab = tab;
        view.changed("tab");
      });
    }
  }

  controls.help = () => byId("help-box").showModal();

  controls.turn = (step) => {
    const { pages } = grid.layout;
    view.page = Math.max(0, Math.min(pages.length - 1, view.page + step));
    view.changed("cells");
  };

  function switchTheme() {
    const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" || (!view.theme && window.matchMedia("(prefers-color-scheme: dark)").matches);
    view.setTheme(isDark ? "light" : "dark");
    byId("theme").setAttribute("aria-label", isDark ? "Use dark colours" : "Use light colours");
  }

  /** A button that opens a panel beneath it; `fill` draws what is in it. */
  function menu(button, fill) {
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => {
      if (open && open.button === button) return shut(true);
      shut();
      const panel = el("div", { class: "panel", role: "dialog", "aria-label": button.dataset.name || button.textContent });
      button.setAttribute("aria-expanded", "true");
      button.after(panel);
      open = { button, panel, fill };
      fill(panel);
      put(button, panel);
      panel.querySelector("input, select, button")?.focus();
      return undefined;
    });
    return button;
  }

  function put(button, panel) {
    const box = button.getBoundingClientRect();
    const wide = panel.offsetWidth;
    panel.style.top = `${box.bottom + 6}px`;
    panel.style.left = `${Math.max(8, Math.min(box.left, window.innerWidth - wide - 8))}px`;
    panel.style.maxHeight = `${Math.max(120, window.innerHeight - box.bottom - 20)}px`;
  }

  function shut(isBack) {
    if (!open) return;
    open.panel.remove();
    open.button.setAttribute("aria-expanded", "false");
    if (isBack) open.button.focus();
    open = null;
  }

  function arrangePanel(panel) {
    const focused = document.activeElement && document.activeElement.id;
    const places = [["rows", "Rows"], ["columns", "Columns"], ["pages", "Pages"], ["", "In the cell"]];
    const rank = ({ key }) => {
      const place = view.placeOf(key);
      return places.findIndex(([each]) => each === place) * 100 + (place ? view[place].indexOf(key) : 0);
    };
    const axes = data.axes.filter((axis) => axis.values.length > 1 || view.placeOf(axis.key)).sort((a, b) => rank(a) - rank(b));
    const list = axes.map((axis) => {
      const place = view.placeOf(axis.key);
      const id = `axis-${axis.key}`;
      const select = el("select", { id, on: { change: (event) => view.move(axis.key, event.target.value) } }, ...places.map(([value, text]) => el("option", { value, selected: value === place }, text)));
      const isFirst = !place || view[place][0] === axis.key;
      const raise = el("button", { type: "button", class: "quiet square raise", id: `raise-${axis.key}`, title: `${nameOf(axis)} before the other`, "aria-label": `Put ${nameOf(axis)} before the other one`, disabled: isFirst, on: { click: () => view.raise(axis.key) } }, icon("up"));
      return el("div", { class: "axis" }, el("label", { for: id }, nameOf(axis), el("span", { class: "soft" }, dom.count(axis.values.length))), select, raise);
    });
    panel.replaceChildren(
      el("h2", {}, "Where the axes lie"),
      ...list,
      el("div", { class: "panel-foot" },
        el("button", { type: "button", id: "swap", on: { click: () => view.swap() } }, "Swap rows and columns"),
        el("button", { type: "button", id: "as-usual", on: { click: () => { view.setDefault(); view.changed("cells"); } } }, "As usual")),
    );
    if (focused) byId(focused)?.focus();
  }

  const nameOf = (axis) => (axis.key.startsWith("var:") ? axis.title : axis.title.charAt(0).toUpperCase() + axis.title.slice(1));

  function filters() {
    const made = data.axes
      .filter((axis) => axis.values.length > 1 && (axis.key === "model" || axis.key === "try" || axis.key === "night" || axis.key.startsWith("var:")))
      .map((axis) => filter(nameOf(axis), `axis-${axis.key}`, () => axisChoices(axis), () => (view.only.get(axis.key) || { size: 0 }).size));
    made.push(filter("State", "states", () => choices(view.states, data.index.states, (state) => cells.word(state), (cell) => [data.stateOf(cell)]), () => view.states.size));
    if (data.index.flags.length) {
      made.push(filter("Flags", "flags", () => choices(view.flags, [...data.index.flags, "none"], (flag) => (flag === "none" ? "no flag" : cells.flagWord(flag)),
        (cell) => (data.flags[cell] ? data.flagsOf(cell) : ["none"])), () => view.flags.size));
    }
    made.push(filter("Marks", "marks", () => choices(view.marks, ["keep", "reject", "none"], (mark) => ({ keep: "kept", reject: "rejected", none: "no mark" })[mark],
      (cell) => [marks.word(cell) || "none"]), () => view.marks.size));
    return made.flat();
  }

  const chips = [];

  function filter(name, id, list, chosen) {
    const button = el("button", { type: "button", class: "chip", id: `filter-${id}`, "data-name": `Show only: ${name}` }, el("span", {}, name), el("span", { class: "number" }), icon("down"));
    chips.push({ button, chosen });
    menu(button, (panel) => panel.replaceChildren(el("h2", {}, `Show only: ${name}`), el("div", { class: "choices" }, ...list())));
    return button;
  }

  function axisChoices(axis) {
    const many = axis.values.map(() => 0);
    for (let cell = 0; cell < data.size; cell += 1) if (data.here[cell] && (data.now[cell] || view.earlier)) many[axis.of[cell]] += 1;
    const chosen = view.only.get(axis.key) || new Set();
    return axis.values.slice(0, MOST_VALUES).map((value, at) =>
      choice(axis.key === "try" ? `Try ${value.id}` : value.id || value.text || "–", value.text === value.id ? "" : value.text, many[at], chosen.has(at), (isOn) => {
        if (isOn) chosen.add(at);
        else chosen.delete(at);
        if (chosen.size) view.only.set(axis.key, chosen);
        else view.only.delete(axis.key);
      }),
    );
  }

  function choices(chosen, list, wordOf, valuesOf) {
    const many = new Map(list.map((each) => [each, 0]));
    for (let cell = 0; cell < data.size; cell += 1) {
      if (data.here[cell] && (data.now[cell] || view.earlier)) for (const value of valuesOf(cell)) many.set(value, many.get(value) + 1);
    }
    return list
      .filter((each) => many.get(each) || chosen.has(each))
      .map((each) => choice(wordOf(each), "", many.get(each), chosen.has(each), (isOn) => (isOn ? chosen.add(each) : chosen.delete(each)), each));
  }

  function choice(text, more, many, isOn, change, value) {
    const box = el("input", { type: "checkbox", value: value || text });
    box.checked = isOn;
    box.addEventListener("change", () => {
      change(box.checked);
      view.page = 0;
      view.changed("cells");
    });
    return el("label", { class: "choice", title: more.slice(0, 600) }, box, el("span", { class: "choice-name" }, text.slice(0, 120)), more ? el("span", { class: "soft choice-more" }, more.slice(0, 120)) : "", el("span", { class: "number" }, dom.count(many)));
  }

  function savePanel(panel) {
    const { keep, reject } = marks.counts;
    const name = job.fileName(data.index.job);
    const tries = el("input", { type: "number", id: "tries", min: "1", max: "100", value: "4", inputmode: "numeric" });
    const button = (id, text, action, isOff) => el("button", { type: "button", class: "strong", id, disabled: isOff, on: { click: action } }, text);
    panel.replaceChildren(
      el("h2", {}, "Marks"),
      el("p", {}, `${dom.count(keep)} kept, ${dom.count(reject)} rejected. The browser remembers them; other verbs read them from marks.json in the folder ${data.index.folder}.`),
      button("save-marks", "Save marks.json", () => saving(async () => job.save("marks.json", await marks.file(), "application/json")), !(keep + reject)),
      el("h2", {}, "More like what is kept"),
      el("p", {}, "A job with one prompt for each kept picture, and new tries of it."),
      el("label", { class: "tries", for: "tries" }, "New tries of each", tries),
      button("save-job", `Save ${name}-more.yaml`, () => saving(() => saveMore(name, tries)), !keep),
    );
  }

  async function saveMore(name, field) {
    const tries = Math.max(1, Math.min(100, Math.round(Number(field.value)) || 4));
    const { text, rows, left } = await job.more(tries);
    job.save(`${name}-more.yaml`, text, "text/yaml");
    const words = `A job for ${dom.plural(rows * tries, "new picture", "new pictures")}`;
    dom.say(left ? `${words}; ${dom.count(left)} left out: another provider or a model of the same name` : words);
  }

  async function saving(action) {
    try {
      await action();
    } catch (error) {
      dom.say(`Nothing was saved: ${error.message}`);
    }
  }

  /** Show the state of all controls as it is. */
  controls.draw = () => {
    for (const { button, chosen } of chips) {
      button.classList.toggle("is-on", chosen() > 0);
      button.querySelector(".number").textContent = chosen() || "";
    }
    if (document.activeElement !== byId("find")) byId("find").value = view.find;
    byId("earlier").checked = view.earlier;
    byId("clear").hidden = !view.isFiltered();
    for (const tab of ["pictures", "summary"]) {
      byId(`tab-${tab}`).setAttribute("aria-selected", String(view.tab === tab));
      byId(`tab-${tab}`).tabIndex = view.tab === tab ? 0 : -1;
      byId(tab).hidden = view.tab !== tab;
    }
    byId("bar").hidden = view.tab !== "pictures";
    if (open && open.fill === arrangePanel) arrangePanel(open.panel);
  };

  /** What depends on the layout: the count, the pages, the size. */
  controls.drawLayout = () => {
    const { cells: shown, total, pages, page, rows } = grid.layout;
    byId("size").value = Math.round((100 * Math.log(view.height / view.SMALLEST)) / Math.log(view.LARGEST / view.SMALLEST));
    byId("size").setAttribute("aria-valuetext", `${view.height} pixels high`);
    const words = [`${dom.plural(shown.length, "cell", "cells")} in ${dom.plural(rows.length, "row", "rows")}`];
    if (shown.length !== total) words.push(`${dom.count(total)} on ${dom.count(pages.length)} pages`);
    if (!data.isWhole) words.push(`reading ${dom.count(data.loaded)} of ${dom.count(data.size)}`);
    byId("count").textContent = words.join(" · ");
    byId("pages").hidden = pages.length < 2;
    if (pages.length > 1) drawPages(pages, page);
    drawEmpty(shown.length);
  };

  function drawPages(pages, page) {
    const name = (values) => view.pages.map((key, at) => (key === "try" ? "Try " : "") + (data.axis.get(key).values[values[at]].id || "–")).join(" · ");
    byId("page").replaceChildren(...pages.slice(0, 5000).map((values, at) => el("option", { value: at, selected: at === page }, name(values).slice(0, 100))));
    byId("page-before").disabled = page === 0;
    byId("page-after").disabled = page === pages.length - 1;
  }

  function drawEmpty(many) {
    const empty = byId("empty");
    empty.hidden = many > 0;
    if (many) return;
    if (!data.isWhole) empty.replaceChildren("Reading …");
    else if (view.isFiltered()) empty.replaceChildren(el("p", {}, "Nothing passes these filters."), el("button", { type: "button", class: "strong", on: { click: () => view.clear() } }, "Show all"));
    else empty.replaceChildren(el("p", {}, data.size ? "The job asks for none of what is here; earlier pictures are shown by the switch above." : "Nothing was made yet."));
  }

  window.batchgen.controls = controls;
})();
