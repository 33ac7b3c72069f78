// Start of the studio's page: puts the list, the views and the server's events together.

import "./css/studio.css";
import { ApiError, Unreachable, words } from "./api";
import { toast } from "./dialog";
import { listenToDrops } from "./drop";
import { fill, h, say } from "./elements";
import { icon } from "./icons";
import { Live } from "./live";
import { Store } from "./store";
import { hashOf, type Route, routeOf, type Studio, type View } from "./studio";
import { isActive, type Job, overall } from "./types";
import { Uploads } from "./upload/uploads";
import { CompareView } from "./compare/view";
import { CaptureView } from "./views/capture";
import { showPhone } from "./views/phone";
import { Sidebar } from "./views/sidebar";
import { StartView } from "./views/start";
import { TrashView } from "./views/trash";
import { UploadView } from "./views/upload";
import { percent } from "./words";

const app = document.getElementById("app") as HTMLElement;
const main = h("main", { id: "main", tabIndex: -1 });
const back = h("a.back", { href: "#/" }, icon("back"), "All scans");
const banner = h("div.banner", { role: "status", hidden: true });
const store = new Store();
let route: Route = [];
let view: View | null = null;

const studio: Studio = {
  store,
  uploads: new Uploads(changed, (key, capture) => {
    const looking = route[0] === "upload" && route[1] === key;
    // Without an answer from the server, what it made of the upload is its newest capture.
    const made = (): string | undefined => capture?.id ?? store.captures[0]?.id;
    store.refresh().then(() => looking && studio.go("capture", made() ?? ""), () => undefined);
  }),
  go: (...to) => {
    location.hash = hashOf(to);
  },
};

const sidebar = new Sidebar(studio, () => void showPhone());
const live = new Live({
  onNews: (jobs, events, all) => store.take(jobs, events, all),
  onConnected: (connected) => {
    banner.hidden = connected;
    say(banner, connected ? "" : "Connection lost, trying again …");
    document.body.dataset.connected = connected ? "1" : "0";
    // What happened meanwhile comes as events; lists are read anew all the same, the server may be another one now.
    store.refresh().catch((error: unknown) => {
      // The server is there, but this page's key is not good any more: trying again is no use.
      if (error instanceof ApiError && error.status === 403) say(banner, words(error));
    });
  },
});

function makeView(to: Route): View {
  const [what = "new", id = "", other = ""] = to;
  if (what === "capture") return new CaptureView(studio, id);
  if (what === "upload" && studio.uploads.get(id) !== null) return new UploadView(studio, id);
  if (what === "compare") return new CompareView(studio, id, other);
  if (what === "trash") return new TrashView(studio);
  return new StartView(studio, () => void showPhone());
}

function show(): void {
  const to = routeOf(location.hash);
  const first = view === null;
  view?.leave?.();
  route = to;
  view = makeView(to);
  document.body.classList.toggle("home", to.length === 0);
  fill(main, back, view.element);
  main.scrollTop = 0;
  // The new view is read out, and Tab goes on in it.
  if (!first) (main.querySelector<HTMLElement>("h1[tabindex]") ?? main).focus({ preventScroll: true });
  changed();
}

function changed(): void {
  if (view === null) return;
  view.update();
  sidebar.update(route);
  const job = route[0] === "capture" ? store.jobsOf(route[1] ?? "").find(isActive) : undefined;
  const done = job === undefined ? "" : `${percent(overall(job))} · `;
  document.title = route.length === 0 ? "Diorama" : `${done}${view.title} · Diorama`;
}

/** Work that ended while somebody looks at something else. */
function announce(job: Job): void {
  const capture = store.capture(job.capture);
  if (capture === null || (route[0] === "capture" && route[1] === capture.id)) return;
  const look = { label: "Look", run: () => studio.go("capture", capture.id) };
  if (job.state === "done") toast(`“${capture.title}”: ${job.title} is done.`, "note", look);
  else if (job.state === "failed") toast(`“${capture.title}”: ${job.error ?? "something went wrong."}`, "error", look);
}

function fail(error: unknown): void {
  fill(
    main,
    h("div.card.empty", { role: "alert" }, h("h1", null, "The studio does not open"), h("p", null, words(error)), h("button.primary", { type: "button", onclick: () => location.reload() }, "Try again")),
  );
}

async function start(): Promise<void> {
  fill(app, h("a.skip", { href: "#main", onclick: (event: Event) => { event.preventDefault(); main.focus(); } }, "To the content"), banner, sidebar.element, main, h("div", { id: "toasts" }));
  for (;;) {
    try {
      await store.refresh();
      break;
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      say(banner, "Connection lost, trying again …");
      banner.hidden = false;
      await new Promise((done) => window.setTimeout(done, 1500));
    }
  }
  banner.hidden = true;
  store.onChange(changed);
  store.onEnd = announce;
  listenToDrops((found) => {
    if (view?.drop === undefined) {
      history.pushState(null, "", hashOf(["new"]));
      show();
    }
    view?.drop?.(found);
  });
  window.addEventListener("hashchange", show);
  show();
  live.start();
  document.body.dataset.ready = "1";
  await studio.uploads.continueAll();
}

window.addEventListener("unhandledrejection", (event) => {
  if (event.reason instanceof ApiError || event.reason instanceof Unreachable) {
    toast(words(event.reason), "error");
    event.preventDefault();
  }
});
start().catch(fail);
