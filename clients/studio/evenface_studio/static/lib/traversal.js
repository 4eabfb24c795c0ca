// Every latent dimension of a face, from one end of its range to the other.

import { getJson, isAbort, postForBlob } from "./api.js";
import { TIPS } from "./controls.js";
import { arrive, h, refill } from "./dom.js";
import { cut } from "./sheets.js";
import { showError, showLoading } from "./states.js";

const STEPS = 7;
const AT_ONCE = 10;

/** A section with a row for each dimension, the most active ones first, some at a time. */
export function traversal(context) {
  const list = h("ol", { class: "rows" });
  const place = h("div", {});
  const more = h("button", { type: "button", class: "button", hidden: true });
  const element = h(
    "section",
    { class: "card stack" },
    h("h2", {}, "Dimension by dimension", TIPS.latent()),
    h(
      "p",
      { class: "soft small" },
      "The first face, with one number of its latent changed from low to high and the others kept.",
    ),
    list,
    place,
    h("div", { class: "row" }, more),
  );
  let control = null;
  let latent = null;
  let order = [];
  let color = false;

  async function add() {
    control?.abort();
    control = new AbortController();
    const { signal } = control;
    more.hidden = true;
    showLoading(place, "Drawing dimensions…");
    try {
      const query = context.query();
      if (order.length === 0) order = await active(query, signal);
      const dimensions = order.slice(list.childElementCount, list.childElementCount + AT_ONCE);
      const body = { latent, dimensions, steps: STEPS, color };
      const blob = await postForBlob("/api/morph/traversal", body, { query, signal });
      const rows = await cut(blob, 1, dimensions.length);
      list.append(...rows.map((row, number) => rowOf(row, dimensions[number])));
      refill(place);
      count();
    } catch (error) {
      if (!isAbort(error)) showError(place, error, add);
    }
  }

  function count() {
    place.setAttribute("aria-busy", "false");
    const left = order.length - list.childElementCount;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(left, AT_ONCE)} more of ${order.length}`;
  }

  more.addEventListener("click", async () => {
    await add(); // while the button, and the focus with it, is away
    if (more.hidden) arrive(list);
    else if (document.activeElement === document.body) more.focus({ preventScroll: true });
  });
  return {
    element,
    leave: () => control?.abort(),
    show(given, painted) {
      if (given === null || (given === latent && painted === color)) return;
      [latent, color] = [given, painted];
      refill(list);
      add();
    },
  };
}

async function active(query, signal) {
  const { dimensions } = await getJson("/api/explore/space", { query, signal });
  return dimensions.map(({ index }) => index);
}

function rowOf(row, dimension) {
  const label = `Dimension ${dimension} from low to high`;
  return h(
    "li",
    { class: "traversed" },
    h(
      "span",
      { class: "num small" },
      h("span", { class: "sr-only" }, "Dimension "),
      String(dimension),
    ),
    h("div", { role: "img", "aria-label": label, class: "traversed-row" }, row),
  );
}
