// Filters of a data set: text, probability, rarity, labels, rows with errors; and their order.

import { h, holdingFocus, icon, refill, uniqueId } from "../../lib/dom.js";

const TYPING_MS = 300;
const ORDERS = {
  rarest: "Rarest first",
  commonest: "Commonest first",
  unlikeliest: "Least likely a face first",
  given: "As in the data set",
};
const ERRORS = { hide: "Without errors", only: "Only those with an error", show: "All rows" };
const SHORTCUTS = [
  ["All", 0, 1],
  ["Rarest 1 %", 0.99, 1],
  ["Rarest 10 %", 0.9, 1],
  ["Commonest 10 %", 0, 0.1],
];

/** What is chosen when nothing is. */
const NOTHING = Object.freeze({
  order: "rarest",
  text: "",
  low: 0,
  high: 1,
  rare_low: 0,
  rare_high: 1,
  errors: "hide",
  labels: {},
});

/** As the query of a request; what is as `NOTHING` has it is left out. */
export function asQuery(chosen) {
  const query = {};
  for (const [key, value] of Object.entries(chosen)) {
    if (key === "labels") {
      if (Object.keys(value).length) query.labels = JSON.stringify(value);
    } else if (value !== NOTHING[key]) query[key] = value;
  }
  return query;
}

/** Controls for a data set; `changed(chosen)` is called with what is chosen. */
export function makeFilters({ facts, changed }) {
  let chosen = { ...NOTHING, order: facts.has_weights ? "rarest" : "given" };
  const plain = chosen;
  const inner = h("div", { class: "filters-inner" });
  const wide = matchMedia("(min-width: 60.01rem)");
  const whole = h("details", { class: "filters card", open: wide.matches }, h("summary", {}, "Order and filters"), inner);
  wide.addEventListener("change", () => {
    whole.open = wide.matches;
  });
  const chips = h("div", { class: "chips" });

  function choose(change, { redraw = true } = {}) {
    chosen = { ...chosen, ...change };
    if (redraw) draw();
    holdingFocus(chips, drawChips, () => whole.querySelector(whole.open ? "select" : "summary"));
    changed(chosen);
  }

  const draw = () => holdingFocus(inner, controls);

  function controls() {
    refill(inner, order(), text(), facts.has_probabilities && probability(), facts.has_weights && rarity(), facts.failed > 0 && errors());
  }

  function order() {
    const id = uniqueId("order");
    const known = Object.entries(ORDERS).filter(([name]) => {
      if (name === "rarest" || name === "commonest") return facts.has_weights;
      return name === "given" || facts.has_probabilities;
    });
    const select = h("select", { id, onchange: () => choose({ order: select.value }, { redraw: false }) }, ...known.map(([value, name]) => h("option", { value }, name)));
    select.value = chosen.order;
    return h("div", { class: "field" }, h("label", { for: id }, "Order"), select);
  }

  function text() {
    const id = uniqueId("text");
    let timer = null;
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(() => choose({ text: input.value }, { redraw: false }), TYPING_MS);
    };
    const input = h("input", { type: "search", id, maxlength: "300", autocomplete: "off", spellcheck: "false", value: chosen.text, oninput: later });
    return h("div", { class: "field" }, h("label", { for: id }, "Text in the id"), input);
  }

  const probability = () =>
    range("Probability of a face", chosen.low, chosen.high, (value) => value.toFixed(2), (low, high) => choose({ low, high }, { redraw: false }));

  function rarity() {
    const place = (value) => (value === 1 ? "rarest" : value === 0 ? "commonest" : `${Math.round(100 * value)} %`);
    const sliders = range("Rarity, by weight", chosen.rare_low, chosen.rare_high, place, (rare_low, rare_high) => choose({ rare_low, rare_high }, { redraw: false }));
    const buttons = SHORTCUTS.map(([name, low, high]) =>
      h("button", { type: "button", class: "button chip", onclick: () => choose({ rare_low: low, rare_high: high }) }, name),
    );
    return h("div", { class: "stack-small" }, sliders, h("div", { class: "chips" }, ...buttons));
  }

  function errors() {
    const name = uniqueId("errors");
    const radios = Object.entries(ERRORS).map(([value, words]) =>
      h("label", {}, h("input", { type: "radio", name, value, checked: chosen.errors === value, onchange: () => choose({ errors: value }, { redraw: false }) }), words),
    );
    return h("fieldset", {}, h("legend", { class: "legend-like" }, "Rows with an error"), h("div", { class: "radios" }, ...radios));
  }

  /** The filters that are on, each with a button that takes it off. */
  function drawChips() {
    const off = (name, change) =>
      h("button", { type: "button", class: "button chip", "aria-label": `Remove filter ${name}`, onclick: () => choose(change) }, name, icon("close", 16));
    const list = [
      chosen.text && off(`“${chosen.text}” in the id`, { text: "" }),
      (chosen.low > 0 || chosen.high < 1) && off(`probability ${chosen.low.toFixed(2)} to ${chosen.high.toFixed(2)}`, { low: 0, high: 1 }),
      (chosen.rare_low > 0 || chosen.rare_high < 1) && off(`rarity ${Math.round(100 * chosen.rare_low)} to ${Math.round(100 * chosen.rare_high)} %`, { rare_low: 0, rare_high: 1 }),
      chosen.errors !== "hide" && off(ERRORS[chosen.errors].toLowerCase(), { errors: "hide" }),
      ...Object.entries(chosen.labels).map(([column, value]) => {
        const { [column]: _, ...others } = chosen.labels;
        return off(`${column} = ${value}`, { labels: others });
      }),
    ].filter(Boolean);
    const clear = list.length > 1 && h("button", { type: "button", class: "button chip", onclick: () => choose({ ...plain, order: chosen.order }) }, "Remove all");
    refill(chips, [...list, clear]);
    chips.hidden = list.length === 0;
  }

  draw();
  drawChips();
  return {
    whole,
    chips,
    get chosen() {
      return chosen;
    },
    /** Chooses a label, or takes the choice back where it is on already. */
    toggleLabel(column, value) {
      const { [column]: before, ...others } = chosen.labels;
      choose({ labels: before === value ? others : { ...others, [column]: value } });
    },
    /** Leaves out what is less likely a face than not. */
    onlyFaces: () => choose({ low: 0.5, high: 1 }),
    clear: () => choose({ ...plain, order: chosen.order }),
  };
}

/** Two sliders, from and to, neither beyond the other. */
function range(name, low, high, format, changed) {
  const [from, to] = [uniqueId("from"), uniqueId("to")];
  const slider = (id, value) =>
    h("input", { type: "range", id, min: "0", max: "1", step: "0.01", value: String(value), "aria-valuetext": format(value) });
  const [least, most] = [slider(from, low), slider(to, high)];
  const shown = [low, high].map((value) => h("span", { class: "range-value", "aria-hidden": "true" }, format(value)));
  const move = (own, other, place, wrong) => () => {
    if (wrong(Number(own.value), Number(other.value))) own.value = other.value;
    const value = Number(own.value);
    shown[place].textContent = format(value);
    own.setAttribute("aria-valuetext", format(value));
  };
  least.addEventListener("input", move(least, most, 0, (own, other) => own > other));
  most.addEventListener("input", move(most, least, 1, (own, other) => own < other));
  for (const one of [least, most]) one.addEventListener("change", () => changed(Number(least.value), Number(most.value)));
  return h(
    "fieldset",
    {},
    h("legend", { class: "legend-like" }, name),
    h("div", { class: "range" }, h("label", { for: from }, "from"), least, shown[0], h("label", { for: to }, "to"), most, shown[1]),
  );
}
