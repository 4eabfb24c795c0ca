// Plots with axes: a histogram of all and of some, intervals on a scale, lines over time.
// Words stand beside the drawing as text of the page, so that they keep their size.

import { frame } from "./charts.js";
import { h, scrolling, svg, uniqueId } from "./dom.js";

const [WIDTH, HEIGHT] = [400, 110];
const SPANS = [60, 120, 300]; // seconds that lines go over while there are not more

/**
 * A histogram of all in grey with that of some in colour before it, each to its own scale of share.
 * @param {{title: string, all: number[], some: number[], ticks: string[], label: string,
 *          bins: (place: number) => string}} what `bins` names a bin in the table.
 */
export function overlaid({ title, all, some, ticks, label, bins }) {
  const share = (counts) => {
    const total = counts.reduce((sum, one) => sum + one, 0) || 1;
    return counts.map((one) => one / total);
  };
  const [allShares, someShares] = [share(all), share(some)];
  const most = Math.max(...allShares, ...someShares, 1e-9);
  const step = WIDTH / all.length;
  const bar = (kind, inset) => (value, place) => {
    const tall = (HEIGHT - 2) * (value / most);
    const box = { x: place * step + inset, y: HEIGHT - tall, width: step - 2 * inset, height: tall };
    return svg("rect", { ...box, class: `bar ${kind}` });
  };
  const drawing = frame(label, WIDTH, HEIGHT, [
    ...allShares.map(bar("bar-all", 0.5)),
    ...someShares.map(bar("bar-own", step / 5)),
    svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: "axis" }),
  ]);
  const rows = all.map((one, place) => [bins(place), one, some[place]]);
  return h(
    "figure",
    { class: "plot" },
    h("figcaption", { class: "plot-title" }, title),
    drawing,
    axis(ticks),
    asTable(title, ["from – to", "all", "shown"], rows),
  );
}

/** Words below a drawing, evenly spaced from its left to its right. */
export const axis = (ticks) =>
  h("div", { class: "plot-axis", "aria-hidden": "true" }, ...ticks.map((tick) => h("span", {}, tick)));

/** The same numbers as a table, folded. */
function asTable(caption, heads, rows) {
  const body = h("tbody");
  const table = h(
    "table",
    { class: "figures" },
    h("caption", { class: "sr-only" }, caption),
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
    body,
  );
  const fold = h(
    "details",
    { class: "fold" },
    h("summary", {}, "As a table", h("span", { class: "sr-only" }, `: ${caption}`)),
    scrolling(caption, table),
  );
  // Made when it is wanted: most never are.
  fold.addEventListener("toggle", () => {
    if (!fold.open || body.children.length) return;
    body.append(
      ...rows.map(([first, ...rest]) =>
        h("tr", {}, h("th", { scope: "row" }, first), ...rest.map((one) => h("td", {}, String(one)))),
      ),
    );
  });
  return fold;
}

/**
 * Intervals of one row on a scale, for the cell of a table that has the numbers as text.
 * @param {{low: number, high: number, value: number, tone: string}[]} marks null for none.
 * @param {[number, number]} range of the scale.
 */
export function intervals(marks, [from, to]) {
  const place = (value) => 100 * Math.min(Math.max((value - from) / (to - from || 1), 0), 1);
  const lane = 14;
  const tall = lane * marks.length;
  const drawn = marks.flatMap((mark, index) => {
    if (mark == null) return [];
    const y = lane * (index + 0.5);
    const at = place(mark.value);
    return [
      svg("line", { x1: place(mark.low), x2: place(mark.high), y1: y, y2: y, class: `whisker whisker-${mark.tone}` }),
      svg("line", { x1: at, x2: at, y1: y - 4, y2: y + 4, class: `dot dot-${mark.tone}` }),
    ];
  });
  const box = { viewBox: `0 0 100 ${tall}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  return svg("svg", { ...box, class: `intervals lanes-${marks.length}` },
    svg("rect", { x: 0, y: 0, width: 100, height: tall, class: "track" }), ...drawn);
}

/**
 * Lines over the last minutes, drawn anew by `draw(points, now)`: over as many as there are points
 * for, so that the first minute is not a sliver.
 * @param {{title: string, series: {key: string, name: string, tone: string}[], format: Function,
 *          seconds: number, levels?: {value: number, name: string}[], least?: number}} what
 *   `least`: what the scale reaches at least.
 */
export function timeline({ title, series, format, seconds, levels = [], least = 0 }) {
  const id = uniqueId("timeline");
  const heading = h("span", { class: "plot-title" }, title);
  const top = h("span", { class: "plot-top" });
  const words = svg("title", { id });
  const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "chart timeline" };
  const paths = series.map(({ tone }) => svg("path", { class: `line line-${tone}` }));
  const rulers = levels.map(() => svg("line", { x1: 0, x2: WIDTH, class: "level" }));
  const drawing = svg(
    "svg",
    { ...box, role: "img", "aria-labelledby": id },
    words,
    svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: "axis" }),
    ...rulers,
    ...paths,
  );
  const values = series.map(() => h("strong", { class: "num" }, "–"));
  const legend = h(
    "ul",
    { class: "legend" },
    ...series.map(({ name, tone }, place) =>
      h("li", {}, h("span", { class: `key key-${tone}`, "aria-hidden": "true" }), `${name} `, values[place]),
    ),
    ...levels.map(({ name }) => h("li", {}, h("span", { class: "key key-level", "aria-hidden": "true" }), name)),
  );
  const ticks = axis(["", "now"]);
  const figure = h(
    "figure",
    { class: "plot card" },
    h("figcaption", { class: "plot-head" }, heading, top),
    drawing,
    ticks,
    legend,
  );

  function draw(points, now) {
    const seen = points.flatMap((point) => series.map(({ key }) => point[key])).filter(Number.isFinite);
    const most = Math.max(...seen, least) || 1;
    const span = SPANS.find((one) => now - (points[0]?.clock ?? now) < one) ?? seconds;
    ticks.firstChild.textContent = `${span / 60} min ago`;
    const x = (clock) => (WIDTH * (clock - (now - span))) / span;
    const y = (value) => HEIGHT - 1 - (HEIGHT - 4) * (value / most);
    series.forEach(({ key }, place) => {
      paths[place].setAttribute("d", trace(points, key, x, y));
      const last = points.at(-1)?.[key];
      values[place].textContent = Number.isFinite(last) ? format(last) : "–";
    });
    levels.forEach(({ value }, place) => {
      const at = value <= most ? y(value) : -10;
      rulers[place].setAttribute("y1", at);
      rulers[place].setAttribute("y2", at);
    });
    top.textContent = seen.length ? `scale to ${format(most)}` : "no values yet";
    const said = series.map(({ name }, place) => `${name} ${values[place].textContent}`);
    words.textContent = `${title}, the last ${span / 60} min. Now: ${said.join(", ")}.`;
  }

  return { figure, draw };
}

/** A path through points; where one has no value the line is broken. */
function trace(points, key, x, y) {
  let open = false;
  let made = "";
  for (const point of points) {
    const value = point[key];
    if (!Number.isFinite(value)) {
      open = false;
      continue;
    }
    const at = `${x(point.clock).toFixed(1)} ${y(value).toFixed(1)}`;
    // A value alone between gaps is drawn as a dot: a line of no length with round ends.
    made += open ? `L${at}` : `M${at}L${at}`;
    open = true;
  }
  return made;
}

/** Tiles with a figure each: [{name, value, note}]. */
export const tiles = (list) =>
  h(
    "dl",
    { class: "figure-tiles" },
    ...list.map(({ name, value, note }) =>
      h("div", { class: "figure-tile card" }, h("dt", {}, name), h("dd", { class: "figure-value num" }, value), note && h("dd", { class: "figure-note" }, note)),
    ),
  );

