// What htmx asked for and was refused: htmx itself leaves the page as it is and says nothing. One notice for each part, for
// as long as it is refused; a part that is read again and again takes its notice away with its next answer.
import { make, setText } from "./dom.js";
import { problemWords } from "./http.js";
import { t } from "./i18n.js";

// By part: its notice.
const notices = new Map();

export function refused(part, status, text) {
  const words = status === 401 && !text ? t("Your login has ended. What you typed stays here.") : problemWords(status, text);
  const known = notices.get(part);
  if (known?.isConnected) {
    setText(known.querySelector("p span"), words);
    return;
  }
  const notice = document.getElementById("refused-notice").content.firstElementChild.cloneNode(true);
  const said = notice.querySelector("p");
  said.append(make("span", {}, words));
  // In another tab, so that what was typed here stays.
  if (status === 401) said.append(" ", make("a", { href: `/login/?next=${encodeURIComponent(location.pathname + location.search)}`, target: "_blank" }, t("Log in")));
  notices.set(part, notice);
  document.getElementById("notices").append(notice);
}

export function answered(part) {
  notices.get(part)?.remove();
  notices.delete(part);
}
