// What a place shows while it has nothing to show: empty, loading, or an error that says what to do.

import { isAbort } from "./api.js";
import { h, icon, refill } from "./dom.js";

/** Shows that there is nothing yet, and what to do. `actions`: buttons or links. */
export function showEmpty(place, { title, text, actions = [], name = "face" }) {
  place.setAttribute("aria-busy", "false");
  return refill(
    place,
    h(
      "div",
      { class: "state" },
      icon(name, 32),
      h("p", { class: "state-title" }, title),
      text && h("p", { class: "state-text" }, text),
      actions.length > 0 && h("div", { class: "state-actions" }, ...actions),
    ),
  );
}

/** Shows that something is under way; only after a moment, so that quick answers do not flicker. */
export function showLoading(place, text = "Loading…") {
  place.setAttribute("aria-busy", "true");
  return refill(
    place,
    h(
      "div",
      { class: "state state-loading" },
      h("span", { class: "spinner", "aria-hidden": "true" }),
      h("p", { class: "state-title" }, text),
    ),
  );
}

/**
 * Shows an error: what happened, what to do, and a button to try again where `retry` is given.
 * Where the service has gone, `retry` runs by itself once it is back.
 */
export function showError(place, error, retry = null) {
  if (isAbort(error)) return place;
  place.setAttribute("aria-busy", "false");
  if (retry && error.passes) return showWaiting(place, retry);
  return refill(place, problem(error, retry));
}

function problem(error, retry) {
  return h(
    "div",
    { class: "state state-error", role: "alert" },
    icon("warning", 32),
    h("p", { class: "state-title" }, error.title ?? "Something went wrong"),
    h("p", { class: "state-text" }, error.detail ?? String(error.message ?? error)),
    error.hint && h("p", { class: "state-hint" }, error.hint),
    retry &&
      h(
        "div",
        { class: "state-actions" },
        h("button", { type: "button", class: "button", onclick: () => retry() }, "Try again"),
      ),
  );
}

/** The top of the page says that the service is away, and looks for it: here we wait for that. */
function showWaiting(place, retry) {
  const box = h(
    "div",
    { class: "state" },
    h("p", { class: "state-title" }, "Waiting for the service"),
    h("p", { class: "state-text" }, "This goes on by itself once it is back."),
  );
  onceBack(box, retry);
  return refill(place, box);
}

/** Shows at the top of the page that the service is away. */
export function showAway(place, error, look) {
  place.setAttribute("aria-busy", "false");
  return refill(place, problem(error, look));
}

/** Runs a function once the service is back, if its error is still on the page then. */
function onceBack(box, retry) {
  const again = () => box.isConnected && retry();
  document.addEventListener("studio:back", again, { once: true });
}
