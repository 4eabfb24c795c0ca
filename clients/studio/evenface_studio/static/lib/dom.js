// Small helpers to build elements. Text is always set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element: `h("button", { class: "primary", onclick: go, disabled: true }, "Go")`.
 * Properties that start with "on" are listeners; null, undefined and false are left out.
 */
export function h(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** As `h`, for SVG. */
export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

/** An icon of icons.svg; without a meaning of its own, beside a text or a label. */
export function icon(name, size = 20) {
  const use = svg("use", { href: `/static/icons.svg#${name}` });
  const plain = { "aria-hidden": "true", focusable: "false", class: "icon" };
  return svg("svg", { viewBox: "0 0 24 24", width: size, height: size, ...plain }, use);
}

/** Puts children in the place of those that an element has. */
export function refill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Scrolls to what is new where it would be out of sight. */
export function reveal(element) {
  const { top } = element.getBoundingClientRect();
  if (top < 0 || top > 0.6 * innerHeight) element.scrollIntoView({ block: "start" });
}

const REACHED = "a[href], button:enabled, input:enabled, select:enabled, summary, [tabindex='0']";
const reached = (place) => [...place.querySelectorAll(REACHED)];
const nameOf = (element) => element.getAttribute("aria-label") ?? element.textContent;

/**
 * Draws anew what may have the focus, and gives it to what has its name or its place then; to
 * `instead()` where nothing is left.
 */
export function holdingFocus(place, draw, instead = () => null) {
  const had = place.contains(document.activeElement) ? document.activeElement : null;
  const at = reached(place).indexOf(had);
  draw();
  if (at < 0 || document.activeElement === had) return;
  const now = reached(place);
  const next = now.find((one) => nameOf(one) === nameOf(had)) ?? now[Math.min(at, now.length - 1)];
  (next ?? instead())?.focus({ preventScroll: true });
}

/** Gives the focus to a heading where what had it has gone: a keyboard goes on from there. */
export function arrive(heading) {
  if (document.activeElement !== document.body) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

/** A part of the page that scrolls by itself where it must; a keyboard reaches it then. */
export function scrolling(label, ...children) {
  const region = h("div", { class: "scroll", role: "region", "aria-label": label }, ...children);
  const fit = () => {
    const { scrollWidth, clientWidth, scrollHeight, clientHeight } = region;
    const over = scrollWidth > clientWidth;
    region.classList.toggle("over", over); // else it would cut off the tips in it
    if (over || scrollHeight > clientHeight) region.tabIndex = 0;
    else region.removeAttribute("tabindex");
  };
  new ResizeObserver(fit).observe(region);
  return region;
}

let lastId = 0;

/** An id that no other element has. */
export const uniqueId = (stem) => `${stem}-${++lastId}`;

const EDGE = 8; // pixels between a tip and the window's edge

/** A "?" that explains a term: shown on hover, focus and click, closed by Escape. */
export function explain(term, text) {
  const id = uniqueId("tip");
  const bubble = h("span", { role: "tooltip", id, class: "tip-bubble" }, text);
  const button = h("button", { type: "button", class: "tip-button", "aria-describedby": id }, "?");
  button.setAttribute("aria-label", `What is: ${term}`);
  const whole = h("span", { class: "tip" }, button, bubble);
  const close = () => whole.classList.remove("open");
  const fit = () => {
    bubble.style.marginInlineStart = "0";
    const { left, right } = bubble.getBoundingClientRect();
    const beyond = Math.max(right - document.documentElement.clientWidth + EDGE, 0);
    bubble.style.marginInlineStart = `${left < EDGE ? EDGE - left : -beyond}px`;
  };
  button.addEventListener("click", () => {
    whole.classList.toggle("open");
    fit();
  });
  button.addEventListener("blur", close);
  button.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    close();
    whole.classList.add("dismissed");
  });
  for (const back of ["focus", "pointerenter"]) {
    button.addEventListener(back, () => {
      whole.classList.remove("dismissed");
      fit();
    });
  }
  return whole;
}

function fill(element, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}
