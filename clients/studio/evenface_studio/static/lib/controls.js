// Sliders and choices that tabs share.

import { explain, h, uniqueId } from "./dom.js";

const MOST_AT_ONCE = 8;

/** A number with its sign, short. */
export const signed = (value, digits = 2) => {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
};

/** A share as per cent, honest at both ends. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  if (share < 1 && share > 0.9995) return "> 99.9 %";
  return `${(100 * share).toFixed(1)} %`;
}

/** A slider with its name and value; `onmove(value, urgent)`: urgent when it was let go. */
export function slider({ name, min, max, step, value, show = signed, hint, tip, onmove }) {
  const id = uniqueId("slider");
  const output = h("output", { class: "num", for: id }, show(value));
  const hintId = hint ? uniqueId("hint") : null;
  const input = h("input", { type: "range", id, min, max, step, "aria-describedby": hintId });
  input.value = value;
  const moved = (urgent) => {
    output.textContent = show(input.valueAsNumber);
    onmove(input.valueAsNumber, urgent);
  };
  input.addEventListener("input", () => moved(false));
  input.addEventListener("change", () => moved(true));
  const label = h("label", { for: id }, name);
  const head = h("div", { class: "slider-head" }, h("span", {}, label, tip), output);
  const under = hint && h("p", { class: "soft small", id: hintId }, hint);
  const set = (number) => {
    input.value = number;
    output.textContent = show(number);
  };
  return { element: h("div", { class: "slider" }, head, input, under), input, set };
}

/** Sliders of a model's attributes; `onmove(values, urgent)` gets those that are not 0. */
export function attributeSliders(model, quality, onmove) {
  const values = {};
  const worth = new Map(quality.map((one) => [one.name, one]));
  const sliders = model.attributes.map((name) =>
    slider({
      name,
      min: -2,
      max: 2,
      step: 0.05,
      value: 0,
      hint: worthOf(worth.get(name)),
      onmove(value, urgent) {
        if (value === 0) delete values[name];
        else values[name] = value;
        onmove({ ...values }, urgent);
      },
    }),
  );
  const reset = () => {
    for (const name of Object.keys(values)) delete values[name];
    for (const one of sliders) one.set(0);
  };
  const shown = sliders.map((one) => one.element);
  return { element: folded(shown, "attributes"), values, reset, count: sliders.length };
}

const worthOf = (quality) =>
  quality?.auc == null
    ? null
    : `AUC ${quality.auc.toFixed(2)}, from ${quality.held_out_positives} held-out faces with it ` +
      `and ${quality.held_out_negatives} without`;

/** All of a list where it is short; else its beginning, and a button for the rest. */
function folded(items, name) {
  const list = h("div", { class: "slider-list" }, ...items);
  if (items.length <= MOST_AT_ONCE) return list;
  for (const item of items.slice(MOST_AT_ONCE)) item.hidden = true;
  const more = h("button", { type: "button", class: "button" }, `All ${items.length} ${name}`);
  more.addEventListener("click", () => {
    for (const item of items) item.hidden = false;
    items[MOST_AT_ONCE].querySelector("input").focus();
    more.remove();
  });
  return h("div", { class: "stack" }, list, more);
}

/** Radio buttons in a row: options of {value, text, disabled?}; `onchoose(value)`. */
export function choice({ legend, tip, options, value, onchoose }) {
  const name = uniqueId("choice");
  const one = (option) => {
    const id = uniqueId("option");
    const chosen = option.value === value;
    const { disabled } = option;
    const input = h("input", { type: "radio", id, name, checked: chosen, disabled });
    input.addEventListener("change", () => onchoose(option.value));
    return h("label", { class: "choice", for: id }, input, h("span", {}, option.text));
  };
  return h(
    "fieldset",
    { class: "choices" },
    h("legend", {}, legend, tip),
    h("div", { class: "choices-row" }, ...options.map(one)),
  );
}

/** A box to tick whether a grey model's colorizer paints; null for a model without one. */
export function colorBox(context, onchange) {
  if (!context.can("colorize")) return null;
  const id = uniqueId("color");
  const input = h("input", { type: "checkbox", id });
  input.addEventListener("change", () => onchange(input.checked));
  return h("label", { class: "choice", for: id }, input, h("span", {}, "In colour"));
}

export const TIPS = {
  latent: () =>
    explain(
      "latent dimension",
      "The model sums a face up in a list of numbers, its latent. One number of them is a dimension; " +
        "each stands for something that training found worth telling apart.",
    ),
  rarity: () =>
    explain(
      "rare",
      "For each dimension the values of all training faces are counted in bins. A bin with less " +
        "than 1 % of them is rare. Resampling shows faces in rare bins more often.",
    ),
  temperature: () =>
    explain(
      "temperature",
      "How far from the average face the samples go: 0 gives the average itself, above 1 odd faces.",
    ),
  prior: () =>
    explain(
      "where latents come from",
      "The aggregate posterior is where training faces really lie. The standard normal is where the " +
        "loss wants them to lie. Samples from the first look more like training faces.",
    ),
  threshold: () =>
    explain("threshold", "The probability from which the service calls a picture a face."),
  attributes: () =>
    explain(
      "attributes",
      "Directions among latents, or inputs of the decoder, that were learnt from labels. 1 is about " +
        "as far as from a face without the attribute to one with it. AUC says how well the direction " +
        "tells the two apart: 0.5 is chance, 1 is perfect.",
    ),
  way: () =>
    explain(
      "way of the walk",
      "Around keeps the distance from the average face, so faces on the way stay as distinct as the " +
        "two at the ends. Straight leads nearer to the average face: smoother, and blander.",
    ),
};
