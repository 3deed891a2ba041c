// Before the first paint, so that no page flashes in the other theme. parts/theme.ts does the rest.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("omnitide.theme");
  } catch {
    // Storage can be forbidden: then the system's choice holds.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
