// The tab Dataset.

import { showEmpty } from "../lib/states.js";

/** Fills the panel; see app.js for what the page calls and what `context` has. */
export function mount(panel, context) {
  const draw = () => showEmpty(panel, { title: "Dataset", text: context.model.name });
  return { show: draw, hide() {}, modelChanged: draw };
}
