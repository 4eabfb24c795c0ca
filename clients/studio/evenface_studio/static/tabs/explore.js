// The tab Explore: one face, what the model knows of it, and sliders that change it.

import { getJson, postFile, postForBlob } from "../lib/api.js";
import { faceChooser, pastedFile } from "../lib/chooser.js";
import { attributeSliders, colorBox, TIPS } from "../lib/controls.js";
import { dimensionList } from "../lib/dimensions.js";
import { h, icon, refill, reveal } from "../lib/dom.js";
import { judgement, rareness } from "../lib/judgement.js";
import { latest } from "../lib/latest.js";
import { blank, keep, paint } from "../lib/sheets.js";
import { showEmpty, showError, showLoading } from "../lib/states.js";

/** Fills the panel; see app.js for what the page calls and what `context` has. */
export function mount(panel, context) {
  const chooser = faceChooser({ context, onfile: explore, onerror: complain });
  const result = h("div", { class: "explore-result" });
  let file = null;
  let original = null;
  let face = null;

  const asking = latest(
    (wished, signal) => known(wished, context, signal),
    (found) => {
      face = faceView(context, found, original);
      refill(result, face.element);
      reveal(result);
      result.setAttribute("aria-busy", "false");
      context.announce(`${file.name} is there. ${found.said}`);
    },
    complain,
  );

  function explore(chosen) {
    file = chosen;
    if (original) URL.revokeObjectURL(original);
    original = URL.createObjectURL(file);
    face?.leave();
    face = null;
    showLoading(result, "Looking at the face…");
    asking.ask(file, { urgent: true });
  }

  function complain(error) {
    asking.drop();
    showError(result, error, error.mayPass && file ? () => explore(file) : null);
    reveal(result);
  }

  function begin() {
    if (file) explore(file);
    else showEmpty(result, { title: "No face yet", text: abilities(context) });
    chooser.refresh();
  }

  const paste = (event) => {
    const pasted = pastedFile(event);
    if (pasted) chooser.take(pasted);
  };

  refill(
    panel,
    h("div", { class: "explore" }, h("div", { class: "card" }, chooser.element), result),
  );
  begin();
  return {
    show() {
      document.addEventListener("paste", paste);
      const handed = context.handOver();
      if (handed) explore(handed);
    },
    hide() {
      document.removeEventListener("paste", paste);
    },
    modelChanged: begin,
  };
}

function abilities(context) {
  const parts = [];
  if (context.can("classify")) parts.push("how sure the model is that it is a face");
  if (context.can("encode")) parts.push("how rare it is among the training faces, and why");
  if (context.can("decode")) parts.push("how the model sees it, with sliders to change it");
  return `Choose one to see ${parts.join("; ")}.`;
}

/** All that the page shows of a file. */
async function known(file, context, signal) {
  const query = context.query();
  const options = { query, signal };
  const [found, space, details] = await Promise.all([
    postFile("/api/explore/face", file, options),
    context.model.latent_size > 0 ? getJson("/api/explore/space", options) : null,
    context.details(),
  ]);
  const said = found.face ? judgement(found.face).said : "";
  return { ...found, space, details, said };
}

function faceView(context, found, original) {
  const drawable = found.latents !== null && context.can("decode");
  const judged = found.face && judgement(found.face).element;
  const rare = found.rarity && rareness(found.rarity, found.latents.length).element;
  const pictures = h(
    "div",
    { class: "portraits" },
    figure(h("img", { src: original, alt: "" }), "Your picture"),
  );
  const summary = h("div", { class: "card stack" }, judged, rare);
  const side = h(
    "div",
    { class: "explore-side" },
    h("div", { class: "card explore-pair" }, pictures),
    summary,
  );
  if (!judged) summary.append(note("This model does not tell face from non-face."));
  if (found.latents && !rare) {
    summary.append(note("This model has no training histogram, so nobody knows how rare it is."));
  }
  if (!drawable) {
    summary.append(note(lacking(context)));
    const dimensions = found.latents && dimensionList({ ...found, onmove: null });
    return { element: h("div", { class: "explore-face" }, side, dimensions?.element), leave() {} };
  }
  const live = liveFace(context, found);
  pictures.append(live.figure);
  summary.append(live.buttons);
  return { element: h("div", { class: "explore-face" }, side, live.element), leave: live.leave };
}

const note = (text) => h("p", { class: "note" }, text);

function lacking(context) {
  const able = context.able("decode");
  const others = able.map((model) => `${model.name} ${model.version}`).join(", ");
  const where = able.length > 0 ? ` Models that have one here: ${others}.` : "";
  return `This model has no decoder, so it draws no reconstruction.${where}`;
}

/** The reconstruction, and sliders that change it. */
function liveFace(context, { latents, space, rarity, details }) {
  const query = context.query();
  const canvas = blank(1, 1);
  const caption = h("span", {}, "Reconstruction");
  const trouble = h("div", { class: "live-trouble" });
  const wish = { latents: [...latents], attributes: {}, color: false };

  const drawing = latest(
    async (wished, signal) => {
      const body = { ...wished, latents: [wished.latents] };
      return createImageBitmap(await postForBlob("/api/explore/decode", body, { query, signal }));
    },
    (picture) => {
      paint(canvas, picture);
      picture.close();
      trouble.replaceChildren();
    },
    (error) => showError(trouble, error, () => draw(true)),
  );

  function draw(urgent) {
    const changed =
      Object.keys(wish.attributes).length > 0 || wish.latents.some((z, d) => z !== latents[d]);
    caption.textContent = changed ? "Changed" : "Reconstruction";
    drawing.ask({ ...wish, latents: [...wish.latents] }, { urgent });
  }

  const dimensions = dimensionList({
    latents,
    space,
    rarity,
    onmove(dimension, value, urgent) {
      wish.latents[dimension] = value;
      draw(urgent);
    },
  });
  const attributes = attributeSliders(
    context.model,
    details.attribute_quality,
    (values, urgent) => {
      wish.attributes = values;
      draw(urgent);
    },
  );
  const color = colorBox(context, (on) => {
    wish.color = on;
    draw(true);
  });
  const reset = h("button", { type: "button", class: "button" }, icon("reset"), "Undo changes");
  reset.addEventListener("click", () => {
    wish.latents = [...latents];
    wish.attributes = {};
    dimensions.reset();
    attributes.reset();
    draw(true);
    context.announce("The face is as it was.");
  });
  const download = h("button", { type: "button", class: "button" }, icon("download"), "Download");
  download.addEventListener("click", () => {
    canvas.toBlob((blob) => keep(blob, `${query.model}-face.png`));
  });
  draw(true);

  const live = h(
    "div",
    { class: "frame", role: "img", "aria-label": "The face as the model draws it" },
    canvas,
  );
  return {
    figure: figure(live, caption),
    buttons: h(
      "div",
      { class: "stack" },
      trouble,
      h("div", { class: "row" }, reset, download, color),
    ),
    leave: () => drawing.drop(),
    element: h(
      "div",
      { class: "stack" },
      attributes.count > 0 &&
        h(
          "section",
          { class: "card stack" },
          h("h2", {}, "Attributes", TIPS.attributes()),
          attributes.element,
        ),
      dimensions.element,
    ),
  };
}

const figure = (picture, caption) =>
  h("figure", { class: "portrait" }, picture, h("figcaption", { class: "soft small" }, caption));
