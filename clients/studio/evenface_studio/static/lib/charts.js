// Charts as SVG: bars, histograms, lines. Each has a title and a text that says what it shows.

import { h, svg, uniqueId } from "./dom.js";

/**
 * A histogram with an optional marker. Bars are as wide as their bins and as high as the density in
 * them, so that bins may differ in width; the outer ones reach to a marker that lies beyond.
 * @param {{counts: number[], edges: number[], marker?: number, label: string,
 *          width?: number, height?: number}} what
 */
export function histogram({ counts, edges, marker = null, label, width = 160, height = 40 }) {
  const ends = reaching(edges, marker);
  const x = (value) => (width * (value - ends[0])) / (ends[ends.length - 1] - ends[0]);
  const dense = counts.map((count, bin) => count / (ends[bin + 1] - ends[bin]));
  const most = Math.max(...dense, Number.MIN_VALUE);
  const own = binOf(marker, edges);
  const drawn = dense.map((density, bin) => {
    const [left, right] = [x(ends[bin]), x(ends[bin + 1])];
    // What holds anything at all is seen.
    const tall = counts[bin] > 0 ? Math.max((height - 1) * (density / most), 1) : 0;
    const box = { x: left + 0.5, y: height - tall, width: Math.max(right - left - 1, 0.5) };
    return svg("rect", { ...box, height: tall, class: bin === own ? "bar bar-own" : "bar" });
  });
  if (marker !== null) drawn.push(markerAt(x(marker), height));
  return frame(label, width, height, drawn);
}

/** Edges, moved out to a value that lies beyond them. */
export const reaching = (edges, value) =>
  value === null
    ? edges
    : [Math.min(edges[0], value), ...edges.slice(1, -1), Math.max(edges[edges.length - 1], value)];

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

/**
 * An SVG picture that a screen reader reads as its label. It fills its place in both directions, so
 * it has no text; lines keep their width (`vector-effect` in style.css).
 */
export function frame(label, width, height, children) {
  const id = uniqueId("chart");
  return svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: "none",
      class: "chart",
      role: "img",
      "aria-labelledby": id,
    },
    svg("title", { id }, label),
    ...children,
  );
}

const markerAt = (x, height) => svg("line", { x1: x, x2: x, y1: 0, y2: height, class: "marker" });

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
