// The list of tabs: arrow keys, Home and End as the ARIA pattern has them, and the address's hash.

/**
 * Starts the tabs; `open(name)` is called when one is shown. Returns {open(): the current one again,
 * go(name): to another}.
 */
export function startTabs(names, open) {
  const tabs = names.map((name) => document.getElementById(`tab-${name}`));
  const ofHash = () => {
    const place = names.indexOf(location.hash.slice(1));
    return place < 0 ? 0 : place;
  };

  function select(place) {
    tabs.forEach((tab, index) => {
      const on = index === place;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      document.getElementById(names[index]).hidden = !on;
    });
    document.title = `${tabs[place].textContent} · evenface studio`;
    showInList(tabs[place]);
    open(names[place]);
  }

  // Not by `location.hash`, which would scroll to the panel and take the focus with it.
  function go(place) {
    if (ofHash() !== place || location.hash === "") history.pushState(null, "", `#${names[place]}`);
    select(place);
  }

  tabs.forEach((tab, place) => {
    tab.addEventListener("click", () => go(place));
    tab.addEventListener("keydown", (event) => {
      const next = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: -1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      const target = (next + tabs.length) % tabs.length;
      go(target);
      tabs[target].focus();
    });
  });
  addEventListener("hashchange", () => {
    // "#main" is the way past the header, no tab.
    if (location.hash === "" || names.includes(location.hash.slice(1))) select(ofHash());
  });
  select(ofHash());
  return {
    open: () => open(names[tabs.findIndex((tab) => tab.tabIndex === 0)]),
    go: (name) => go(names.indexOf(name)),
  };
}

// Not by `scrollIntoView`, from which Chromium 150 goes on at the first Tab: past the way to main.
function showInList(tab) {
  const list = tab.parentElement;
  const { left, right } = tab.getBoundingClientRect();
  const seen = list.getBoundingClientRect();
  list.scrollLeft += Math.min(0, left - seen.left) + Math.max(0, right - seen.right);
}
