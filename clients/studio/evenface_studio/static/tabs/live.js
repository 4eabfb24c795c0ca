// The tab Live: queue, batches, latency, errors and drift, a point a second while somebody looks.

import { ApiError, getJson, isAbort } from "../lib/api.js";
import { explain, h, icon, refill, scrolling } from "../lib/dom.js";
import { bytes, count, duration, number, percent, some } from "../lib/format.js";
import { tiles, timeline } from "../lib/plots.js";
import { showError, showLoading } from "../lib/states.js";

const EVERY_MS = 1000;
const SECONDS = 600;
// Rules of thumb of the population stability index (Lewis 1994; Siddiqi 2006).
const [SHIFT, OTHER] = [0.1, 0.25];

const perSecond = (value) => `${number(value)}\u00a0/s`;

/** Fills the panel; see app.js for what the page calls and what `context` has. */
export function mount(panel, context) {
  let timer = null;
  let asked = null;
  let latest = 0;
  let points = [];
  let on = false;
  let paused = false;
  let without = [];

  const charts = [
    timeline({ title: "Requests", format: perSecond, seconds: SECONDS, least: 1, series: [{ key: "requests", name: "all", tone: "own" }, { key: "errors", name: "with an error", tone: "bad" }] }),
    timeline({ title: "Latency", format: duration, seconds: SECONDS, least: 0.001, series: [{ key: "p50", name: "half are faster than", tone: "own" }, { key: "p99", name: "99 % are faster than", tone: "other" }] }),
    timeline({ title: "Queue", format: (value) => `${number(value)} rows`, seconds: SECONDS, least: 8, series: [{ key: "queue", name: "waiting or running", tone: "own" }] }),
    timeline({ title: "Batches", format: (value) => `${number(value)} rows`, seconds: SECONDS, least: 4, series: [{ key: "batch", name: "rows that run together, mean", tone: "own" }] }),
    timeline({ title: "Images and latents", format: perSecond, seconds: SECONDS, least: 1, series: [{ key: "images", name: "through the models", tone: "own" }] }),
    timeline({ title: "Drift of the latents", format: number, seconds: SECONDS, least: 0.3, levels: [{ value: SHIFT, name: "shift, 0.1" }, { value: OTHER, name: "another population, 0.25" }], series: [{ key: "drift_mean", name: "mean over dimensions", tone: "own" }, { key: "drift_max", name: "greatest", tone: "other" }] }),
  ];

  const trouble = h("div");
  const dot = h("span", { class: "live-dot", "aria-hidden": "true" });
  const said = h("span", {}, "Waiting for the first numbers…");
  const stop = h("button", { type: "button", class: "button", "aria-pressed": "false", onclick: pause });
  const figures = h("div");
  const methods = h("section", { class: "card stack" });
  const drift = h("section", { class: "card stack" });
  const body = h("div", { class: "stack" }, figures, h("div", { class: "plots" }, ...charts.map(({ figure }) => figure)), h("div", { class: "live-tables" }, methods, drift));
  refill(
    panel,
    h(
      "div",
      { class: "stack" },
      h("div", { class: "row apart" }, h("h2", {}, "The service at work"), h("div", { class: "row" }, h("p", { class: "live-state small soft" }, dot, said), stop)),
      trouble,
      body,
    ),
  );
  showPause();

  function pause() {
    paused = !paused;
    showPause();
    if (paused) halt();
    else go();
  }

  function showPause() {
    stop.setAttribute("aria-pressed", String(paused));
    refill(stop, icon(paused ? "play" : "pause", 16), paused ? "Go on" : "Pause");
    dot.classList.toggle("off", paused);
    if (paused) said.textContent = "Paused: these are the numbers of then.";
  }

  function go() {
    halt();
    if (on && !paused && !document.hidden) look();
  }

  function halt() {
    clearTimeout(timer);
    asked?.abort();
  }

  async function look() {
    asked = new AbortController();
    const { signal } = asked;
    const begun = performance.now();
    try {
      const told = await getJson("/api/live", { query: { since: latest }, signal });
      if (!signal.aborted) take(told);
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      dot.classList.add("off");
      said.textContent = "Nothing is heard of the studio.";
      if (!error.passes) showError(trouble, error, go);
    }
    if (!signal.aborted) timer = setTimeout(look, Math.max(0, EVERY_MS - (performance.now() - begun)));
  }

  function take(told) {
    // A studio that was started anew counts from 1 again.
    const restarted = told.points.length > 0 && told.points[0].number <= latest;
    points = [...(restarted ? [] : points), ...told.points].slice(-told.most_points);
    if (told.points.length === 0 && latest > told.last) {
      points = [];
      latest = 0;
    }
    latest = points.at(-1)?.number ?? 0;
    const now = points.at(-1) ?? {};
    tell(told, now);
    refill(figures, tiles(current(now, told)));
    for (const chart of charts) chart.draw(points, now.clock ?? Date.now() / 1000);
    drawMethods(methods, told);
    drawDrift(drift, told, without);
  }

  /** Which models have nothing that drift could be measured against. */
  async function compare() {
    const encoders = context.able("encode");
    const details = await Promise.all(encoders.map(context.details)).catch(() => []);
    without = details.filter((one) => !one.has_histogram).map(({ name, version }) => `${name}/${version}`);
  }

  function tell({ url, problem }, now) {
    dot.classList.toggle("off", problem != null);
    said.textContent = problem ? "No metrics now." : `As of ${clockOf(now.clock)}, once a second.`;
    if (!problem) {
      trouble.replaceChildren();
      trouble.dataset.problem = "";
      return;
    }
    const key = `${url} ${problem}`;
    if (trouble.dataset.problem === key) return; // told already: not again every second
    trouble.dataset.problem = key;
    showError(trouble, noMetrics(url, problem));
  }

  document.addEventListener("visibilitychange", go);
  document.addEventListener("studio:back", go);
  showLoading(figures, "Looking at the metrics…");

  return {
    show() {
      on = true;
      compare();
      go();
    },
    hide() {
      on = false;
      halt();
    },
    modelChanged() {},
  };
}

const noMetrics = (url, problem) =>
  new ApiError({
    kind: "metrics",
    title: "The service's metrics cannot be read",
    detail: `${url}: ${problem}.`,
    hint: "evenface-server serves them on 127.0.0.1:9464 unless --no-metrics is set. If they are elsewhere, start evenface-studio with --metrics URL. This page goes on by itself.",
  });

const clockOf = (seconds) => new Date(1000 * seconds).toLocaleTimeString("en-GB");

function current(now, { window }) {
  const within = `over the last ${window} s`;
  const share = now.requests ? now.errors / now.requests : null;
  return [
    { name: "Requests", value: now.requests == null ? "–" : perSecond(now.requests), note: within },
    { name: "With an error", value: share == null ? "–" : percent(share), note: now.errors == null ? within : `${perSecond(now.errors)}` },
    { name: "99 % faster than", value: duration(now.p99), note: now.p50 == null ? "nobody asked for anything" : `half: ${duration(now.p50)}; in the queue: ${duration(now.wait_p99)}` },
    { name: "In the queue", value: now.queue == null ? "–" : some(now.queue, "row"), note: now.held ? `${bytes(now.held)} of requests and replies held` : "no request is held" },
    { name: "Batch, mean", value: now.batch == null ? "–" : `${number(now.batch)} rows`, note: now.images == null ? within : `${number(now.images)} images or latents\u00a0/s` },
    { name: "Workers", value: now.workers == null ? "–" : count(now.workers), note: now.connections == null ? null : some(now.connections, "connection") },
  ];
}

function drawMethods(place, { methods, rejections, table_window: window }) {
  const refused = Object.entries(rejections);
  const reasons = refused.map(([reason, times]) => `${reason} ${count(times)} times`).join(", ");
  const head = (name, note) => h("th", { scope: "col" }, name, note && explain(name, note));
  const shown = methods.length
    ? scrolling(
        "Requests by method",
        h(
          "table",
          { class: "figures methods" },
          h("caption", { class: "sr-only" }, `Requests by method in the last ${window} seconds`),
          h("thead", {}, h("tr", {}, head("Method"), head("Requests"), head("Errors"), head("Median"), head("99 %"))),
          h("tbody", {}, ...methods.map(methodRow)),
        ),
      )
    : h("p", { class: "soft small" }, "Nobody has asked for anything in the last minute. Use the other tabs, or run evenface-batch, and it shows here.");
  redraw(
    place,
    h("h3", {}, `By method, the last ${window} s`),
    shown,
    refused.length > 0 && h("p", { class: "note" }, `Refused: ${reasons}.`),
  );
}

/** A method's name, which may go on in a new line after its service's. */
const breakable = (method) =>
  method.split(/(?<=\/)/).flatMap((part, place) => (place ? [h("wbr"), part] : [part]));

const methodRow = ({ method, is_stream: stream, requests, errors, codes, p50, p99 }) =>
  h(
    "tr",
    {},
    h("th", { scope: "row" }, ...breakable(method), " ", stream && h("span", { class: "badge" }, "stream")),
    h("td", { class: "num" }, perSecond(requests)),
    h("td", { class: errors ? "num bad" : "num" }, errors ? `${perSecond(errors)} ${Object.keys(codes).join(", ")}` : "0"),
    h("td", { class: "num" }, duration(p50)),
    h("td", { class: "num" }, duration(p99)),
  );

function drawDrift(place, { drift }, without) {
  const rows = drift.map(({ model, version, mean, max, rows: seen }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, `${model}/${version}`),
      h("td", { class: "num" }, mean == null ? "too few yet" : number(mean)),
      h("td", { class: "num" }, number(max)),
      h("td", { class: "num" }, count(seen ?? 0)),
      h("td", {}, mean == null ? "" : verdict(mean)),
    ),
  );
  const table = scrolling(
    "Drift by model",
    h(
      "table",
      { class: "figures" },
      h("caption", { class: "sr-only" }, "Drift of the latents by model"),
      h("thead", {}, h("tr", {}, ...["Model", "Mean", "Greatest", "Latents", ""].map((name) => h("th", { scope: "col" }, name || h("span", { class: "sr-only" }, "What it means"))))),
      h("tbody", {}, ...rows),
    ),
  );
  redraw(
    place,
    h("h3", {}, "Drift by model ", explain("drift", "Population stability index of the latents that were asked for in the last 15 to 30 minutes, against those of the training set. Below 0.1: the same population. Above 0.25: another one, for which latents and weights mean little.")),
    drift.length ? table : h("p", { class: "soft small" }, "No model has encoded anything in the last hour. From 500 latents on (50 for each bin) this says how far they are from the training set's."),
    without.length > 0 && h("p", { class: "soft small" }, `No drift of ${without.join(", ")}: ${without.length === 1 ? "its bundle has" : "their bundles have"} no histogram of the training set.`),
  );
}

function verdict(mean) {
  if (mean < SHIFT) return "the same population";
  return mean < OTHER ? "a shift: look at what is sent" : "another population";
}

/** Refills a place unless it would look the same: whoever reads a tip there keeps it. */
function redraw(place, ...children) {
  const made = h("div", {}, ...children);
  if (place.dataset.text === made.textContent && place.children.length) return;
  if (place.querySelector(".tip.open, :focus")) return;
  place.dataset.text = made.textContent;
  refill(place, [...made.childNodes]);
}
