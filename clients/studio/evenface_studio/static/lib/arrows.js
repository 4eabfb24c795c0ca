// Many buttons in rows: one stop of the Tab key, and arrow keys from there.

/**
 * Makes arrow keys, Home and End go from button to button of a place. Returns `renew()`, to be
 * called whenever there are other buttons.
 */
export function walkByArrows(place) {
  const all = () => [...place.querySelectorAll("button")];
  const stopAt = (target) => {
    for (const one of all()) one.tabIndex = one === target ? 0 : -1;
  };
  place.addEventListener("focusin", ({ target }) => all().includes(target) && stopAt(target));
  place.addEventListener("keydown", (event) => {
    const buttons = all();
    const at = buttons.indexOf(event.target);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = goal(event.key, at, buttons);
    if (to === undefined) return;
    event.preventDefault();
    buttons[to]?.focus();
  });
  return { renew: () => stopAt(place.contains(document.activeElement) ? document.activeElement : all()[0]) };
}

function goal(key, at, buttons) {
  const { top } = buttons[0].getBoundingClientRect();
  const columns = buttons.filter((one) => one.getBoundingClientRect().top === top).length;
  return {
    ArrowRight: at + 1,
    ArrowLeft: at - 1,
    ArrowDown: at + columns,
    ArrowUp: at - columns,
    Home: 0,
    End: buttons.length - 1,
  }[key];
}
