// Charts as SVG: bars, histograms, lines. Each has a title and a text that says what it shows.

import { h, svg, uniqueId } from "./dom.js";

/**
 * A histogram with an optional marker.
 * @param {{counts: number[], edges: number[], marker?: number, label: string,
 *          width?: number, height?: number}} what
 */
export function histogram({ counts, edges, marker = null, label, width = 160, height = 40 }) {
  const most = Math.max(...counts, 1);
  const step = width / counts.length;
  const bars = counts.map((count, place) => {
    const tall = (height - 1) * (count / most);
    const box = { x: place * step + 0.5, y: height - tall, width: step - 1, height: tall };
    return svg("rect", { ...box, class: place === binOf(marker, edges) ? "bar bar-own" : "bar" });
  });
  return frame(label, width, height, [...bars, markerLine(marker, edges, width, height)]);
}

/** The bin that a value lies in; the outer ones are open. -1 for no value. */
export function binOf(value, edges) {
  if (value == null) return -1;
  const last = edges.length - 2;
  for (let bin = 0; bin < last; bin += 1) if (value < edges[bin + 1]) return bin;
  return last;
}

/**
 * Horizontal bars with names and values, as a table that is drawn: rows of
 * {name, value (0 to 1 of `most`), text, tone?: "own"|"other"|"muted"}.
 */
export function bars({ rows, label, most = 1 }) {
  const line = ({ name, value, text, tone = "other" }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h(
        "td",
        { class: "bars-track" },
        svg(
          "svg",
          { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
          svg("rect", { width: 100, height: 10, class: "track" }),
          svg("rect", { width: share(value, most), height: 10, class: `bar bar-${tone}` }),
        ),
      ),
      h("td", { class: "bars-value" }, text),
    );
  return h(
    "table",
    { class: "bars" },
    h("caption", { class: "sr-only" }, label),
    h("tbody", {}, ...rows.map(line)),
  );
}

/**
 * Lines over time or position: series of {name, values, tone}, all as long as each other.
 * @param {{series: {name: string, values: number[], tone?: string}[], label: string,
 *          width?: number, height?: number, top?: number}} what
 */
export function lines({ series, label, width = 320, height = 96, top = null }) {
  const all = series.flatMap(({ values }) => values).filter(Number.isFinite);
  const most = top ?? Math.max(...all, 1e-9);
  const drawn = series.map(({ values, tone = "own" }) =>
    svg("path", { d: path(values, most, width, height), class: `line line-${tone}` }),
  );
  return frame(label, width, height, drawn);
}

/** An SVG picture that a screen reader reads as its label. */
export function frame(label, width, height, children) {
  const id = uniqueId("chart");
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-labelledby": id },
    svg("title", { id }, label),
    ...children,
  );
}

function markerLine(value, edges, width, height) {
  if (value == null) return null;
  const [first, last] = [edges[0], edges[edges.length - 1]];
  const x = Math.min(Math.max((value - first) / (last - first), 0), 1) * width;
  return svg("line", { x1: x, x2: x, y1: 0, y2: height, class: "marker" });
}

function path(values, most, width, height) {
  const step = width / Math.max(values.length - 1, 1);
  const point = (value, place) => `${place * step} ${height - 1 - (height - 2) * (value / most)}`;
  // A gap in the values is a gap in the line.
  let open = false;
  return values
    .map((value, place) => {
      if (!Number.isFinite(value)) {
        open = false;
        return "";
      }
      const move = open ? "L" : "M";
      open = true;
      return `${move}${point(value, place)}`;
    })
    .join("");
}

const share = (value, most) => Math.min(Math.max((100 * value) / most, 0), 100);
