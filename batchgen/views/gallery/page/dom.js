// Owns how elements are made: text is always text, never markup. Knows nothing of galleries.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";

  /** An element with attributes and children; a child that is a string becomes text. */
  function el(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    set(element, attributes);
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  }

  function set(element, attributes) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
      else element.setAttribute(name, value === true ? "" : String(value));
    }
  }

  function svg(tag, attributes = {}, ...children) {
    const element = document.createElementNS(SVG, tag);
    set(element, attributes);
    element.append(...children);
    return element;
  }

  const ICONS = {
    keep: ["M3.5 8.5 6.8 11.8 12.5 4.6"],
    reject: ["M4.2 4.2 11.8 11.8", "M11.8 4.2 4.2 11.8"],
    failed: ["M4.2 4.2 11.8 11.8", "M11.8 4.2 4.2 11.8"],
    unknown: ["M5.6 6.2a2.4 2.4 0 1 1 3.5 2.1c-.8.4-1.1.8-1.1 1.6", "M8 12.1v.1"],
    pending: ["M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11Z", "M8 5.2V8l2 1.6"],
    sending: ["M8 12.5v-9", "M4.6 6.6 8 3.2l3.4 3.4"],
    waiting: ["M8 3.2v8", "M4.6 8.2 8 11.6l3.4-3.4", "M4 13.6h8"],
    expired: ["M4.5 2.8h7", "M4.5 13.2h7", "M5.4 3c0 3.4 5.2 6.4 5.2 10", "M10.6 3c0 3.4-5.2 6.4-5.2 10"],
    lost: ["M8 2.6 14 13H2Z", "M8 6.6v3", "M8 11.4v.1"],
    missing: ["M3 3h10v10H3z", "M3 13 13 3"],
    close: ["M4 4l8 8", "M12 4l-8 8"],
    left: ["M9.8 3.5 5.3 8l4.5 4.5"],
    right: ["M6.2 3.5 10.7 8l-4.5 4.5"],
    up: ["M3.5 9.8 8 5.3l4.5 4.5"],
    down: ["M3.5 6.2 8 10.7l4.5-4.5"],
    theme: ["M8 2.5a5.5 5.5 0 1 0 0 11Z", "M8 2.5a5.5 5.5 0 0 1 0 11"],
    none: ["M5.5 8h5"],
  };

  /** A small drawn sign; what it means stands beside it or in the name of its button. */
  function icon(name) {
    const drawing = svg("svg", { viewBox: "0 0 16 16", class: "icon icon-" + name, "aria-hidden": "true", focusable: "false" });
    for (const d of ICONS[name] || ICONS.none) drawing.append(svg("path", { d }));
    return drawing;
  }

  const count = (number) => Number(number).toLocaleString("en");
  const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

  /** Seconds in words that are as exact as one cares for. */
  function seconds(value) {
    if (typeof value !== "number") return "";
    if (value < 10) return `${value.toFixed(value < 1 ? 2 : 1)} s`;
    if (value < 100) return `${Math.round(value)} s`;
    const minutes = Math.round(value / 60);
    return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  function bytes(value) {
    if (!value) return "";
    return value < 1024 * 1024 ? `${Math.max(1, Math.round(value / 1024))} kB` : `${(value / 1024 / 1024).toFixed(1)} MB`;
  }

  /** A time of the data, in local time. */
  function time(iso) {
    const date = new Date(iso);
    return iso && !Number.isNaN(date.getTime())
      ? date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })
      : "";
  }

  /** Say something in the corner, and to a screen reader. */
  let hiding = 0;
  function say(text) {
    const place = document.querySelector("dialog[open] .said") || document.getElementById("said");
    place.textContent = text;
    place.classList.add("shown");
    clearTimeout(hiding);
    hiding = setTimeout(() => place.classList.remove("shown"), 3500);
  }

  const byId = (id) => document.getElementById(id);

  window.batchgen = { dom: { el, svg, set, icon, count, plural, seconds, bytes, time, say, byId } };
})();
