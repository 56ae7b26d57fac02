/**
 * All that runs in these pages, which do without it: parts of a page are replaced as the suite sends them, and a form of
 * sliders shows at once what it comes to. All markup is the suite's own, as the pages are.
 */
export const PAGE_SCRIPT = String.raw`
const byId = (id) => document.getElementById(id);

/** Focus, and what was opened, stay as they are. */
function put({ id, markup, into }) {
  const old = byId(id);
  const holder = document.createElement("template");
  holder.innerHTML = markup;
  const fresh = holder.content.firstElementChild;
  if (fresh === null) return old?.remove();
  if (old === null) return byId(into)?.prepend(fresh);
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  const opened = [...old.querySelectorAll("details[open]")].map((details) => details.id);
  old.replaceWith(fresh);
  for (const id of opened) byId(id)?.setAttribute("open", "");
  if (focused !== "") byId(focused)?.focus({ preventScroll: true });
}

const live = byId("live");
if (live !== null) {
  const say = (words) => live.textContent === words || (live.textContent = words);
  let source;
  const follow = () => {
    source = new EventSource(live.dataset.from);
    source.onopen = () => say("Live");
    source.onmessage = ({ data }) => JSON.parse(data).forEach(put);
    source.onerror = () =>
      say(source.readyState === EventSource.CLOSED ? "Not live any more: load the page again." : "Connecting…");
    source.addEventListener("end", () => {
      source.close();
      document.removeEventListener("visibilitychange", look);
      say("Your session has ended: load the page again to sign in.");
    });
  };
  // A browser has six connections to a suite without HTTP/2: pages that nobody sees leave them to others.
  const look = () => {
    source?.close();
    if (document.visibilityState === "visible") follow();
    else say("Not live while it is hidden.");
  };
  document.addEventListener("visibilitychange", look);
  look();
}

for (const form of document.querySelectorAll("form[data-shows]")) {
  let asked = 0;
  form.addEventListener("input", async ({ target }) => {
    const shown = target.closest(".slider")?.querySelector("output");
    if (shown) shown.value = target.value + (shown.dataset.unit ?? "");
    const turn = (asked += 1);
    await new Promise((done) => setTimeout(done, 120));
    if (turn !== asked) return;
    const url = form.getAttribute("action") + "?" + new URLSearchParams(new FormData(form));
    const answer = await fetch(url);
    if (!answer.ok || turn !== asked) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const id = form.dataset.shows;
    put({ id, markup: page.getElementById(id)?.outerHTML ?? "" });
    history.replaceState(null, "", url);
  });
}
`;
