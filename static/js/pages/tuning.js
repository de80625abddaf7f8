// The tuning pages: decisions come by htmx, and never while somebody's focus is among them, so that it is not lost.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target.id === "feed" && event.target.contains(document.activeElement)) event.detail.shouldSwap = false;
});
