// Keeps the status page up to date. The page is whole without this: it is only ever replaced by what the server renders.

const JITTER_MILLISECONDS = 1500; // what everybody hears at once nobody needs in the same instant
const AGAIN_MILLISECONDS = 3000;
const LOOK_MILLISECONDS = 60_000; // moments pass without news
const PATIENCE_MILLISECONDS = 3_000; // a connection that comes back at once was never away

const written = document.documentElement.lang;
const lang = navigator.languages.find((tag) => tag.split("-")[0] === written) ?? written; // en-GB writes times as en does not
const lost = document.getElementById("lost");
let asOf = new Date();
let waiting = 0;
let missing = 0;

/** Shows the times in `root` in the reader's own zone and manner. */
function localise(root) {
  const today = new Date().toDateString();
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    const day = at.toDateString() === today ? {} : { dateStyle: "medium" };
    element.title = element.textContent;
    element.textContent = new Intl.DateTimeFormat(lang, { timeStyle: "short", ...day }).format(at);
    element.removeAttribute("dir");
  }
}

/** Fetches the page as the server renders it now, and takes it over where it is another one. */
async function look() {
  clearTimeout(waiting);
  waiting = setTimeout(look, LOOK_MILLISECONDS);
  try {
    const response = await fetch(location.href, { cache: "no-cache", signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw new Error(response.statusText);
    const fetched = new DOMParser().parseFromString(await response.text(), "text/html");
    take(fetched.getElementById("page"));
    here();
  } catch {
    gone();
  }
}

function take(next) {
  const shown = document.getElementById("page");
  const news = next.dataset.version !== shown.dataset.version;
  localise(next);
  shown.replaceWith(next);
  asOf = new Date();
  if (news) document.getElementById("news").textContent = next.querySelector("h1").textContent;
}

/** Looks in a moment, and once more: the server makes the page anew only so often. */
function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    look();
    clearTimeout(waiting);
    waiting = setTimeout(look, AGAIN_MILLISECONDS);
  }, Math.random() * JITTER_MILLISECONDS);
}

function here() {
  clearTimeout(missing);
  missing = 0;
  lost.hidden = true;
}

/** Says so once the connection has been away for a while. */
function gone() {
  missing ||= setTimeout(() => {
    const time = lost.querySelector("time");
    time.dateTime = asOf.toISOString();
    localise(lost);
    lost.hidden = false;
  }, PATIENCE_MILLISECONDS);
}

function listen() {
  const events = new EventSource(document.documentElement.dataset.events);
  events.onmessage = soon;
  events.onopen = () => {
    if (missing) soon(); // what has changed meanwhile was told to nobody
    here();
  };
  events.onerror = () => {
    gone();
    if (events.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    events.close();
    setTimeout(listen, 2000 + Math.random() * 3000);
  };
}

localise(document);
document.getElementById("live").hidden = false;
waiting = setTimeout(look, LOOK_MILLISECONDS);
listen();
