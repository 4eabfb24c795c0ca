// Latent dimensions: each a histogram of the training faces, with the face in it, and a slider.

import { binOf, histogram, reaching } from "./charts.js";
import { choice, percent, signed, slider, TIPS } from "./controls.js";
import { h, refill } from "./dom.js";

const AT_ONCE = 12;

/**
 * All dimensions of a face, the most active or the rarest ones first.
 * @param {{latents: number[], space: object, rarity: object|null,
 *          onmove: ((dimension: number, value: number, urgent: boolean) => void) | null}} what
 *        without `onmove` there are no sliders
 */
export function dimensionList({ latents, space, rarity, onmove }) {
  const known = new Map(space.dimensions.map((one) => [one.index, one]));
  const orders = {
    active: space.dimensions.map(({ index }) => index),
    rare: (rarity?.order ?? []).filter((index) => known.has(index)),
  };
  const made = new Map();
  const grid = h("div", { class: "dims" });
  const more = h("button", { type: "button", class: "button" });
  let order = orders.active;
  let shown = AT_ONCE;

  const viewOf = (index) => {
    if (!made.has(index))
      made.set(index, dimension(known.get(index), latents[index], space, onmove));
    return made.get(index);
  };

  function draw() {
    const names = order.slice(0, shown);
    refill(grid, ...names.map((index) => viewOf(index).element));
    const left = order.length - names.length;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(left, AT_ONCE)} more of ${order.length}`;
  }

  more.addEventListener("click", () => {
    const first = shown;
    shown += AT_ONCE;
    draw();
    grid.children[first]?.querySelector("input")?.focus();
  });
  const ordering =
    orders.rare.length > 0 &&
    choice({
      legend: "Order",
      options: [
        { value: "active", text: "most active" },
        { value: "rare", text: "rarest here" },
      ],
      value: "active",
      onchoose(chosen) {
        order = orders[chosen];
        shown = AT_ONCE;
        draw();
      },
    });
  draw();
  const head = h(
    "div",
    { class: "row spread" },
    h("h2", {}, "Latent dimensions", TIPS.latent()),
    ordering,
  );
  return {
    element: h("section", { class: "card stack" }, head, grid, h("div", { class: "row" }, more)),
    reset() {
      for (const [index, view] of made) view.set(latents[index]);
    },
  };
}

function dimension({ index, edges, counts }, value, { total }, onmove) {
  const ends = reaching(edges, value);
  const [low, high] = [ends[0], ends[ends.length - 1]];
  const chart = h("div", { class: "dim-chart", hidden: counts.length === 0 });
  const note = h("p", { class: "soft small" });
  const name = `Dimension ${index}`;

  function mark(now) {
    if (counts.length === 0) return;
    const share = counts[binOf(now, edges)] / total;
    note.textContent =
      share === 0 ? "no training face here" : `${percent(share)} of training faces here`;
    note.classList.toggle("rare", share < 0.01);
    const label = `${name}: training faces from ${signed(low)} to ${signed(high)}, this face at ${signed(now)}`;
    refill(chart, histogram({ counts, edges: ends, marker: now, label }));
  }

  mark(value);
  if (onmove === null) {
    const head = h(
      "div",
      { class: "slider-head" },
      h("span", {}, name),
      h("span", { class: "num" }, signed(value)),
    );
    return { element: h("div", { class: "dim" }, head, chart, note), set() {} };
  }
  const moved = (now, urgent) => {
    mark(now);
    onmove(index, now, urgent);
  };
  const control = slider({
    name,
    min: low,
    max: high,
    step: (high - low) / 200,
    value,
    onmove: moved,
  });
  control.input.before(chart);
  const element = h("div", { class: "dim" }, control.element, note);
  const set = (now) => {
    control.set(now);
    mark(now);
  };
  return { element, set };
}
