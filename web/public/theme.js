// Before the first paint, so that no page flashes in the other look. parts/theme.ts and parts/density.ts do the rest.
(() => {
  let chosen = null;
  let dense = null;
  try {
    chosen = localStorage.getItem("omnitide.theme");
    dense = localStorage.getItem("omnitide.density");
  } catch {
    // Storage can be forbidden: then the system's choice holds.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  if (dense === "compact") document.documentElement.dataset.density = dense;
})();
