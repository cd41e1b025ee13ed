"use strict";

const LOOK_MILLISECONDS = 1000;
const byId = (id) => document.getElementById(id);

function table(id, head, rows) {
  const line = (cells, tag) => {
    const tr = document.createElement("tr");
    for (const cell of cells) {
      const td = document.createElement(tag);
      td.textContent = cell.text ?? cell;
      if (cell.kind) td.className = cell.kind;
      tr.append(td);
    }
    return tr;
  };
  byId(id).replaceChildren(line(head, "th"), ...rows.map((row) => line(row, "td")));
}

const count = (value) => value ?? "-";
const percent = (value) => (value === null ? "unknown" : `${value} %`);
const who = (cell) => (cell.cohort ? `${cell.tier}/${cell.cohort}` : cell.tier);
const level = (cell) => (cell.percent === 100 ? cell.variant : `${cell.variant} ${cell.percent} %`);

function show(s) {
  byId("head").textContent =
    `${s.phase}: ${Math.round(s.at)} s of ${s.minutes * 60}, GPUs ${count(s.held)}/${count(s.gpus)}, saturation ${percent(s.saturation)}, ladder ${s.ladder || "-"}`;
  byId("progress").value = s.at / (s.minutes * 60);
  table("scalers", ["workload", "ready", "coming", "desired", "demanded", "full", "why"],
    s.scalers.map((x) => [x.name, ...[x.ready, x.coming, x.desired, x.demanded].map(count), percent(x.saturation_percent), x.why]));
  table("cells", ["feature", "tier", "has", "why"],
    s.cells.map((c) => [c.feature, who(c), { text: level(c), kind: c.variant }, `${c.reason} ${c.message}`]));
  table("tiers", ["feature/tier", "answered", "served", "in time", "refused", "failed", "p95"],
    Object.entries(s.tiers).map(([name, r]) =>
      [name, r.offered, r.served, r.within_objective, r.refused, r.failed, r.p95_seconds === null ? "-" : `${r.p95_seconds} s`]));
  byId("flips").replaceChildren(...s.flips.map((text) => {
    const li = document.createElement("li");
    li.textContent = text;
    return li;
  }));
}

async function look() {
  try {
    show(await (await fetch("/state.json")).json());
  } catch {
    byId("head").textContent = "the demo is over, or its page cannot be reached";
  }
  setTimeout(look, LOOK_MILLISECONDS);
}

look();
