// What there is to look at: what was found below the folders of --data, or a path that is written.

import { getJson, isAbort } from "../../lib/api.js";
import { arrive, h, icon, refill } from "../../lib/dom.js";
import { showEmpty, showError, showLoading } from "../../lib/states.js";

const KINDS = {
  job: ["Scored by evenface-batch", "download"],
  parquet: ["Parquet file", "download"],
  folder: ["Folder of images", "face"],
};

/** Fills the panel with places; `open(path)` is called for the one that is chosen. `arrived`: from another view. */
export async function showPlaces(panel, { signal, open, arrived }) {
  showLoading(panel, "Looking for data sets…");
  try {
    const found = await getJson("/api/dataset/places", { signal });
    if (signal.aborted) return;
    draw(panel, found, open);
    if (arrived) arrive(panel.querySelector("h2, .state-title"));
  } catch (error) {
    if (!isAbort(error) && !signal.aborted) showError(panel, error, () => showPlaces(panel, { signal, open, arrived }));
  }
}

function draw(panel, { roots, places, most_images: most }, open) {
  panel.setAttribute("aria-busy", "false");
  if (roots.length === 0) return showEmpty(panel, NO_ROOTS);
  const field = h("input", { type: "text", id: "dataset-path", autocomplete: "off", spellcheck: "false", maxlength: "4096", "aria-describedby": "dataset-path-note" });
  const form = h(
    "form",
    { class: "row", onsubmit: (event) => go(event, field, open) },
    h("div", { class: "field grow" }, h("label", { for: "dataset-path" }, "Or write a path"), field),
    h("button", { type: "submit", class: "button primary" }, "Open"),
  );
  return refill(
    panel,
    h(
      "div",
      { class: "stack" },
      h("h2", {}, "Which data set?"),
      places.length
        ? h("ul", { class: "places" }, ...places.map((place) => h("li", {}, button(place, open))))
        : h("p", { class: "note" }, "Nothing was found below these folders at a short look. Write the path of a folder with images, or of an output of evenface-batch."),
      h("div", { class: "card stack" }, form, h("p", { class: "small soft", id: "dataset-path-note" }, `On the studio's machine, in ${roots.join(", ")}. A folder of up to ${most.toLocaleString("en")} images is encoded by the service; for more, run evenface-batch and open its output.`)),
    ),
  );
}

const NO_ROOTS = {
  title: "No folder to look into",
  text: "Start the studio with --data FOLDER (more than once for several): a folder of images, an output of evenface-batch, or a Parquet file. The studio reads nothing outside of these.",
};

const button = ({ path, kind }, open) =>
  h(
    "button",
    { type: "button", class: "place", onclick: () => open(path) },
    icon(KINDS[kind][1]),
    h("strong", {}, path),
    h("span", { class: "soft" }, KINDS[kind][0]),
  );

function go(event, field, open) {
  event.preventDefault();
  if (field.value.trim()) open(field.value.trim());
  else field.focus();
}
