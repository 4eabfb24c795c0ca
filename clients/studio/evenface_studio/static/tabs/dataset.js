// The tab Dataset: choose a place, wait for it where it must be encoded, look at its faces.

import { isAbort, postJson } from "../lib/api.js";
import { arrive, h } from "../lib/dom.js";
import { showError, showLoading } from "../lib/states.js";
import { startEncoding } from "./dataset/encoding.js";
import { showPlaces } from "./dataset/places.js";
import { showSet } from "./dataset/view.js";

/** Fills the panel; see app.js for what the page calls and what `context` has. */
export function mount(panel, context) {
  let asked = null;
  let at = null; // what is shown: "places", "encoding" or "set"

  /** Ends what is under way here, and lends a signal for what comes. */
  function renew() {
    asked?.abort();
    asked = new AbortController();
    return asked.signal;
  }

  function places({ arrived = true } = {}) {
    at = "places";
    showPlaces(panel, { signal: renew(), open, arrived });
  }

  async function open(path) {
    const signal = renew();
    at = "set";
    showLoading(panel, "Opening…");
    try {
      const found = await postJson("/api/dataset/open", { path }, { signal });
      if (signal.aborted) return;
      if (found.kind === "folder") encode(found);
      else set(found.key, path);
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      showError(panel, error, () => open(path));
      panel.querySelector(".state-actions")?.append(another());
      arrive(panel.querySelector(".state-title"));
    }
  }

  function encode(folder) {
    at = "encoding";
    startEncoding(panel, { signal: renew(), folder, context, done: set, back: places });
  }

  function set(key, path = null) {
    at = "set";
    const again = path === null ? places : () => open(path);
    showSet(panel, { signal: renew(), key, context, back: places, again });
  }

  function another() {
    return h("button", { type: "button", class: "button", onclick: () => places() }, "Choose another");
  }

  return {
    show() {
      if (at === null) places({ arrived: false });
    },
    // What is open stays open: it is of the model that scored it.
    hide() {},
    modelChanged() {
      if (at === "places") places({ arrived: false });
    },
  };
}
