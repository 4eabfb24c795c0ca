// The faces of the chosen rows as a wall of thumbnails, page by page, and one of them in full.

import { walkByArrows } from "../../lib/arrows.js";
import { h, icon, refill } from "../../lib/dom.js";
import { count, number, times } from "../../lib/format.js";

/** Draws a page of rows, as /api/dataset/sets/KEY/rows has it. */
export function drawWall(place, found, key) {
  const same = sameProblem(found.rows);
  const label = `Rows ${count(first(found))} to ${count(first(found) + found.rows.length - 1)}; arrow keys go from face to face`;
  const wall = h("ol", { class: "wall", "aria-label": label, start: String(first(found)) }, ...found.rows.map((row) => h("li", {}, face(row, key, same !== null))));
  refill(place, same && h("p", { class: "note" }, noPictures(same)), wall);
  walkByArrows(wall).renew();
}

const first = ({ page, size }) => page * size + 1;

/** The problem that all pictures share; null where they do not. */
function sameProblem(rows) {
  const [one] = rows;
  const shared = one?.problem ?? null;
  return shared !== null && rows.every(({ problem }) => problem === shared) ? shared : null;
}

const HINTS = {
  "outside the folders given with --data": "Start the studio with --data for their folder too.",
  "no longer there": "The images have moved since they were scored.",
};

const noPictures = (problem) => `There are no thumbnails: ${problem}. ${HINTS[problem] ?? ""}`;

function face(row, key, bare) {
  const words = [h("strong", {}, row.multiple == null ? "no weight" : times(row.multiple)), h("span", { title: row.id }, nameOf(row.id))];
  return h(
    "button",
    { type: "button", class: "thumb", "aria-label": described(row), onclick: () => showDetails(row, key) },
    !bare && picture(row, key, "thumb-picture"),
    h("span", { class: "thumb-words", "aria-hidden": "true" }, ...words),
  );
}

function picture(row, key, kind, { eager = false } = {}) {
  if (row.problem) return h("span", { class: `${kind} thumb-none` }, short(row.error ?? row.problem));
  const image = h("img", { class: kind, alt: "", width: "176", height: "176", loading: eager ? "eager" : "lazy", decoding: "async" });
  image.src = `/api/dataset/sets/${key}/rows/${row.row}/thumbnail`;
  return image;
}

const chance = (value) => (value < 0.001 ? "below 0.001" : number(value));

const short = (text) => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

/** The last part of an id; what stands before is the folder, mostly. */
const nameOf = (id) => id.split("/").filter(Boolean).at(-1) ?? id;

function described(row) {
  const parts = [row.id];
  if (row.multiple != null) parts.push(`weight ${times(row.multiple)} the average`);
  if (row.probability != null) parts.push(`probability of a face ${chance(row.probability)}`);
  if (row.error) parts.push(`error: ${row.error}`);
  return parts.join(", ");
}

/** One row in a dialog: closed by Escape, its button, or a click beside it. */
function showDetails(row, key) {
  const facts = [
    ["Id", row.id],
    ["Weight", row.multiple == null ? "none" : `${times(row.multiple)} the average`],
    ["Probability of a face", row.probability == null ? "not known" : chance(row.probability)],
    row.error && ["Error", row.error],
    row.problem && ["Picture", row.problem],
    ...Object.entries(row.labels),
  ].filter(Boolean);
  const close = h("button", { type: "button", class: "icon-button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  const dialog = h(
    "dialog",
    { class: "details", "aria-labelledby": "dataset-details" },
    h("div", { class: "row apart" }, h("h2", { id: "dataset-details" }, nameOf(row.id)), close),
    h("div", { class: "details-body" }, picture(row, key, "thumb-picture", { eager: true }), h("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

/** Buttons to other pages and a field for its number; `go(page)` counts from 0. */
export function drawPager(place, { page, pages }, go) {
  place.hidden = pages < 2;
  if (pages < 2) return;
  const to = (name, target, off, kind = "") => h("button", { type: "button", class: `button ${kind}`, disabled: off, onclick: () => go(target) }, name);
  const field = h("input", { type: "number", id: "dataset-page", min: "1", max: String(pages), value: String(page + 1), inputmode: "numeric" });
  field.addEventListener("change", () => go(Math.min(Math.max(Math.round(Number(field.value)) || 1, 1), pages) - 1));
  refill(
    place,
    to("First", 0, page === 0, "far"),
    to("Back", page - 1, page === 0),
    h("span", { class: "row small" }, h("label", { for: "dataset-page" }, "Page"), field, `of ${count(pages)}`),
    to("Next", page + 1, page >= pages - 1),
    to("Last", pages - 1, page >= pages - 1, "far"),
  );
}
