// Plays a walk: there and back again, by itself or by hand.

import { h, icon, refill, uniqueId } from "./dom.js";
import { blank, paint } from "./sheets.js";

const FRAME_MS = 80;

/** A picture, a button and a slider for so many frames. It does not start by itself. */
export function walkPlayer(count) {
  const canvas = blank(1, 1);
  const button = h("button", { type: "button", class: "button primary" });
  const id = uniqueId("frame");
  const input = h("input", { type: "range", id, min: 0, max: count - 1, step: 1, value: 0 });
  let frames = [];
  let timer = null;
  let direction = 1;

  function at(place) {
    input.value = place;
    if (frames[place]) paint(canvas, frames[place]);
    input.setAttribute("aria-valuetext", `step ${place + 1} of ${count}`);
  }

  function label() {
    refill(button, icon(timer === null ? "play" : "pause"), timer === null ? "Play" : "Pause");
  }

  function step() {
    const next = input.valueAsNumber + direction;
    if (next < 0 || next >= count) direction = -direction;
    at(input.valueAsNumber + direction);
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    label();
  }

  button.addEventListener("click", () => {
    if (timer !== null) {
      pause();
      return;
    }
    timer = setInterval(step, FRAME_MS);
    label();
  });
  input.addEventListener("input", () => {
    pause();
    at(input.valueAsNumber);
  });
  label();
  const picture = h(
    "div",
    { class: "frame", role: "img", "aria-label": "The face on the way" },
    canvas,
  );
  return {
    element: h(
      "div",
      { class: "player" },
      picture,
      h(
        "div",
        { class: "player-tools" },
        button,
        h("label", { for: id, class: "sr-only" }, "Step of the walk"),
        input,
      ),
    ),
    pause,
    show(given) {
      frames = given;
      at(input.valueAsNumber);
    },
  };
}
