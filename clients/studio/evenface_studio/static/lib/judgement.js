// How sure the model is of a face, and how rare it is, in words and bars.

import { percent, TIPS } from "./controls.js";
import { h, svg } from "./dom.js";

const RARE_TIMES = 3; // as many rare dimensions as the average training face has

/** Probability of a face against the threshold. */
export function judgement({ probability, threshold, is_face: isFace }) {
  const said = `${isFace ? "A face" : "Not a face"}: probability ${percent(probability)}.`;
  const meter = svg(
    "svg",
    { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true", class: "meter" },
    svg("rect", { width: 100, height: 6, class: "track" }),
    svg("rect", { width: 100 * probability, height: 6, class: "bar-own" }),
    svg("line", { x1: 100 * threshold, x2: 100 * threshold, y1: 0, y2: 6, class: "marker" }),
  );
  const element = h(
    "div",
    { class: "verdict" },
    h("h2", { class: "verdict-title" }, isFace ? "A face" : "Not a face"),
    h("p", { class: "verdict-number num" }, percent(probability)),
    meter,
    h(
      "p",
      { class: "soft small" },
      `probability of a face; from ${percent(threshold)} on it counts `,
      h("span", { class: "unbroken" }, "as one", TIPS.threshold()),
    ),
  );
  return { element, said };
}

/** How rare a face is: a verdict, and the figures behind it. */
export function rareness({ rare, expected, total }, size) {
  const verdict = rare === 0 ? "Common" : rare < RARE_TIMES * expected ? "Somewhat rare" : "Rare";
  const dimensions = size === 1 ? "dimension" : "dimensions";
  const count =
    rare === 0 ? `In none of ${size} ${dimensions}` : `In ${rare} of ${size} ${dimensions}`;
  const element = h(
    "div",
    { class: "verdict" },
    h("h2", { class: "verdict-title" }, verdict, TIPS.rarity()),
    h(
      "p",
      { class: "small" },
      `${count} it lies where fewer than 1\u00a0% of ${total.toLocaleString("en")} training faces do. `,
      h("span", { class: "soft" }, `The average training face does in ${expected.toFixed(1)}.`),
    ),
  );
  return { element, verdict };
}
