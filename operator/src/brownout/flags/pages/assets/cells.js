// The ladder: a row for each cell, in the order in which they go.

import { element, list, mark, write } from "./dom.js";
import { at, lasting, seconds } from "./time.js";

const audience = (cell) => (cell.cohort ? `${cell.tier}/${cell.cohort}` : cell.tier);
export const isTaken = (cell) => Boolean(cell.step || (cell.percent ?? 100) < 100 || cell.overriddenTo);

/** What is looked through when somebody looks for words. */
export function textOf(cell) {
  cell.text ??= [cell.namespace, cell.policy, cell.flag, audience(cell), cell.user, has(cell), cell.reason, cell.message]
    .join(" ")
    .toLowerCase();
  return cell.text;
}

function has(cell) {
  if (cell.overriddenTo) return `${cell.overriddenTo} (override)`;
  const name = cell.variants[cell.step ?? 0];
  const percent = cell.percent ?? 100;
  return percent === 100 ? name : `${name} ${percent} %, ${cell.variants[(cell.step ?? 0) + 1] ?? "?"} ${100 - percent} %`;
}

function state(cell) {
  const step = cell.overriddenTo ? cell.variants.indexOf(cell.overriddenTo) : cell.step ?? 0;
  const last = cell.variants.length - 1;
  if (step === last || (step === last - 1 && (cell.percent ?? 100) < 100 && !cell.overriddenTo)) return "denied";
  return isTaken(cell) && (step > 0 || !cell.overriddenTo) ? "lite" : "full";
}

/** The rungs of a cell, one mark each: taken, taken in part, or not. */
function rungs(cell) {
  const step = cell.step ?? 0;
  const part = (cell.percent ?? 100) < 100;
  return [...Array(cell.lowest)].map((_, rung) => (rung < step ? "taken" : rung === step && part ? "part" : "free"));
}

function commands(cell) {
  const one = `${cell.policy} --tier ${cell.tier}${cell.cohort ? ` --cohort ${cell.cohort}` : ""} -n ${cell.namespace}`;
  return [`kubectl describe featurepolicy ${cell.policy} -n ${cell.namespace}`, `brownout explain policy ${one}`];
}

function create() {
  const row = element("tr");
  const feature = element("th", { scope: "row" });
  const name = element("button", { type: "button", class: "plain", "aria-expanded": "false" });
  feature.append(name);
  const has = element("td", { class: "has" });
  const marks = element("td");
  const why = element("td", { class: "why" });
  const words = element("span");
  const more = element("div", { class: "more", hidden: true });
  why.append(words, more);
  row.append(element("td", { class: "place" }), feature, element("td"), has, marks, element("td"), element("td"), why);
  name.addEventListener("click", () => {
    more.hidden = !more.hidden;
    name.setAttribute("aria-expanded", String(!more.hidden));
  });
  return row;
}

function update(row, cell, now) {
  const [place, feature, who, what, marks, since, back, why] = row.children;
  const places = Object.values(cell.places ?? {}).flat();
  write(place, places.length ? `${places[0]}${places.length > 1 ? `–${places.at(-1)}` : ""}` : "never");
  const name = feature.firstChild;
  write(name, cell.flag === cell.policy ? cell.flag : `${cell.flag} (${cell.policy})`);
  mark(feature, "title", `FeaturePolicy ${cell.namespace}/${cell.policy}`);
  write(who, cell.user ? `${audience(cell)}, one user: ${cell.user}` : audience(cell));
  write(what, has(cell));
  mark(what, "data-state", state(cell));
  const found = rungs(cell);
  const count = found.filter((each) => each !== "free").length;
  if (marks.dataset.rungs !== found.join()) {
    marks.dataset.rungs = found.join();
    marks.replaceChildren(
      element("span", { class: "unseen" }, found.length ? `${count} of ${found.length} taken` : "cannot be taken"),
      ...found.map((each) => element("span", { class: `rung ${each}`, "aria-hidden": "true" })),
    );
  }
  const began = seconds(cell.since);
  write(since, Number.isFinite(began) && isTaken(cell) ? `${at(began, now)} (${lasting(now - began)})` : "");
  const due = seconds(cell.expectedReturn);
  write(back, due > now && isTaken(cell) ? `${at(due, now)} (in ${lasting(due - now)})` : "");
  const [words, more] = why.children;
  write(words, cell.reason === "Served" ? cell.message : [cell.reason, cell.message].filter(Boolean).join(": "));
  if (!more.hidden || !more.firstChild) {
    const detail = [
      cell.refusedBy && `not yet: ${cell.refusedBy}${cell.refusal ? `: ${cell.refusal}` : ""}`,
      cell.mode && cell.mode !== "Auto" && `mode: ${cell.mode}`,
      cell.override && `FeatureOverride ${cell.override}`,
    ].filter(Boolean);
    list(more, [...detail.map((text) => ({ text })), ...commands(cell).map((text) => ({ text, code: true }))], {
      key: (item) => item.text,
      create: (item) => element(item.code ? "code" : "p"),
      update: (child, item) => write(child, item.text),
    });
  }
}

/** Shows cells as the rows of a table's body. */
export function showCells(body, cells, now) {
  list(body, cells, { key: (cell) => cell.id, create, update: (row, cell) => update(row, cell, now) });
}
