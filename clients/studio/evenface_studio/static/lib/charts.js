// Histograms as SVG, and the frame of any chart: a picture with a text that says what it shows.

import { svg, uniqueId } from "./dom.js";

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
