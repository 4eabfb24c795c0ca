// What the chosen rows say: figures, histograms, and what each label has of the weight.

import { explain, h, refill, scrolling } from "../../lib/dom.js";
import { count, number, percent, times } from "../../lib/format.js";
import { axis, intervals, overlaid, tiles } from "../../lib/plots.js";

/** Figures and histograms of `summary`, as /api/dataset/sets/KEY has it. */
export function drawOverview(place, summary) {
  const { chosen, all } = summary;
  const plots = [
    summary.has_weights && chosen.weights.length > 0 && weights(summary),
    summary.has_probabilities && probabilities(summary),
  ].filter(Boolean);
  refill(
    place,
    tiles(figures(summary, chosen)),
    plots.length > 0 &&
      h(
        "section",
        { class: "card stack", "aria-label": "Histograms" },
        h("div", { class: "abreast abreast-narrow" }, ...plots),
        chosen.rows !== all.rows &&
          h("ul", { class: "legend" }, h("li", {}, h("span", { class: "key key-all", "aria-hidden": "true" }), "all rows"), h("li", {}, h("span", { class: "key key-shown", "aria-hidden": "true" }), "the rows that are shown")),
      ),
  );
}

function figures(summary, chosen) {
  const list = [
    { name: "Rows shown", value: count(chosen.rows), note: `of ${count(summary.rows)}${summary.failed ? `; ${count(summary.failed)} with an error` : ""}` },
  ];
  if (!summary.has_weights) return list;
  const ratio = chosen.effective == null ? null : chosen.effective / chosen.weighted;
  return [
    ...list,
    { name: "Share of the weight", value: percent(chosen.of_weight), note: `with ${percent(chosen.weighted / Math.max(summary.all.weighted, 1))} of the weighted rows` },
    { name: "Effective sample size", value: chosen.effective == null ? "–" : count(chosen.effective), note: `${percent(ratio)} of ${count(chosen.weighted)} weighted rows` },
    { name: "Their rarest 1 % hold", value: percent(chosen.top), note: "of their weight" },
  ];
}

function weights({ all, chosen, edges }) {
  const middle = edges[Math.floor(edges.length / 2)];
  return overlaid({
    title: "Weight, in multiples of the average",
    all: all.weights,
    some: chosen.weights,
    ticks: [edges[0], middle, edges.at(-1)].map(times),
    label: `Histogram of the weights on a logarithmic scale from ${times(edges[0])} to ${times(edges.at(-1))} the average.`,
    bins: (place) => `${number(edges[place])} – ${number(edges[place + 1])}`,
  });
}

function probabilities({ all, chosen }) {
  const bins = all.probabilities.length;
  return overlaid({
    title: "Probability of a face",
    all: all.probabilities,
    some: chosen.probabilities,
    ticks: ["0", "0.5", "1"],
    label: "Histogram of the probability of a face from 0 to 1.",
    bins: (place) => `${(place / bins).toFixed(2)} – ${((place + 1) / bins).toFixed(2)}`,
  });
}

/**
 * What each label of a column has of the rows and of the weight.
 * `pick(column)` is called for another column, `toggle(column, value)` to filter by a label.
 */
export function drawShares(place, summary, labels, { pick, toggle }) {
  const names = Object.keys(summary.columns);
  place.hidden = names.length === 0;
  if (names.length === 0) return;
  const select = h("select", { id: "dataset-column", onchange: () => pick(select.value) }, ...names.map((name) => h("option", { value: name }, name)));
  select.value = summary.column;
  const rows = summary.shares.filter(({ rows }) => rows > 0);
  const most = Math.max(...rows.flatMap((one) => [one.of_rows, one.of_weight ?? 0]), 1e-9);
  const on = (value) => labels[summary.column] === value;
  refill(
    place,
    h(
      "div",
      { class: "row apart" },
      h("h3", {}, "Labels, and what the weights make of them ", explain("labels", "Which share of the rows that are shown has a label, and which share of their weight. Above 1 × the weights raise it. Press a label to see its rows alone.")),
      h("div", { class: "row" }, h("label", { for: "dataset-column", class: "small" }, "Column"), select),
    ),
    rows.length === 0
      ? h("p", { class: "soft small" }, "None of the rows that are shown has a label in this column.")
      : scrolling(
          `Labels of ${summary.column}`,
          h(
            "table",
            { class: "figures labels" },
            h("caption", { class: "sr-only" }, `Shares of the rows and of the weight by ${summary.column}`),
            h("thead", {}, h("tr", {}, head("Label"), h("th", { scope: "col", class: "cell-drawing" }, h("span", { class: "sr-only" }, "Drawn"), axis(["0 %", percent(most)])), head("Rows"), head("Of rows"), summary.has_weights && head("Of weight"), summary.has_weights && head("Raised"))),
            h("tbody", {}, ...rows.map((one) => shareRow(one, most, summary, on(one.value), toggle))),
          ),
        ),
  );
}

const head = (name) => h("th", { scope: "col" }, name);

function shareRow({ value, rows, of_rows, of_weight }, most, summary, on, toggle) {
  const bar = (share, tone) => ({ low: 0, high: share, value: share, tone });
  const marks = [bar(of_rows, "muted"), of_weight == null ? null : bar(of_weight, "own")].filter(Boolean);
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("button", { type: "button", class: "link", "aria-pressed": String(on), onclick: () => toggle(summary.column, value) }, value)),
    h("td", { class: "cell-drawing" }, intervals(marks, [0, most])),
    h("td", {}, count(rows)),
    h("td", {}, percent(of_rows)),
    summary.has_weights && h("td", {}, percent(of_weight)),
    summary.has_weights && h("td", {}, h("strong", {}, of_weight == null || !of_rows ? "–" : times(of_weight / of_rows))),
  );
}
