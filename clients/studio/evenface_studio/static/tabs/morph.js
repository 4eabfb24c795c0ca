// The tab Morph.

import { showEmpty } from "../lib/states.js";

/** Fills the panel; see app.js for what the page calls and what `context` has. */
export function mount(panel, context) {
  const draw = () => showEmpty(panel, { title: "Morph", text: context.model.name });
  return { show: draw, hide() {}, modelChanged: draw };
}
