// The tab Fairness: what the model card says of groups, one model or two side by side.

import { getJson, isAbort } from "../lib/api.js";
import { explain, h, refill, scrolling } from "../lib/dom.js";
import { count, number, percent, times } from "../lib/format.js";
import { axis, intervals } from "../lib/plots.js";
import { showEmpty, showError, showLoading } from "../lib/states.js";

const TONES = ["own", "other"];
const POINTS = new Intl.NumberFormat("en", { signDisplay: "exceptZero", maximumFractionDigits: 1 });

/** Fills the panel; see app.js for what the page calls and what `context` has. */
export function mount(panel, context) {
  let asked = null;
  let wanted = "";
  const picker = h("select", { id: "fairness-other", onchange: () => pick(picker.value) });
  const body = h("div", { class: "stack" });
  refill(
    panel,
    h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row apart" },
        h("h2", {}, "How the model treats groups"),
        h("div", { class: "row" }, h("label", { for: "fairness-other" }, "Compare with"), picker),
      ),
      body,
    ),
  );

  function pick(value) {
    wanted = value;
    load();
  }

  function offer() {
    const others = context.models
      .map((model) => `${model.name}/${model.version}`)
      .filter((name) => name !== nameOf(context.model));
    if (!others.includes(wanted)) wanted = "";
    refill(picker, ["", ...others].map((name) => h("option", { value: name }, name || "no other model")));
    picker.value = wanted;
    picker.disabled = others.length === 0;
  }

  async function load() {
    asked?.abort();
    asked = new AbortController();
    const { signal } = asked;
    const [other, other_version] = split(wanted);
    if (!body.children.length) showLoading(body, "Reading the model card…");
    try {
      const query = { ...context.query(), other, other_version };
      const found = await getJson("/api/fairness", { query, signal });
      if (!signal.aborted) draw(body, found);
    } catch (error) {
      if (!isAbort(error) && !signal.aborted) showError(body, error, load);
    }
  }

  function renew() {
    offer();
    load();
  }

  return { show: renew, hide: () => asked?.abort(), modelChanged: renew };
}

const nameOf = ({ name, version }) => `${name}/${version}`;

/** "name/version" as the two; names of versions hold no slash. */
const split = (name) => (name ? name.split("/") : [undefined, undefined]);

function draw(place, found) {
  place.setAttribute("aria-busy", "false");
  if (found.groups.length === 0) return showEmpty(place, noGroups(found));
  const columns = Map.groupBy
    ? Map.groupBy(found.groups, (group) => group.column)
    : grouped(found.groups);
  return refill(
    place,
    legend(found),
    overall(found),
    ...lacking(found).map((text) => h("p", { class: "note" }, text)),
    ...[...columns].map(([column, groups]) => card(column, groups, found, rangeOf(groups))),
    h("p", { class: "small soft measure" }, ...reading(found)),
  );
}

/** Whether a card says something of any group. */
const told = ({ groups }, key) => groups.some((group) => group.models.some((one) => one?.[key] != null));

/** What neither card says of groups, and why. */
function lacking(found) {
  const { models } = found;
  const can = (key) => models.some((model) => model[key]);
  const one = models.length === 1;
  const rates = one ? "The card has no rates of groups." : "Neither card has rates of groups.";
  const weights = one ? "The card does not say which share of the weight groups get." : "Neither card says which share of the weight groups get.";
  const classifies = one ? "This model does not tell face from non-face, so that it has no rates." : "Neither model tells face from non-face, so that there are no rates.";
  const encodes = one ? "This model gives no latents, so that nothing weights its faces." : "Neither model gives latents, so that nothing weights faces.";
  return [
    !told(found, "rate") && (can("classifies") ? rates : classifies),
    !told(found, "weighted_share") && (can("encodes") ? weights : encodes),
  ].filter(Boolean);
}

function grouped(groups) {
  const found = new Map();
  for (const group of groups) found.set(group.column, [...(found.get(group.column) ?? []), group]);
  return found;
}

function noGroups({ models }) {
  const names = models.map(nameOf).join(" and ");
  return {
    title: `The card of ${names} has no groups`,
    text:
      "Groups come from label columns. Train with data.labels (a CSV with a column file) and " +
      "data.group_columns=[…], export again, and they are here: docs/data.md says how.",
    name: "face",
  };
}

/** Which model is which, and whether their figures can be compared. */
function legend({ models, same_images }) {
  const names = models.map((model, place) =>
    h("li", {}, h("span", { class: `key key-${TONES[place]}`, "aria-hidden": "true" }), h("strong", {}, nameOf(model)), ` ${model.kind}`),
  );
  const pair = models.length === 2;
  const same = same_images
    ? "Both were measured on a split of the same data."
    : "They were measured on different images: a difference may be the images', not the models'.";
  return h(
    "div",
    { class: "stack-small" },
    h("ul", { class: "legend" }, ...names),
    pair && h("p", { class: same_images ? "small soft" : "note" }, same),
  );
}

/** The figures over all groups and over all images. */
function overall({ models, figures }) {
  const over = models.map((model) => model.over_groups);
  const rows = [
    ["Mean over groups", over.map((one) => percent(one?.mean)), "Each group counts alike, however small."],
    ["Lowest group", over.map((one) => (one ? `${percent(one.worst)}  (${one.worst_group})` : "–")), "The group that is recognised least. A small group is low by chance easily: look at its interval."],
    ["Variance over groups", over.map((one) => (one ? `${number(one.variance)} percent²` : "–")), "How far the groups' rates, in per cent, are apart: Var[A] of Amini et al. 2019. 0 where all are treated alike."],
    ...figures.map(({ label, form, values }) => [
      label,
      values.map((value) => (value == null ? "–" : form === "percent" ? percent(value) : value.toFixed(5))),
      NOTES[label],
    ]),
    ["Effective sample size", models.map(effective), "How many equally weighted training faces tell as much as the weighted ones: (Σw)² / Σw²."],
  ].filter(([, values]) => values.some((value) => value !== "–"));
  return h(
    "section",
    { class: "card" },
    h("h3", {}, "Over all"),
    scrolling(
      "Figures over all",
      h(
        "table",
        { class: "figures" },
        h("caption", { class: "sr-only" }, "Figures over all groups and images"),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Figure"), ...models.map((model) => h("th", { scope: "col" }, nameOf(model))))),
        h("tbody", {}, ...rows.map(([name, values, note]) => h("tr", {}, h("th", { scope: "row" }, name, note && explain(name, note)), ...values.map((value) => h("td", {}, value))))),
      ),
    ),
  );
}

const NOTES = {
  "True positive rate at 1 % false positives": "Share of held-out faces recognised with the threshold that 1 % of the held-out non-faces pass.",
  "The same on a degraded copy": "On a copy of the held-out images with less light and contrast, noise, and crops moved.",
};

const effective = ({ effective_sample_size: size, training_faces: faces }) =>
  size == null ? "–" : `${count(size)}${faces ? ` of ${count(faces)}` : ""}`;

/** The groups of one label column: rates with intervals, then shares. */
function card(column, groups, found, range) {
  const rates = told({ groups }, "rate");
  const shares = told({ groups }, "share");
  return h(
    "section",
    { class: "card stack", "aria-label": `Groups of ${column}` },
    h("h3", {}, column),
    h("div", { class: found.models.length === 2 ? "stack" : "abreast" }, rates && rateTable(column, groups, found, range), shares && shareTable(column, groups, found)),
  );
}

function rateTable(column, groups, { models, small }, range) {
  const pair = models.length === 2;
  const row = (group) => {
    const marks = group.models.map((one, place) => one?.rate == null ? null : { value: one.rate, low: one.low, high: one.high, tone: TONES[place] });
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, `${group.value} `, isFew(group) && h("span", { class: "badge" }, "few faces")),
      h("td", { class: "cell-drawing" }, intervals(marks, range)),
      h("td", {}, ...group.models.map((one, place) => rateText(one, place, pair))),
      pair && h("td", {}, differenceText(group.difference)),
    );
  };
  return scrolling(
    `True positive rate by ${column}`,
    h(
      "table",
      { class: "figures groups" },
      h("caption", {}, "Held-out faces recognised ", explain("interval", `The line is the 95 % interval (Wilson 1927) of the rate: the true one may be anywhere in it. Groups of fewer than ${small} held-out faces are marked, as little can be said of them.`)),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Group"),
          h("th", { scope: "col", class: "cell-drawing" }, h("span", { class: "sr-only" }, "Drawn"), axis([percent(range[0]), percent(range[1])])),
          h("th", { scope: "col" }, "Rate, interval"),
          pair && h("th", { scope: "col" }, "Difference ", explain("difference", "The second model's rate less the first's, in points, with its 95 % interval (Newcombe 1998, for independent samples; wider than needed where both saw the same images).")),
        ),
      ),
      h("tbody", {}, ...groups.map(row)),
    ),
  );
}

const isFew = (group) => group.models.some((one) => one?.is_small);

function rateText(one, place, pair) {
  const key = pair && h("span", { class: `key key-${TONES[place]}`, "aria-hidden": "true" });
  if (one == null) return h("div", { class: "rate" }, key, "not in its card");
  if (one.rate == null) return h("div", { class: "rate" }, key, one.count ? "no rate" : "no held-out faces");
  return h(
    "div",
    { class: "rate" },
    key,
    h("strong", { class: "num" }, percent(one.rate)),
    h("span", { class: "soft num" }, ` ${percent(one.low)} to ${percent(one.high)}, ${count(one.recognised)} of ${count(one.count)}`),
  );
}

function differenceText(difference) {
  if (difference == null) return "–";
  const points = (value) => POINTS.format(100 * value).replace("-", "−");
  return h(
    "div",
    { class: "rate" },
    h("strong", { class: "num" }, `${points(difference.value)} points`),
    h("span", { class: "soft num" }, ` ${points(difference.low)} to ${points(difference.high)}, ${difference.is_beyond_chance ? "beyond chance" : "may be chance"}`),
  );
}

function shareTable(column, groups, found) {
  const { models } = found;
  const weighted = told(found, "weighted_share");
  const most = Math.max(...groups.flatMap((group) => group.models.flatMap((one) => one ? [one.share, one.weighted_share ?? 0] : [])), 1e-9);
  const row = (group) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, group.value),
      h("td", { class: "cell-drawing" }, ...group.models.map((one, place) => one && shareBars(one, place, most))),
      h("td", {}, ...group.models.map((one, place) => shareText(one, place, models.length === 2))),
    );
  const faces = "Share of the training faces";
  const caption = weighted
    ? [`${faces} (grey) and of the weight (coloured) `, explain("share of the weight", "Which share of the training faces a group is, and which share of the resampling weight it gets from the model's latents. Above 1 × the weighting raises it. Faces without a label count in the whole.")]
    : [faces];
  return scrolling(
    weighted ? `${faces} and of the weight by ${column}` : `${faces} by ${column}`,
    h(
      "table",
      { class: "figures groups" },
      h("caption", {}, ...caption),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Group"), h("th", { scope: "col", class: "cell-drawing" }, h("span", { class: "sr-only" }, "Drawn"), axis(["0 %", percent(most)])), h("th", { scope: "col" }, weighted ? "Raised, share of faces → of weight" : "Share of faces"))),
      h("tbody", {}, ...groups.map(row)),
    ),
  );
}

function shareBars(one, place, most) {
  const mark = (value, kind) => ({ low: 0, high: value, value, tone: kind });
  const marks = [mark(one.share, "muted"), one.weighted_share == null ? null : mark(one.weighted_share, TONES[place])];
  return intervals(marks, [0, most]);
}

function shareText(one, place, pair) {
  if (one == null) return null;
  const key = pair && h("span", { class: `key key-${TONES[place]}`, "aria-hidden": "true" });
  return h(
    "div",
    { class: "rate" },
    key,
    h("strong", { class: "num" }, one.raised == null ? percent(one.share) : times(one.raised)),
    h("span", { class: "soft num" }, one.weighted_share == null ? " of the faces" : ` ${percent(one.share)} → ${percent(one.weighted_share)}`),
  );
}

/** The scale that all intervals fit on; rates are often all near 100 %. */
function rangeOf(groups) {
  const lows = groups.flatMap((group) => group.models.map((one) => one?.low)).filter((low) => low != null);
  const least = Math.min(...lows, 1);
  return [Math.max(0, Math.floor(least * 20 - 0.2) / 20), 1];
}

function reading({ models }) {
  const [first] = models;
  const faces = first.held_out_faces == null ? "" : ` There were ${count(first.held_out_faces)}.`;
  return [
    `A rate is the share of a group's held-out faces that the model takes for faces at its threshold.${faces} `,
    "Groups are values of label columns, as people or cameras gave them; faces without a label are in none. ",
    "That intervals overlap does not say that two groups are treated alike, only that these images cannot tell.",
  ];
}
