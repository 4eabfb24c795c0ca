// A folder is encoded and weighted through the service: choices, progress, cancel.

import { getJson, isAbort, postJson } from "../../lib/api.js";
import { arrive, explain, h, refill } from "../../lib/dom.js";
import { count, some } from "../../lib/format.js";
import { showError } from "../../lib/states.js";

const EVERY_MS = 400;
const RULES = {
  lab: "lab: what is rare in one dimension of the latents",
  paper: "paper: what is rare in all dimensions together",
  hard: "hard: what the classifier finds hard",
};

/** Fills the panel with the choices; `done(key)` is called with the data set, `back()` to leave. */
export function startEncoding(panel, what) {
  const { folder, context } = what;
  panel.setAttribute("aria-busy", "false");
  const models = context.able("encode");
  if (models.length === 0) {
    showError(panel, CANNOT, null);
    return;
  }
  const classifies = (model) => model.functions.includes("classify");
  const model = h("select", { id: "dataset-model" }, ...models.map((one) => h("option", {}, `${one.name} · version ${one.version}`)));
  model.selectedIndex = Math.max(0, models.indexOf(context.model));
  const rule = h("select", { id: "dataset-rule" });
  const note = h("p", { class: "soft small" });
  const offer = () => {
    const kept = rule.value;
    const able = classifies(models[model.selectedIndex]);
    const said = able ? "They are encoded and classified" : "This model does not tell face from non-face, so they are encoded alone:";
    note.textContent = `${folder.path} on the studio's machine. ${said} by the service, then weighted; nothing is written.`;
    const known = Object.keys(RULES).filter((name) => name !== "hard" || able);
    refill(rule, known.map((name) => h("option", { value: name }, RULES[name])));
    if (known.includes(kept)) rule.value = kept;
  };
  model.addEventListener("change", offer);
  offer();
  const least = h("input", { type: "number", id: "dataset-least", min: "0", max: "100", step: "1", value: "0" });
  const begin = (event) => {
    event.preventDefault();
    const chosen = models[model.selectedIndex];
    run(panel, what, { path: folder.path, model: chosen.name, version: chosen.version, rule: rule.value, least: Number(least.value) / 100 });
  };
  const title = h("h2", {}, `Encode ${some(folder.images, "image")}`);
  refill(
    panel,
    h(
      "form",
      { class: "card stack narrow", onsubmit: begin },
      title,
      note,
      !models.includes(context.model) && h("p", { class: "note" }, `${context.model.name} ${context.model.version}, which is chosen above, gives no latents. These models do:`),
      field("dataset-model", "Model", null, model),
      field("dataset-rule", "Rule of the weights", "docs/debiasing.md says what the rules are worth.", rule),
      field("dataset-least", "Keep at least this effective sample size, % of the images", "Weights are evened out until the effective sample size, (Σw)² / Σw², is at least this. 0 leaves them as the rule gives them.", least),
      h("div", { class: "row" }, h("button", { type: "submit", class: "button primary" }, "Encode"), h("button", { type: "button", class: "button", onclick: () => what.back() }, "Choose another")),
    ),
  );
  arrive(title);
}

const CANNOT = {
  title: "No model can encode",
  detail: "None of the models that the service has gives latents.",
  hint: "Serve a VAE or a DB-VAE beside them.",
};

const field = (id, label, help, control) =>
  h("div", { class: "field" }, h("span", { class: "row" }, h("label", { class: "label", for: id }, label), help && explain(label, help)), control);

async function run(panel, what, task) {
  const { signal, done, back } = what;
  const again = () => startEncoding(panel, what);
  try {
    const { run: name } = await postJson("/api/dataset/runs", task, { signal });
    const bar = h("progress", { max: "1", "aria-label": "Encoded" });
    const words = h("p", { class: "num" });
    const cancel = h("button", { type: "button", class: "button" }, "Cancel");
    cancel.addEventListener("click", () => {
      cancel.disabled = true;
      postJson(`/api/dataset/runs/${name}/cancel`, {}, { signal }).catch(() => {});
    });
    refill(panel, h("section", { class: "card stack narrow" }, h("h2", {}, "Encoding"), bar, words, h("div", {}, cancel)));
    cancel.focus();
    const state = await watch(name, bar, words, signal);
    if (signal.aborted) return;
    if (state.state === "done") {
      what.context.announce(`${some(state.progress.images, "image")} encoded.`);
      done(state.key);
    } else if (state.state === "cancelled") again();
    else failed(panel, state.error, again, back);
  } catch (error) {
    if (!isAbort(error) && !signal.aborted) failed(panel, error, again, back);
  }
}

function failed(panel, error, again, back) {
  showError(panel, error, again);
  panel.querySelector(".state-actions")?.append(h("button", { type: "button", class: "button", onclick: () => back() }, "Choose another"));
}

async function watch(name, bar, words, signal) {
  for (;;) {
    const state = await getJson(`/api/dataset/runs/${name}`, { signal });
    tell(state.progress, bar, words);
    if (state.state !== "running") return state;
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

function tell({ images, encoded, classified, failed: broken, step }, bar, words) {
  if (step === "listing") words.textContent = "Listing the images…";
  else if (step === "weighting") words.textContent = "Weighting…";
  else {
    const parts = [`${count(encoded)} of ${some(images, "image")} encoded`];
    if (classified != null) parts.push(`${count(classified)} classified`);
    if (broken) parts.push(`${count(broken)} cannot be used`);
    words.textContent = `${parts.join(", ")}.`;
  }
  const whole = images * (classified == null ? 1 : 2);
  if (whole) bar.value = (encoded + (classified ?? 0)) / whole;
}
