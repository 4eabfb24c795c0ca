// Runs before the page is drawn, so that a chosen theme does not flash.
const chosenTheme = localStorage.getItem("evenface-theme");
if (chosenTheme === "light" || chosenTheme === "dark") {
  document.documentElement.dataset.theme = chosenTheme;
}
