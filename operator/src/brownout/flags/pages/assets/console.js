// The console: asks for the state when there is news of it, and shows it. It changes nothing, anywhere.

import { isTaken, showCells, textOf } from "./cells.js";
import { element, list, mark, write } from "./dom.js";
import { Histories } from "./history.js";
import { Pager } from "./pager.js";
import { Plot } from "./plot.js";
import { at, lasting, seconds } from "./time.js";

const CELLS_A_PAGE = 50;
const WORKLOADS_A_PAGE = 12;
const DECISIONS_SHOWN = 40;
const LEAST_MILLISECONDS = 1000; // between two looks, however much happens
const LOOK_MILLISECONDS = 10_000; // a look without news: time passes
const PATIENCE_MILLISECONDS = 3000;
const SPAN_SECONDS = 1800;
const SHORTEST_SPAN_SECONDS = 120;

const $ = (id) => document.getElementById(id);
const histories = new Histories();
const plots = new Map();
let known = null;
let now = Date.now() / 1000;
let skew = 0; // the server's clock less ours
let looked = 0;
let waiting = 0;
let looking = false;
let heard = 0;
let missing = 0;

const cellsPager = new Pager({ filter: $("cells-filter"), count: $("cells-count"), pager: $("cells-pager"), size: CELLS_A_PAGE, noun: "cells", changed: show });
const scalersPager = new Pager({ filter: $("scalers-filter"), count: $("scalers-count"), pager: $("scalers-pager"), size: WORKLOADS_A_PAGE, noun: "workloads", changed: () => { show(); soon(); } });
$("cells-taken").addEventListener("change", show);
$("namespace").addEventListener("change", () => { show(); soon(); });

// Getting it

async function get(path) {
  const response = await fetch(path, { cache: "no-cache", signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.json();
}

async function look() {
  clearTimeout(waiting);
  if (looking) return;
  looking = true;
  looked = Date.now();
  try {
    known = await get("console/state.json");
    show();
    await remember();
    here();
  } catch {
    gone();
  } finally {
    looking = false;
    clearTimeout(waiting);
    waiting = setTimeout(look, LOOK_MILLISECONDS);
  }
}

function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(look, Math.max(0, looked + LEAST_MILLISECONDS - Date.now()));
}

/** Fetches what the plots that are shown do not have yet. */
async function remember() {
  const names = [...plots.values()].map(({ kind, name }) => ({ kind, name }));
  const query = new URLSearchParams();
  query.set("since", histories.since(names));
  for (const { kind, name } of names) {
    const parameter = kind === "gpupools" ? "pool" : "scaler";
    if (!query.getAll(parameter).includes(name)) query.append(parameter, name);
  }
  const fetched = await get(`console/history.json?${query}`);
  skew = fetched.now - Date.now() / 1000;
  heard = fetched.now;
  histories.merge(fetched);
  draw();
}

function here() {
  clearTimeout(missing);
  missing = 0;
  $("lost").hidden = true;
  document.body.classList.remove("old");
}

function gone() {
  missing ||= setTimeout(() => {
    const since = heard || Date.now() / 1000;
    write($("lost"), `Disconnected since ${at(since, since)}. What is shown is from then; trying again by itself.`);
    $("lost").hidden = false;
    document.body.classList.add("old");
  }, PATIENCE_MILLISECONDS);
}

function listen() {
  const events = new EventSource("console/events");
  events.onmessage = soon;
  events.onerror = () => {
    gone();
    if (events.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    events.close();
    setTimeout(listen, 3000);
  };
}

// Showing it

function show() {
  if (!known) return;
  now = Date.now() / 1000 + skew;
  const { state } = known;
  showNamespaces(state.namespaces);
  const namespace = $("namespace").value;
  const ours = (each) => !namespace || each.namespace === namespace;
  const scalers = state.scalers.filter(ours);
  const cells = state.cells.filter(ours);
  const pools = namespace ? state.pools.filter((pool) => scalers.some((scaler) => scaler.pool === pool.name)) : state.pools;
  showHeadline(pools, cells);
  showUnheard();
  showPools(pools);
  showOverrides(state.overrides.filter(ours));
  const wanted = $("cells-taken").checked ? cells.filter(isTaken) : cells;
  showCells($("cells"), cellsPager.shown(wanted, textOf), now);
  showScalers(scalersPager.shown(scalers, (scaler) => `${scaler.namespace}/${scaler.name} ${scaler.pool} ${scaler.target}`.toLowerCase()));
  showDecisions(state.decisions.filter(ours).slice(0, DECISIONS_SHOWN));
  for (const key of [...plots.keys()]) if (!plots.get(key).plot.figure.isConnected) plots.delete(key);
  draw();
}

function showNamespaces(namespaces) {
  list($("namespace"), ["", ...namespaces], {
    key: (name) => name,
    create: (name) => element("option", { value: name }),
    update: (option, name) => write(option, name || "all"),
  });
}

function showHeadline(pools, cells) {
  const taken = cells.filter(isTaken).length;
  const full = pools.filter((pool) => pool.saturated).map((pool) => pool.name);
  const unseen = pools.some(({ saturation: { percent, unknown } }) => unknown > 0 || (percent === null && unknown !== 0));
  const calm = unseen ? "nothing is known to be saturated, and not everything can be seen" : "nothing is saturated";
  const words = full.length ? `saturated: ${full.slice(0, 3).join(", ")}` : calm;
  write($("headline"), `${words}; ${taken ? `${taken} of ${cells.length} cells have less` : "nothing is taken from anybody"}`);
  mark($("headline"), "data-state", full.length ? "denied" : taken || unseen ? "lite" : "full");
}

function showUnheard() {
  const lost = Object.entries(known.lost);
  const since = known.heardAt ? ` since ${at(known.heardAt, now)}` : "";
  const words = [
    known.unheard && `This replica has not heard the API server${since}: what is shown is what was so then.`,
    ...lost.map(([kind, reason]) => `${kind} cannot be watched (${reason}).`),
  ].filter(Boolean);
  write($("unheard"), words.join(" "));
  $("unheard").hidden = !words.length;
}

function plot(parent, kind, name, title, lines, options) {
  const made = new Plot(title, lines, options);
  plots.set(`${kind} ${name} ${title}`, { kind, name, plot: made });
  parent.append(made.figure);
}

function showPools(pools) {
  list($("pools"), pools, {
    key: (pool) => pool.name,
    create: (pool) => {
      const card = element("article", { class: "card pool" });
      const text = element("div", { class: "facts" });
      text.append(element("h3"), element("p", { class: "big" }), element("dl"), element("div", { class: "ladder" }), element("p", { class: "soft next" }), element("div", { class: "troubles" }), element("code"));
      const figures = element("div", { class: "figures" });
      card.append(text, figures);
      plot(figures, "gpupools", pool.name, "Saturation", [{ column: "saturation", label: "worst workload", kind: "hot" }], { unit: "%", level: 100, height: 200 });
      plot(figures, "gpupools", pool.name, "GPUs", [
        { column: "capacity", label: "capacity", kind: "bound" },
        { column: "granted", label: "granted", kind: "calm" },
        { column: "held", label: "held by pods", kind: "main" },
      ], { height: 200 });
      plot(figures, "gpupools", pool.name, "Rungs taken", [{ column: "taken", label: "taken", kind: "hot" }, { column: "total", label: "of", kind: "bound" }], { height: 200 });
      return card;
    },
    update: (card, pool) => {
      const [title, big, facts, ladder, next, troubles, command] = card.firstChild.children;
      write(title, pool.name);
      showSaturation(big, pool.saturation.percent, pool.saturated, pool.restorePercent);
      describe(facts, [
        ["Not seen", pool.saturation.percent !== null && pool.saturation.unknown ? `the saturation of ${pool.saturation.unknown} workloads` : ""],
        ["GPUs", `${count(pool.gpus.held)} of ${count(pool.gpus.capacity)} held, ${count(pool.gpus.granted)} granted, ${count(pool.gpus.free)} free`],
        ["Bounded by", pool.gpus.limitedBy],
        ["Saturated", pool.saturated ? [pool.saturation.scaler, pool.saturation.since && `since ${at(seconds(pool.saturation.since), now)}`, pool.saturation.message].filter(Boolean).join(", ") : ""],
      ]);
      showLadder(ladder, pool);
      write(next, pool.ladder.next && `next to go: ${pool.ladder.next}`);
      showTroubles(troubles, pool.troubles);
      write(command, `kubectl describe gpupool ${pool.name}`);
    },
  });
}

function describe(parent, facts) {
  list(parent, facts.filter(([, text]) => text), {
    key: ([term]) => term,
    create: ([term]) => element("div", {}, element("dt", {}, term), element("dd")),
    update: (entry, [, text]) => write(entry.lastChild, text),
  });
}

/** A number within a sentence; what is not known is null, and not 0. */
const count = (number) => number ?? "unknown";

function showSaturation(node, percent, saturated, high) {
  write(node, percent === null ? "unknown" : `${percent} %`);
  const state = percent === null ? "unknown" : percent > high ? "lite" : "full";
  mark(node, "data-state", saturated ? "denied" : state);
  mark(node, "title", percent === null && "its saturation is not known");
}

/** A bar of all rungs, those that are taken filled. */
function showLadder(bar, pool) {
  const { taken, total } = pool.ladder;
  if (!bar.firstChild) bar.append(element("meter", { min: 0 }), element("span"));
  const [meter, words] = bar.children;
  mark(meter, "max", Math.max(1, total));
  mark(meter, "value", taken ?? 0);
  mark(meter, "hidden", !total);
  mark(meter, "aria-label", `rungs of ${pool.name} that are taken`);
  write(words, total ? `ladder: ${taken} of ${total} rungs taken` : total === 0 ? "ladder: no rungs" : "ladder: not judged yet");
}

function showTroubles(parent, troubles) {
  list(parent, troubles, {
    key: (trouble) => trouble.type,
    create: () => element("p", { class: "trouble" }),
    update: (line, trouble) => write(line, `${trouble.type}: ${trouble.reason}${trouble.message ? `: ${trouble.message}` : ""}`),
  });
}

function showOverrides(overrides) {
  $("overrides-section").hidden = !overrides.length;
  list($("overrides"), overrides, {
    key: (one) => `${one.namespace}/${one.name}`,
    create: () => element("li", {}, element("b"), element("span"), element("code")),
    update: (item, one) => {
      const [what, words, command] = item.children;
      write(what, `${one.policy}: ${one.variant} for ${one.cells.join(", ") || "everybody"}`);
      write(words, `until ${at(one.until, now)} (in ${lasting(one.until - now)}), since ${at(one.since, now)}: ${one.reason}`);
      write(command, `kubectl delete featureoverride ${one.name} -n ${one.namespace}`);
    },
  });
}

function showScalers(scalers) {
  list($("scalers"), scalers, {
    key: (scaler) => `${scaler.namespace}/${scaler.name}`,
    create: (scaler) => {
      const name = `${scaler.namespace}/${scaler.name}`;
      const card = element("article", { class: "card" });
      const head = element("div", { class: "facts" });
      head.append(element("h3"), element("p", { class: "big" }), element("p", { class: "summary" }), element("div", { class: "troubles" }), element("code"));
      const figures = element("div", { class: "figures" });
      card.append(head, figures);
      plot(figures, "inferencescalers", name, "Demand, GPU-seconds a second", [
        { column: "capacity", label: "ready capacity", kind: "bound" },
        { column: "offered", label: "offered", kind: "hot" },
        { column: "admitted", label: "admitted", kind: "main" },
      ], { decimals: 1 });
      plot(figures, "inferencescalers", name, "Replicas", [
        { column: "demanded", label: "demanded", kind: "hot" },
        { column: "desired", label: "desired", kind: "calm" },
        { column: "coming", label: "coming", kind: "bound" },
        { column: "ready", label: "ready", kind: "main" },
      ]);
      return card;
    },
    update: (card, scaler) => {
      const [title, big, summary, troubles, command] = card.firstChild.children;
      write(title, $("namespace").value ? scaler.name : `${scaler.namespace}/${scaler.name}`);
      showSaturation(big, scaler.saturationPercent, scaler.saturated, 90);
      const { ready, desired, coming } = scaler.replicas;
      const more = coming ? `, ${coming} coming${scaler.comingReadyAt ? ` at ${at(seconds(scaler.comingReadyAt), now)}` : ""}` : "";
      write(summary, desired === null ? "no decision has been made yet" : `${count(ready)} of ${desired} replicas ready${more}. ${scaler.summary}`);
      showTroubles(troubles, scaler.troubles);
      write(command, `kubectl describe inferencescaler ${scaler.name} -n ${scaler.namespace}`);
    },
  });
}

function showDecisions(decisions) {
  list($("decisions"), decisions, {
    key: (one) => [one.at, one.kind, one.namespace, one.name, one.audience, one.what].join(" "),
    create: (one) =>
      element(
        "li",
        { class: one.worse ? "worse" : "" },
        element("time", { datetime: new Date(one.at * 1000).toISOString() }),
        element("b", {}, `${one.name}${one.audience ? ` for ${one.audience}` : ""}`),
        element("span", {}, `${one.what}. ${[one.rule, one.why].filter(Boolean).join(": ")}`),
      ),
    update: (item, one) => write(item.firstChild, at(one.at, now)),
  });
}

function draw() {
  now = Date.now() / 1000 + skew;
  const first = Math.min(now - SHORTEST_SPAN_SECONDS, ...[...plots.values()].map(({ kind, name }) => histories.of(kind, name).t[0] ?? now));
  const from = Math.max(now - SPAN_SECONDS, first);
  for (const { kind, name, plot: each } of plots.values()) each.draw(histories.of(kind, name), from, now, Math.min(now, heard || now));
  write($("as-of"), known ? `as of ${at(heard || now, now)}` : "");
}

look();
listen();
