// Owns the text of jobs: one picture again, and new tries of all that are kept. Every text is a quoted scalar, so that
// whatever a prompt holds stays a prompt.
"use strict";
(() => {
  const { dom, data, marks } = window.batchgen;
  const MODULUS = 2147483647;
  const STEP = 1640531527;
  const UNSAFE = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff\u200b-\u200f\u202a-\u202e\u2060-\u2069]/g;

  /** A text as a double-quoted scalar; what cannot be seen is spelt out. */
  function quoted(text) {
    return JSON.stringify(String(text).toWellFormed ? String(text).toWellFormed() : String(text)).replace(
      UNSAFE,
      (letter) => "\\u" + letter.charCodeAt(0).toString(16).padStart(4, "0"),
    );
  }

  /** Any JSON value in one line. */
  function flow(value) {
    if (typeof value === "string") return quoted(value);
    if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
    if (value && typeof value === "object") {
      return `{${Object.entries(value).map(([key, each]) => `${quoted(key)}: ${flow(each)}`).join(", ")}}`;
    }
    return value === undefined ? "null" : JSON.stringify(value);
  }

  function row(detail, id, seeds) {
    const params = { ...detail.params, ...detail.inputs };
    const lines = [`  - id: ${quoted(id)}`, `    prompt: ${quoted(detail.prompt)}`, "    literal: true"];
    lines.push(`    model: ${quoted(detail.label)}`, `    seed: ${flow(seeds)}`);
    if (Object.keys(params).length) lines.push(`    params: ${flow(params)}`);
    if (Object.keys(detail.extra || {}).length) lines.push(`    extra_params: ${flow(detail.extra)}`);
    return lines.join("\n");
  }

  function whole(comment, name, provider, rows, models) {
    const listed = [...models].map(([label, id]) => `  - {id: ${quoted(id)}, label: ${quoted(label)}}`);
    return [
      ...comment.map((line) => `# ${line}`),
      `name: ${quoted(name)}`,
      `provider: ${quoted(provider)}`,
      "prompts:",
      ...rows,
      "models:",
      ...listed,
      "",
    ].join("\n");
  }

  const providerOf = (detail) => String(detail.provider || "").split("@")[0];

  /** The job that makes one picture again, as the same task. */
  function again(detail) {
    const seeds = detail.seed;
    const models = new Map([[detail.label, detail.model]]);
    const id = detail.prompt_id || "again";
    const comment = ["One picture again: the same prompt, model, seed and fields.", ...away(detail)];
    return whole(comment, `${data.index.job}-again`, providerOf(detail), [row(detail, id, seeds)], models);
  }

  /** A word about a service that stood on the maker's own machine: a job finds it where the environment says. */
  function away(detail) {
    return String(detail.provider).endsWith("@local")
      ? ["It was made by a service on the maker's own machine: name it with provider: {name: …, base_url: …}."]
      : [];
  }

  /** Seeds of new tries, which follow from the kept one and are none of `taken`. */
  function fresh(seed, many, taken) {
    const seeds = [];
    let next = Number(seed) % MODULUS;
    while (seeds.length < many) {
      next = (next + STEP) % MODULUS;
      if (taken.has(next)) continue;
      taken.add(next);
      seeds.push(next);
    }
    return seeds;
  }

  /** All seeds with which the gallery shows some prompts, by the place of the prompt. */
  async function seedsOf(prompts) {
    const { of } = data.axis.get("prompt");
    const found = new Map([...prompts].map((prompt) => [prompt, new Set()]));
    for (let cell = 0; cell < data.size; cell += 1) {
      if (!found.has(of[cell])) continue;
      const detail = await data.details(cell);
      if (detail) found.get(of[cell]).add(Number(detail.seed));
    }
    return found;
  }

  /** The job `<name>-more`: a row for each kept picture, with `tries` new seeds. Resolves to {text, rows, left}. */
  async function more(tries) {
    const kept = marks.cells("keep");
    const { of } = data.axis.get("prompt");
    const taken = await seedsOf(new Set(kept.map((cell) => of[cell])));
    const ids = new Set();
    const models = new Map();
    const rows = [];
    let provider = "";
    let notes = [];
    let left = 0;
    for (const cell of kept) {
      const detail = await data.details(cell);
      if (!detail) throw new Error("the details of a kept picture cannot be read: build the gallery again");
      provider ||= providerOf(detail);
      if (providerOf(detail) !== provider || (models.get(detail.label) || detail.model) !== detail.model) {
        left += 1; // a job has one provider, and a label means one model
        continue;
      }
      models.set(detail.label, detail.model);
      if (!notes.length) notes = away(detail);
      rows.push(row(detail, unique(detail.prompt_id || "kept", ids), fresh(detail.seed, tries, taken.get(of[cell]))));
    }
    const comment = [
      `New tries of what was kept: ${dom.plural(rows.length, "picture", "pictures")}, ${tries} new ${tries === 1 ? "seed" : "seeds"} each.`,
      "Put this file into the folder of your jobs, then: batchgen plan, batchgen run.",
      ...notes,
    ];
    return { text: whole(comment, `${data.index.job}-more`, provider, rows, models), rows: rows.length, left };
  }

  function unique(id, ids) {
    let name = id;
    for (let number = 2; ids.has(name); number += 1) name = `${id}-${number}`;
    ids.add(name);
    return name;
  }

  /** Hand the browser a file to save. */
  function save(name, text, type) {
    const address = URL.createObjectURL(new Blob([text], { type }));
    const link = dom.el("a", { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  /** Put a text on the clipboard, with what the browser allows; says whether it did. */
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return copyOldWay(text);
    }
  }

  function copyOldWay(text) {
    const back = document.activeElement;
    const area = dom.el("textarea", { class: "off-screen", "aria-hidden": "true", tabindex: "-1" });
    area.value = text;
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    let isDone = false;
    try {
      isDone = document.execCommand("copy");
    } catch {
      isDone = false;
    }
    area.remove();
    if (back) back.focus();
    return isDone;
  }

  const fileName = (name) => name.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+/, "").slice(0, 80) || "gallery";

  window.batchgen.job = { again, more, save, copy, fileName };
})();
