// The tab Sample: a sheet of faces that do not exist.

import { getBlob } from "../lib/api.js";
import { walkByArrows } from "../lib/arrows.js";
import { attributeSliders, choice, colorBox, slider, TIPS } from "../lib/controls.js";
import { h, icon, refill, uniqueId } from "../lib/dom.js";
import { latest } from "../lib/latest.js";
import { cut, toFile } from "../lib/sheets.js";
import { showEmpty, showError, showLoading } from "../lib/states.js";

const COUNTS = [8, 16, 32, 64];
const MOST_SEED = 999_999;

/** Fills the panel; see app.js for what the page calls and what `context` has. */
export function mount(panel, context) {
  const sheet = h("div", { class: "sheet", role: "group", "aria-label": "Faces; arrow keys go from one to another" });
  const arrows = walkByArrows(sheet);
  const wish = { count: 16, seed: 7, temperature: 0.8, prior: null, attributes: {}, color: false };

  const drawing = latest(
    async (wished, signal) => {
      const blob = await getBlob("/api/sample/sheet", { query: queryOf(wished), signal });
      return cut(blob, wished.count);
    },
    (tiles, wished) => {
      fillSheet(sheet, tiles, wished, context);
      arrows.renew();
      sheet.setAttribute("aria-busy", "false");
    },
    (error) => showError(sheet, error, () => draw(true)),
  );

  const queryOf = ({ attributes, ...rest }) => ({
    ...context.query(),
    ...rest,
    attributes: Object.keys(attributes).length > 0 ? JSON.stringify(attributes) : null,
  });

  const title = h("span", {});
  const download = h("a", { class: "button", download: true }, icon("download"), "Download PNG");

  function draw(urgent = true) {
    title.textContent = `${wish.count} faces that do not exist`;
    download.href = `/api/sample/file?${new URLSearchParams(filled(queryOf(wish)))}`;
    drawing.ask({ ...wish }, { urgent });
  }

  async function begin() {
    drawing.drop();
    Object.assign(wish, { prior: null, attributes: {}, color: false });
    if (!context.can("decode")) {
      showEmpty(panel, cannot(context));
      return;
    }
    showLoading(sheet, "Drawing faces…");
    const controls = h("section", {
      class: "card stack sample-controls",
      "aria-label": "Settings",
    });
    const attributes = h("section", { class: "card stack sample-attributes", hidden: true });
    const head = h("div", { class: "row spread" }, h("h2", {}, title), download);
    refill(
      panel,
      h(
        "div",
        { class: "sample" },
        controls,
        h("section", { class: "card stack sample-sheet" }, head, sheet),
        attributes,
      ),
    );
    try {
      const { model } = context;
      const details = await context.details();
      if (context.model !== model) return; // another was chosen meanwhile, and begins anew
      refill(controls, ...controlsOf(context, details, wish, draw));
      fillAttributes(attributes, context.model, details, wish, draw);
      draw();
    } catch (error) {
      showError(panel, error, begin);
    }
  }

  begin();
  return { show() {}, hide() {}, modelChanged: begin };
}

const filled = (query) =>
  Object.entries(query).filter(([, value]) => value !== "" && value != null);

/** Why a model draws nothing, and which ones do. */
export function cannot(context) {
  const others = context
    .able("decode")
    .map((model) =>
      h(
        "button",
        { type: "button", class: "button", onclick: () => context.choose(model) },
        `Use ${model.name} ${model.version}`,
      ),
    );
  return {
    title: "This model draws no faces",
    text:
      others.length > 0
        ? "It has no decoder. These have one:"
        : "It has no decoder, and neither has any other that is served.",
    actions: others,
  };
}

function controlsOf(context, details, wish, draw) {
  const seedId = uniqueId("seed");
  const seed = h("input", {
    type: "number",
    id: seedId,
    min: 0,
    max: MOST_SEED,
    step: 1,
    value: wish.seed,
  });
  const setSeed = (value) => {
    wish.seed = value;
    draw();
  };
  seed.addEventListener("input", () => {
    if (seed.value !== "" && seed.validity.valid) setSeed(seed.valueAsNumber);
  });
  const shuffle = h("button", { type: "button", class: "button" }, icon("shuffle"), "Other faces");
  shuffle.addEventListener("click", () => {
    seed.value = Math.floor(Math.random() * (MOST_SEED + 1));
    setSeed(seed.valueAsNumber);
  });

  const countId = uniqueId("count");
  const count = h(
    "select",
    { id: countId },
    ...COUNTS.map((n) => h("option", { value: n }, String(n))),
  );
  count.value = wish.count;
  count.addEventListener("change", () => {
    wish.count = Number(count.value);
    draw();
  });

  const temperature = slider({
    name: "Temperature",
    tip: TIPS.temperature(),
    min: 0,
    max: 2,
    step: 0.05,
    value: wish.temperature,
    onmove(value, urgent) {
      wish.temperature = value;
      draw(urgent);
    },
  });
  const known = details.has_aggregate_posterior;
  const prior = choice({
    legend: "Latents from",
    tip: TIPS.prior(),
    value: known ? "aggregate" : "normal",
    options: [
      {
        value: "aggregate",
        text: known ? "aggregate posterior" : "aggregate posterior (not in this bundle)",
        disabled: !known,
      },
      { value: "normal", text: "standard normal" },
    ],
    onchoose(value) {
      wish.prior = value;
      draw();
    },
  });
  const color = colorBox(context, (on) => {
    wish.color = on;
    draw();
  });
  return [
    h(
      "div",
      { class: "field" },
      h("label", { for: seedId }, "Seed"),
      h("div", { class: "row" }, seed, shuffle),
    ),
    h("div", { class: "field" }, h("label", { for: countId }, "Faces"), count),
    temperature.element,
    prior,
    color,
  ];
}

function fillAttributes(place, model, details, wish, draw) {
  const attributes = attributeSliders(model, details.attribute_quality, (values, urgent) => {
    wish.attributes = values;
    draw(urgent);
  });
  place.hidden = attributes.count === 0;
  refill(place, h("h2", {}, "Attributes", TIPS.attributes()), attributes.element);
}

function fillSheet(sheet, tiles, wished, context) {
  const focused = [...sheet.children].indexOf(document.activeElement);
  const buttons = tiles.map((tile, number) => {
    const name = `Face ${number + 1} of ${tiles.length}: explore it`;
    const button = h(
      "button",
      { type: "button", class: "tile", "aria-label": name, title: "Explore this face" },
      tile,
    );
    button.addEventListener("click", async () =>
      context.explore(await toFile(tile, `seed ${wished.seed}, face ${number + 1}.png`)),
    );
    return button;
  });
  refill(sheet, ...buttons);
  if (focused >= 0) buttons[focused]?.focus();
}
