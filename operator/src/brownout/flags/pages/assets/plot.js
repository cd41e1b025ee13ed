// Plots as SVG: step lines, because a status holds until the next one. A gap is where nobody was there to see.

import { at, tick } from "./time.js";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 8, right: 10, bottom: 20, left: 40 };
const LEAST_WIDTH = 160;

function svg(name, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

/** A round number at or above `value`: a small factor times a power of ten. */
export function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((bound) => bound >= value * 0.9999);
}

/** The path of a step line. Points are [x, y]; a y that is null ends the line there. */
export function steps(points, end) {
  let path = "";
  let last = null;
  for (const [x, y] of points) {
    if (y === null || y === undefined) {
      if (last !== null) path += `H${x.toFixed(1)}`;
      last = null;
      continue;
    }
    path += last === null ? `M${x.toFixed(1)} ${y.toFixed(1)}` : `H${x.toFixed(1)}V${y.toFixed(1)}`;
    last = y;
  }
  return last === null ? path : `${path}H${end.toFixed(1)}`;
}

/** The value of a series at a moment: that of the last point before it. */
export function valueAt(times, values, moment) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= moment) low = middle + 1;
    else high = middle;
  }
  return low ? values[low - 1] : null;
}

/**
 * A plot of some columns of a history. lines: [{column, label, kind}], `kind` being the style sheet's name for it; unit is put
 * behind numbers, level is a value that is drawn as a dashed line.
 */
export class Plot {
  constructor(title, lines, { unit = "", level, height = 150, decimals = 0 } = {}) {
    Object.assign(this, { title, lines, unit, level, height, decimals, width: 480 });
    this.figure = document.createElement("figure");
    this.figure.className = "plot";
    this.caption = document.createElement("figcaption");
    this.caption.append(Object.assign(document.createElement("span"), { className: "plot-title", textContent: title }));
    this.legend = lines.map((line) => {
      const entry = document.createElement("span");
      entry.className = `legend ${line.kind}`;
      const value = document.createElement("b");
      entry.append(`${line.label} `, value);
      this.caption.append(" ", entry);
      return value;
    });
    this.root = svg("svg", { viewBox: `0 0 ${this.width} ${height}`, role: "img", "aria-label": title });
    this.grid = this.root.appendChild(svg("g", { class: "grid" }));
    this.paths = lines.map((line) => this.root.appendChild(svg("path", { class: `line ${line.kind}` })));
    this.cursor = this.root.appendChild(svg("path", { class: "cursor" }));
    this.figure.append(this.caption, this.root);
    this.root.addEventListener("pointermove", (event) => this.point(event));
    this.root.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.#fit()).observe(this.figure);
  }

  /** Takes the width that there is, so that letters keep their size. */
  #fit() {
    const width = Math.max(LEAST_WIDTH, Math.round(this.figure.clientWidth));
    if (width === this.width) return;
    this.width = width;
    this.root.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    if (this.scale) this.draw(this.scale.history, this.scale.from, this.scale.to, this.scale.until);
  }

  /** Draws a history between two moments; lines end at `until`, when it was last heard. */
  draw(history, from, to, until) {
    const { top, right, bottom, left } = MARGIN;
    const shown = this.lines.map((line) => history[line.column] ?? []);
    const first = Math.max(0, history.t.findLastIndex((t) => t <= from));
    const peak = Math.max(this.level ?? 0, ...shown.flatMap((values) => values.slice(first).filter(Number.isFinite)));
    const bound = ceiling(peak);
    const x = (t) => left + ((Math.min(Math.max(t, from), to) - from) / (to - from)) * (this.width - left - right);
    const y = (value) => top + (1 - value / bound) * (this.height - top - bottom);
    this.scale = { x, from, to, history, until };
    shown.forEach((values, index) => {
      const points = history.t.slice(first).map((t, i) => {
        const value = values[first + i];
        return [x(t), value === null || value === undefined ? null : y(value)];
      });
      this.paths[index].setAttribute("d", steps(points, x(until)));
    });
    this.#grid(bound, y, x, from, to);
    this.#say(until);
  }

  #grid(bound, y, x, from, to) {
    const { left, right } = MARGIN;
    const name = [bound, this.width, Math.round(from), Math.round(to)].join();
    if (this.drawn === name) return;
    this.drawn = name;
    const parts = [];
    for (const value of [0, bound / 2, bound]) {
      parts.push(svg("path", { d: `M${left} ${y(value).toFixed(1)}H${this.width - right}` }));
      const text = Number.isInteger(value) ? value : value.toFixed(bound < 1 ? 2 : 1);
      parts.push(svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, `${text}${this.unit === "%" ? "%" : ""}`));
    }
    if (this.level) parts.push(svg("path", { class: "level", d: `M${left} ${y(this.level).toFixed(1)}H${this.width - right}` }));
    const most = Math.max(2, Math.floor(this.width / 90));
    const step = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].find((size) => (to - from) / size <= most) ?? 14_400;
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
      if (x(t) - left < 24 || this.width - x(t) < 24) continue; // it would be cut off
      parts.push(svg("text", { x: x(t), y: this.height - 5, "text-anchor": "middle" }, step < 60 ? at(t, t) : tick(t)));
    }
    this.grid.replaceChildren(...parts);
  }

  /** Says in the legend, and to whoever cannot see the plot, what the values are at a moment. */
  #say(moment) {
    const words = this.lines.map((line, index) => {
      const value = valueAt(this.scale.history.t, this.scale.history[line.column] ?? [], moment);
      const text = value === null || value === undefined ? "–" : `${value.toFixed(this.decimals)}${this.unit && ` ${this.unit}`}`;
      if (this.legend[index].textContent !== text) this.legend[index].textContent = text;
      return `${line.label} ${text}`;
    });
    this.root.setAttribute("aria-label", `${this.title}: ${words.join(", ")}`);
  }

  point(event) {
    if (!this.scale) return;
    if (event === null) {
      this.cursor.setAttribute("d", "");
      this.#say(this.scale.until);
      return;
    }
    const box = this.root.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * this.width;
    const { from, to } = this.scale;
    const share = (across - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right);
    const moment = Math.min(Math.max(from + share * (to - from), from), this.scale.until);
    this.cursor.setAttribute("d", `M${this.scale.x(moment).toFixed(1)} ${MARGIN.top}V${this.height - MARGIN.bottom}`);
    this.#say(moment);
  }
}
