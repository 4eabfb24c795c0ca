// The tab Morph: a walk between two faces, and every latent dimension of one.

import { postForBlob } from "../lib/api.js";
import { pastedFile } from "../lib/chooser.js";
import { choice, colorBox, TIPS } from "../lib/controls.js";
import { h, icon, refill } from "../lib/dom.js";
import { latest } from "../lib/latest.js";
import { walkPlayer } from "../lib/player.js";
import { cut, keep } from "../lib/sheets.js";
import { faceSlot } from "../lib/slot.js";
import { showEmpty, showError, showLoading } from "../lib/states.js";
import { traversal } from "../lib/traversal.js";
import { cannot } from "./sample.js";

const STEPS = 25;
const SHOWN = 9; // of them on the strip
const SEEDS = [1, 4];

/** Fills the panel; see app.js for what the page calls and what `context` has. */
export function mount(panel, context) {
  let view = null;

  function begin() {
    view?.leave();
    view = null;
    if (!context.can("decode")) showEmpty(panel, cannot(context));
    else if (!context.can("encode"))
      showEmpty(panel, {
        title: "This model encodes no faces",
        text: "A walk begins and ends at the latents of faces. Choose another model at the top of the page.",
      });
    else view = morphView(panel, context);
  }

  const paste = (event) => {
    const pasted = pastedFile(event);
    if (pasted) view?.take(pasted);
  };
  begin();
  return {
    show: () => document.addEventListener("paste", paste),
    hide() {
      document.removeEventListener("paste", paste);
      view?.pause();
    },
    modelChanged: begin,
  };
}

function morphView(panel, context) {
  const wish = { way: "spherical", color: false };
  const stage = h("div", { class: "walk" });
  const strip = h("ol", { class: "strip", "aria-label": `The walk in ${SHOWN} steps` });
  const trouble = h("div", {});
  const player = walkPlayer(STEPS);
  const slots = ["First face", "Second face"].map((title, place) =>
    faceSlot({ context, title, seed: SEEDS[place], onface: draw }),
  );
  const rows = traversal(context);

  const walking = latest(
    async (wished, signal) => {
      const query = context.query();
      return cut(await postForBlob("/api/morph/walk", wished, { query, signal }), STEPS);
    },
    (frames) => {
      refill(trouble);
      player.show(frames);
      refill(strip, ...stripOf(frames));
      if (stage.contains(strip)) return; // what has the focus there keeps it
      refill(stage, player.element, h("div", { class: "stack" }, way, color, strip, saves));
      stage.setAttribute("aria-busy", "false");
    },
    (error) => showError(trouble, error, draw),
  );

  const ends = () => ({ start: slots[0].latent, end: slots[1].latent });

  function draw() {
    rows.show(slots[0].latent, wish.color);
    if (slots.every((slot) => slot.latent))
      walking.ask({ ...ends(), ...wish, steps: STEPS }, { urgent: true });
  }

  async function save(path, steps, name) {
    try {
      const body = { ...ends(), ...wish, steps };
      keep(await postForBlob(path, body, { query: context.query() }), name);
    } catch (error) {
      showError(trouble, error);
    }
  }

  const saving = (text, path, steps, name) =>
    h(
      "button",
      { type: "button", class: "button", onclick: () => save(path, steps, name) },
      icon("download"),
      text,
    );

  const way = choice({
    legend: "Way",
    tip: TIPS.way(),
    value: wish.way,
    options: [
      { value: "spherical", text: "around the average face" },
      { value: "linear", text: "straight" },
    ],
    onchoose(value) {
      wish.way = value;
      draw();
    },
  });
  const color = colorBox(context, (on) => {
    wish.color = on;
    draw();
  });
  const saves = h(
    "div",
    { class: "row" },
    saving("Strip (PNG)", "/api/morph/strip", SHOWN, "morph.png"),
    saving("Animation (GIF)", "/api/morph/animation", STEPS, "morph.gif"),
  );
  showLoading(stage, "Walking from face to face…");
  refill(
    panel,
    h(
      "div",
      { class: "stack morph" },
      h(
        "section",
        { class: "card stack" },
        h("h2", {}, "From face to face"),
        h("div", { class: "slots" }, ...slots.map((slot) => slot.element)),
        trouble,
        stage,
      ),
      rows.element,
    ),
  );
  return {
    take(file) {
      const place = slots[1].element.contains(document.activeElement) ? 1 : 0;
      slots[place].take(file);
    },
    pause: player.pause,
    leave() {
      walking.drop();
      player.pause();
      rows.leave();
      for (const slot of slots) slot.leave();
    },
  };
}

function stripOf(frames) {
  const every = (STEPS - 1) / (SHOWN - 1);
  const shown = frames.filter((_, place) => place % every === 0);
  return shown.map((frame) => {
    const copy = frame.cloneNode();
    copy.getContext("2d").drawImage(frame, 0, 0);
    return h("li", {}, copy);
  });
}
