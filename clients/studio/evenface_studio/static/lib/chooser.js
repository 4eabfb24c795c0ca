// Choosing a face: a file, by dialog, drop or paste, or one of those that are at hand.

import { ApiError, getBlob, isAbort } from "./api.js";
import { h, icon, refill, uniqueId } from "./dom.js";
import { cut, toFile } from "./sheets.js";

const TYPES = ["image/jpeg", "image/png", "image/webp"];
const DRAWN = [
  { file: "face-1.jpg", name: "drawn face 1" },
  { file: "face-2.jpg", name: "drawn face 2" },
  { file: "face-3.jpg", name: "drawn face 3" },
  { file: "dog.jpg", name: "drawn dog" },
];
const SAMPLED = 6;
const MEBI = 2 ** 20;

/**
 * Makes a place to choose a face in.
 * @param {{context: object, onfile: (file: File) => void, onerror: (error: Error) => void,
 *          drawn?: boolean, title?: string}} what
 * @returns {{element: HTMLElement, take: (file: File) => void, refresh: () => void}}
 */
export function faceChooser({ context, onfile, onerror, drawn = true, title = "Choose a face" }) {
  const id = uniqueId("file");
  const input = h("input", { type: "file", id, class: "sr-only", accept: TYPES.join(",") });
  const sampled = h("div", { class: "picks" });
  const picks = h("div", { class: "picks" });
  const more = h("button", { type: "button", class: "button" }, icon("shuffle"), "Other faces");
  let seed = 7;
  let loading = null;

  function take(file) {
    const problem = problemOf(file, context.served.max_upload);
    if (problem) onerror(problem);
    else onfile(file);
  }

  async function refresh() {
    loading?.abort();
    const able = context.can("decode");
    refill(sampled);
    sampled.hidden = more.hidden = !able;
    if (!able) return;
    loading = new AbortController();
    const query = { ...context.query(), count: SAMPLED, seed };
    try {
      const blob = await getBlob("/api/sample/sheet", { query, signal: loading.signal });
      const tiles = await cut(blob, SAMPLED);
      refill(sampled, ...tiles.map((tile, number) => pickOf(tile, number, take)));
    } catch (error) {
      if (isAbort(error)) return;
      sampled.hidden = more.hidden = true;
      document.addEventListener("studio:back", refresh, { once: true });
    }
  }

  input.addEventListener("change", () => {
    if (input.files.length > 0) take(input.files[0]);
    input.value = "";
  });
  more.addEventListener("click", () => {
    seed += 1;
    refresh();
  });
  if (drawn) refill(picks, ...DRAWN.map((one) => drawnPick(one, take)));

  const element = h(
    "div",
    { class: "drop" },
    h("p", { class: "drop-title" }, title),
    h(
      "div",
      { class: "drop-file" },
      input,
      h("label", { for: id, class: "button primary" }, icon("upload"), "Choose a picture"),
      h("span", { class: "soft small" }, "or drop it here, or paste it"),
    ),
    h(
      "div",
      { class: "drop-picks" },
      h("p", { class: "soft small" }, "Or take one that nobody owns:"),
      sampled,
      picks,
      more,
    ),
  );
  acceptDrops(element, take);
  return { element, take, refresh };
}

/** The picture that was pasted; null for none. */
export const pastedFile = (event) =>
  [...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? null;

/** What is wrong with a file before it is sent; null for nothing. */
function problemOf(file, limit) {
  if (file.size > limit) {
    return new ApiError({
      kind: "too-large",
      title: "This file is too large",
      detail: `${file.name} has ${(file.size / MEBI).toFixed(1)} MiB; ${limit / MEBI} MiB is the limit.`,
      hint: "Choose a smaller file, or save the picture with fewer pixels.",
    });
  }
  if (!TYPES.includes(file.type)) {
    return new ApiError({
      kind: "invalid",
      title: "This is no picture that the model can read",
      detail: `${file.name} is ${file.type || "of an unknown kind"}.`,
      hint: "Choose a JPEG, PNG or WebP file.",
    });
  }
  return null;
}

function pickOf(tile, number, take) {
  const name = `Sampled face ${number + 1}`;
  const button = h(
    "button",
    { type: "button", class: "pick", "aria-label": name, title: name },
    tile,
  );
  button.addEventListener("click", async () => take(await toFile(tile, `${name}.png`)));
  return button;
}

function drawnPick({ file, name }, take) {
  const url = `/static/drawn/${file}`;
  const picture = h("img", { src: url, alt: "", width: 56, height: 56 });
  const label = name[0].toUpperCase() + name.slice(1);
  const button = h(
    "button",
    { type: "button", class: "pick", "aria-label": label, title: label },
    picture,
  );
  button.addEventListener("click", async () => {
    const blob = await (await fetch(url)).blob();
    take(new File([blob], file, { type: "image/jpeg" }));
  });
  return button;
}

function acceptDrops(element, take) {
  const over = (on) => (event) => {
    event.preventDefault();
    element.classList.toggle("over", on);
  };
  element.addEventListener("dragover", over(true));
  element.addEventListener("dragleave", over(false));
  element.addEventListener("drop", (event) => {
    over(false)(event);
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}
