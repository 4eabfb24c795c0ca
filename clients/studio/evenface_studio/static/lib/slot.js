// A place for one face of a walk: what it is, its latent, and how to take another.

import { getBlob, postFile } from "./api.js";
import { faceChooser } from "./chooser.js";
import { h, refill } from "./dom.js";
import { latest } from "./latest.js";
import { blank, cut, paint, toFile } from "./sheets.js";
import { showError } from "./states.js";

/**
 * A face, at first one that the model samples with `seed`; `onface()` when its latent is there.
 */
export function faceSlot({ context, title, seed, onface }) {
  const canvas = blank(1, 1);
  const name = h("p", { class: "soft small" });
  const trouble = h("div", {});
  const chooser = faceChooser({ context, onfile: take, onerror: complain, drawn: false, title });
  const change = h("summary", { class: "button", "aria-label": `Change: ${title}` }, "Change");
  const changing = h("details", { class: "slot-change" }, change, chooser.element);
  changing.addEventListener("toggle", () => changing.open && chooser.refresh());
  changing.addEventListener("keydown", (event) => event.key === "Escape" && close());
  const slot = { element: null, latent: null, take, leave: () => asking.drop() };

  const asking = latest(
    async (wished, signal) => {
      const file = wished ?? (await sampled(signal));
      const options = { query: context.query(), signal };
      const [found, picture] = await Promise.all([
        postFile("/api/explore/face", file, options),
        createImageBitmap(file),
      ]);
      return { file, picture, latent: found.latents };
    },
    ({ file, picture, latent }) => {
      square(canvas, picture);
      name.textContent = file.name;
      refill(trouble);
      if (wished !== null) context.announce(`${title}: ${file.name} is there.`);
      close();
      slot.latent = latent;
      onface();
    },
    complain,
  );
  let wished = null;

  function close() {
    if (changing.open && changing.contains(document.activeElement)) change.focus();
    changing.open = false;
  }

  function take(file) {
    wished = file;
    asking.ask(wished, { urgent: true });
  }

  function complain(error) {
    showError(trouble, error, error.mayPass ? () => take(wished) : null);
  }

  async function sampled(signal) {
    const query = { ...context.query(), count: 1, seed };
    const [tile] = await cut(await getBlob("/api/sample/sheet", { query, signal }), 1);
    return toFile(tile, `sampled, seed ${seed}`);
  }

  const picture = h("div", { class: "slot-picture", role: "img", "aria-label": title }, canvas);
  const text = h("div", { class: "slot-text" }, h("h3", {}, title), name);
  slot.element = h("div", { class: "slot" }, picture, text, changing, trouble);
  asking.ask(null);
  return slot;
}

/** The middle of a picture, as the service crops it. */
function square(canvas, picture) {
  const side = Math.min(picture.width, picture.height);
  const shown = blank(side, side);
  const [left, top] = [(picture.width - side) / 2, (picture.height - side) / 2];
  shown.getContext("2d").drawImage(picture, left, top, side, side, 0, 0, side, side);
  paint(canvas, shown);
  picture.close();
}
