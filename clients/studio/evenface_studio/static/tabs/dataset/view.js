// A data set that is open: filters beside figures, labels and faces; exports.

import { getJson, isAbort } from "../../lib/api.js";
import { arrive, h, holdingFocus, icon, refill } from "../../lib/dom.js";
import { count, some } from "../../lib/format.js";
import { showEmpty, showError, showLoading } from "../../lib/states.js";
import { asQuery, makeFilters } from "./filters.js";
import { drawOverview, drawShares } from "./overview.js";
import { drawPager, drawWall } from "./wall.js";

// A wall of three columns would else be a long way down.
const SIZE = matchMedia("(max-width: 40rem)").matches ? 24 : 60;

/** Fills the panel with the data set `key`; `back()` to choose another, `again()` to open anew. */
export async function showSet(panel, { signal, key, context, back, again }) {
  const base = `/api/dataset/sets/${key}`;
  showLoading(panel, "Reading…");
  let facts;
  try {
    facts = await getJson(base, { signal });
  } catch (error) {
    if (!isAbort(error) && !signal.aborted) fail(panel, error);
    return;
  }
  if (signal.aborted) return;
  panel.setAttribute("aria-busy", "false");
  let asked = null;
  let page = 0;
  let column = "";
  const filters = makeFilters({ facts, changed: () => look({ first: true }) });
  const title = h("h2", {}, facts.title);
  const faces = h("h3", { tabindex: "-1" }, "Faces");
  const place = h("p", { class: "small soft num" });
  const unlikely = h("div", { class: "note row apart", hidden: true });
  const [overview, shares, heading, wall, pager, links] = ["stack", "card stack", "row apart", "", "row pager", "row"].map((name) => h(name === "card stack" ? "section" : "div", name && { class: name }));
  refill(
    panel,
    h(
      "div",
      { class: "stack" },
      header(),
      ...warnings(facts),
      h("div", { class: "data" }, filters.whole, h("div", { class: "stack" }, overview, shares, heading, filters.chips, unlikely, wall, pager)),
    ),
  );
  refill(heading, faces, place);
  arrive(title);
  look({ first: true });

  function header() {
    const about = [some(facts.rows, "row"), facts.model && `model ${facts.model}`, facts.rule && `rule ${facts.rule}`];
    return h(
      "div",
      { class: "row apart" },
      h("div", {}, title, h("p", { class: "small soft" }, about.filter(Boolean).join("  ·  "))),
      h("div", { class: "row" }, links, h("button", { type: "button", class: "button", onclick: () => back() }, "Choose another")),
    );
  }

  /** Asks for the rows, and for what they say unless only the page is another. */
  async function look({ first = false } = {}) {
    asked?.abort();
    asked = new AbortController();
    const own = AbortSignal.any([signal, asked.signal]);
    if (first) page = 0;
    const query = { ...asQuery(filters.chosen), order: filters.chosen.order };
    wall.querySelector(".wall")?.setAttribute("aria-busy", "true");
    try {
      const both = [
        getJson(`${base}/rows`, { query: { ...query, page, size: SIZE }, signal: own }),
        first ? getJson(base, { query: { ...query, column }, signal: own }) : null,
      ];
      const [rows, summary] = await Promise.all(both);
      if (own.aborted) return;
      page = rows.page;
      if (summary) say(summary, query);
      drawRows(rows);
    } catch (error) {
      if (!isAbort(error) && !own.aborted) fail(wall, error, () => look({ first }));
    }
  }

  function say(summary, query) {
    ({ column } = summary);
    drawOverview(overview, summary);
    const does = { pick, toggle: (...label) => filters.toggleLabel(...label) };
    holdingFocus(shares, () => drawShares(shares, summary, filters.chosen.labels, does));
    holdingFocus(links, () => drawLinks(query, summary));
    holdingFocus(unlikely, () => drawUnlikely(summary), () => faces);
  }

  /** What is no face is rare, too: those who look for rare faces should not have to wonder. */
  function drawUnlikely({ chosen }) {
    const below = chosen.probabilities.slice(0, chosen.probabilities.length / 2).reduce((sum, one) => sum + one, 0);
    unlikely.hidden = !facts.has_weights || below === 0 || filters.chosen.high < 1;
    refill(unlikely);
    if (unlikely.hidden) return;
    const only = h("button", { type: "button", class: "button", onclick: () => filters.onlyFaces() }, "Faces alone");
    refill(unlikely, h("span", {}, `${some(below, "row")} ${below === 1 ? "is" : "are"} less likely a face than not, and may weigh most.`), only);
  }

  function pick(name) {
    column = name;
    look({ first: true });
  }

  function drawRows(rows) {
    const from = rows.page * SIZE + 1;
    const words = rows.total ? `${count(from)} to ${count(from + rows.rows.length - 1)} of ${some(rows.total, "row")}` : "No rows";
    place.textContent = words;
    context.announce(words);
    if (rows.total === 0) {
      const clear = h("button", { type: "button", class: "button", onclick: () => filters.clear() }, "Remove the filters");
      showEmpty(wall, { title: "No row passes the filters", text: "Take one of them off, or all.", actions: [clear] });
    } else drawWall(wall, { ...rows, size: SIZE }, key);
    drawPager(pager, rows, go);
  }

  function go(target) {
    page = target;
    look();
    faces.focus({ preventScroll: true });
    heading.scrollIntoView({ block: "start" });
  }

  function drawLinks(query, summary) {
    if (!facts.has_weights || summary.chosen.rows === 0) {
      refill(links);
      return;
    }
    const link = (form, name) => {
      const search = new URLSearchParams({ ...query, form });
      return h("a", { class: "button", href: `${base}/export?${search}`, download: "" }, icon("download", 16), name, h("span", { class: "sr-only" }, ` of ${some(summary.chosen.rows, "row")}: ids and weights`));
    };
    refill(links, link("parquet", "Weights, Parquet"), link("csv", "CSV"));
  }

  function fail(where, error, retry = again) {
    const anew = error.kind === "changed" || error.kind === "closed";
    showError(where, error, anew ? again : retry);
    const button = where.querySelector(".state-actions .button");
    if (button && anew) button.textContent = "Open again";
  }
}

function warnings(facts) {
  const list = [
    facts.missing > 0 && `${some(facts.missing, "part")} of this job ${facts.missing === 1 ? "is" : "are"} not there yet: it is unfinished. evenface-batch goes on with it with --resume.`,
    facts.mixed && "Some parts have weights of another run, or none: they cannot be compared. Run evenface-batch weights to its end, and open the job again.",
    !facts.has_weights && "There are no weights yet, so that nothing is rare or common. Run `evenface-batch weights --out FOLDER`, and open it again.",
    !facts.has_probabilities && "There are no probabilities of a face: what scored these images does not tell face from non-face.",
  ];
  return list.filter(Boolean).map((text) => h("p", { class: "note" }, text));
}
