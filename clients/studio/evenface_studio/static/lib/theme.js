// Light, dark, or as the system has it.

const THEMES = ["auto", "light", "dark"];
const NAMES = { auto: "as the system has it", light: "light", dark: "dark" };

/** Makes a button go round the themes; its icon shows the one that is on. */
export function startTheme(button, use) {
  const root = document.documentElement;
  show(root.dataset.theme ?? "auto");
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "auto") + 1) % THEMES.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    localStorage.setItem("evenface-theme", next);
    show(next);
  });

  function show(theme) {
    use.setAttribute("href", `/static/icons.svg#${theme}`);
    button.setAttribute("aria-label", `Theme: ${NAMES[theme]}`);
    button.title = button.getAttribute("aria-label");
  }
}
