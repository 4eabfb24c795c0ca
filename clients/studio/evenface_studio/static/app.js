// The page: tabs, the choice of a model, the theme, and what to do while the service is away.

import { ApiError, getJson } from "./lib/api.js";
import { h } from "./lib/dom.js";
import { showAway, showError } from "./lib/states.js";
import { startTabs } from "./lib/tabs.js";
import { startTheme } from "./lib/theme.js";

const LOOK_AGAIN_MS = 2000;
const NAMES = ["explore", "sample", "morph", "dataset", "fairness", "live"];

const banner = document.getElementById("banner");
const picker = document.getElementById("model");
const facts = document.getElementById("model-facts");
const announcer = document.getElementById("announcer");

const state = {
  served: null,
  model: null,
  lost: null,
  looking: null,
  handed: null,
  details: new Map(),
};
const mounted = new Map();
let shown = null;

const KINDS = { cnn: "classifier (CNN)", vae: "VAE", dbvae: "DB-VAE" };

const NO_MODEL = new ApiError({
  kind: "not-found",
  title: "The service has no model",
  detail: "It answers, but serves none.",
  hint: "Put a bundle into its model directory (evenface-export makes one), then try again.",
});

/** What tabs see of the page. */
const context = {
  /** The chosen model: name, version, kind, image_size, channels, latent_size, functions, … . */
  get model() {
    return state.model;
  },
  /** All models that are served. */
  get models() {
    return state.served?.models ?? [];
  },
  /** {server, max_upload, max_items, models} as /api/models has them. */
  get served() {
    return state.served;
  },
  /** The chosen model as the query of a request. */
  query: () => ({ model: state.model?.name, version: state.model?.version }),
  /** Whether the chosen model has a function: "encode", "decode", "classify", "colorize". */
  can: (name) => state.model?.functions.includes(name) ?? false,
  /** The models that have a function. */
  able: (name) => context.models.filter(({ functions }) => functions.includes(name)),
  /** A model in full, asked for once; the chosen one where none is given. */
  details: (model = state.model) => {
    const key = `${model.name}/${model.version}`;
    if (!state.details.has(key)) {
      const query = { model: model.name, version: model.version };
      const asked = getJson("/api/model", { query });
      asked.catch(() => state.details.delete(key));
      state.details.set(key, asked);
    }
    return state.details.get(key);
  },
  /** Shows a file in the tab Explore. */
  explore(file) {
    state.handed = file;
    tabs.go("explore");
    scrollTo(0, 0);
  },
  /** The file that another tab wants to be explored, once; null for none. */
  handOver() {
    const file = state.handed;
    state.handed = null;
    return file;
  },
  /** Chooses a model, as the picker does. */
  choose: (model) => choose(model),
  /** Says something to those who do not see the page. */
  announce: (text) => {
    announcer.textContent = text;
  },
};

async function load() {
  try {
    take(await getJson("/api/models"));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (!error.passes) showError(unhide(banner), error, load);
  }
}

function take(served) {
  const before = state.model;
  state.served = served;
  state.details.clear();
  banner.hidden = true;
  picker.disabled = served.models.length === 0;
  picker.replaceChildren(...served.models.map(option));
  if (served.models.length === 0) {
    showError(unhide(banner), NO_MODEL, load);
    return;
  }
  choose(sameAs(before) ?? served.models.find((model) => model.is_default) ?? served.models[0]);
}

function sameAs(model) {
  return state.served.models.find((m) => m.name === model?.name && m.version === model.version);
}

function option(model) {
  const mark = model.is_default ? " (default)" : "";
  return h("option", {}, `${model.name} · version ${model.version}${mark}`);
}

function choose(model) {
  const same = state.model && JSON.stringify(state.model) === JSON.stringify(model);
  state.model = model;
  picker.selectedIndex = state.served.models.indexOf(model);
  facts.textContent = described(model);
  if (same) return;
  for (const tab of mounted.values()) tab.modelChanged(model);
  if (shown === null) tabs.open();
}

function described({ kind, image_size: size, channels, latent_size: latents }) {
  const colour = channels === 1 ? "grey" : "colour";
  const parts = [KINDS[kind] ?? kind, `${size} × ${size} ${colour}`];
  if (latents) parts.push(`${latents} latent dimensions`);
  return [...parts, state.served.server].join("  ·  ");
}

/** Shows a tab; its module is loaded when it is wanted for the first time. */
async function open(name) {
  if (state.model === null) return;
  mounted.get(shown)?.hide();
  shown = name;
  if (!mounted.has(name)) {
    const { mount } = await import(`./tabs/${name}.js`);
    // Unless it has been mounted, or left, while its module was loading.
    if (!mounted.has(name)) mounted.set(name, mount(document.getElementById(name), context));
  }
  if (shown === name) mounted.get(name).show();
}

/** The service, or the studio, is away: say so, and look for it until it is back. */
function lose(error) {
  const said = state.lost?.title;
  state.lost = error;
  if (said === error.title) return;
  showAway(unhide(banner), error, look);
  lookLater();
}

function lookLater() {
  clearTimeout(state.looking);
  state.looking = setTimeout(look, LOOK_AGAIN_MS);
}

async function look() {
  try {
    const served = await getJson("/api/models");
    if (!state.lost) return;
    state.lost = null;
    take(served);
    context.announce("The service is back.");
    document.dispatchEvent(new CustomEvent("studio:back"));
  } catch {
    lookLater();
  }
}

function unhide(element) {
  element.hidden = false;
  return element;
}

startTheme(document.getElementById("theme"), document.getElementById("theme-icon"));
picker.addEventListener("change", () => choose(state.served.models[picker.selectedIndex]));
document.addEventListener("studio:lost", ({ detail }) => lose(detail));
const tabs = startTabs(NAMES, open);
await load();
