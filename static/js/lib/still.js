// What comes and goes while somebody looks moves nothing below it: its height is held as it was when the page came. It fits
// its content again when nobody can be looking at what would move: the tab is shown anew, or the window has another width.

export function holdHeight(host) {
  let width = innerWidth;
  const fit = () => {
    host.style.blockSize = "auto";
    host.style.blockSize = `${Math.ceil(host.getBoundingClientRect().height)}px`;
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) fit(); });
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    fit();
  });
  fit();
}
