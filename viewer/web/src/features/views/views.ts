// Saved views, the link that leads to one, a picture of one, and the file of views and notes.

import "./views.css";
import { Vector3 } from "three";
import { freeLens, lookingAt, pointInThree, pointInWorld } from "../../coordinates";
import { button } from "../../dom";
import type { SavedView } from "../../manifest";
import type { Feature, Page } from "../../page";
import { FILE_NAME, parse, written } from "../notes/keeping";
import { Store } from "../notes/store";
import { viewHash, viewOfHash } from "./link";
import { canvasPicture, fileName, offer } from "./picture";

const VIEWS = '<path d="M6 3.500h12v17l-6-4.500-6 4.500z" />';
const SHOT = '<path d="M4 8V5.500A1.500 1.500 0 0 1 5.500 4H8M16 4h2.500A1.500 1.500 0 0 1 20 5.500V8M20 16v2.500a1.500 1.500 0 0 1-1.500 1.500H16M8 20H5.500A1.500 1.500 0 0 1 4 18.500V16" /><circle cx="12" cy="12" r="3.500" />';
const LINK = '<path d="M10 14a4 4 0 0 0 5.700 0l3.600-3.600a4 4 0 0 0-5.700-5.700L12.500 5.800M14 10a4 4 0 0 0-5.700 0l-3.600 3.600a4 4 0 0 0 5.700 5.700l1.100-1.100" />';
const REMOVE = '<path d="m6.5 6.5 11 11m0-11-11 11" />';
const MAX_FILE = 4 << 20;

export const views: Feature = (page: Page): void => {
  const store = Store.of(page);
  const body = page.panels.add("views", "Views");
  const list = document.createElement("ul");
  list.className = "panel-list";
  const advice = document.createElement("p");
  advice.textContent = store.isShared
    ? "No saved views yet. They are kept with the scene."
    : "No saved views yet. They stay in this browser; a file takes them along.";
  const show = (): void => {
    const { viewpoints } = store.all;
    advice.hidden = viewpoints.length > 0;
    list.replaceChildren(...viewpoints.map((view, index) => item(page, store, view, index)));
  };
  const keep = actionButton("view-save", "Save this view", () => {
    const { viewpoints } = store.all;
    const taken = new Set(viewpoints.map((v) => v.name));
    let number = viewpoints.length + 1;
    while (taken.has(`View ${number}`)) number += 1;
    store.setViews([...viewpoints, { ...viewNow(page), name: `View ${number}` }]);
  });
  keep.classList.add("primary");
  const copy = actionButton("view-link", "Copy link", () => void copyLink(page));
  const shoot = actionButton("view-picture", "Picture", () => void picture(page));
  const toFile = actionButton("views-export", "Save to file", () =>
    offer(new Blob([JSON.stringify(written(store.all), null, 1)], { type: "application/json" }), FILE_NAME),
  );
  const input = document.createElement("input");
  input.type = "file";
  input.accept = ".json";
  input.hidden = true;
  input.setAttribute("aria-label", "File of views and notes");
  input.addEventListener("change", () => void readFile(page, store, input));
  const fromFile = actionButton("views-import", "Open file", () => input.click());
  const pair = (...buttons: HTMLElement[]): HTMLElement => {
    const row = document.createElement("div");
    row.className = "panel-pair";
    row.append(...buttons);
    return row;
  };
  body.append(keep, advice, list, pair(copy, shoot), pair(toFile, fromFile), input);
  store.onChange(show);
  show();
  page.toolbar.addButton({
    id: "views", label: "Views", icon: VIEWS, title: "Saved views", key: "v", group: "share",
    onPress: () => page.panels.toggle("views"),
  });
  page.toolbar.addButton({
    id: "share", label: "Link", icon: LINK, title: "Copy a link to this view", key: "i", group: "share",
    onPress: () => void copyLink(page),
  });
  page.toolbar.addButton({
    id: "picture", label: "Picture", icon: SHOT, title: "Save a picture of this view", key: "o", group: "share",
    onPress: () => void picture(page),
  });
  const follow = (smoothly: boolean): void => {
    const view = viewOfHash(location.hash);
    if (view !== null) goTo(page, view, smoothly);
  };
  window.addEventListener("hashchange", () => follow(true));
  follow(false);
};

function actionButton(id: string, text: string, action: () => void): HTMLButtonElement {
  const element = document.createElement("button");
  element.type = "button";
  element.id = id;
  element.textContent = text;
  element.addEventListener("click", action);
  return element;
}

function item(page: Page, store: Store, view: SavedView, index: number): HTMLElement {
  const row = document.createElement("li");
  row.className = "panel-row";
  const go = actionButton("", view.name, () => goTo(page, view, true));
  go.removeAttribute("id");
  go.title = "Go there; double click to rename";
  go.addEventListener("dblclick", () => {
    const field = document.createElement("input");
    field.value = view.name;
    field.maxLength = 80;
    field.setAttribute("aria-label", "Name of the view");
    const done = (): void => {
      const name = field.value.trim() || view.name;
      store.setViews(store.all.viewpoints.map((v, i) => (i === index ? { ...v, name } : v)));
    };
    field.addEventListener("keydown", (event) => event.key === "Enter" && field.blur());
    field.addEventListener("blur", done, { once: true });
    go.replaceWith(field);
    field.select();
  });
  const remove = button({ label: `Remove ${view.name}`, icon: REMOVE });
  remove.classList.add("icon");
  remove.addEventListener("click", () => store.setViews(store.all.viewpoints.filter((_, i) => i !== index)));
  row.append(go, remove);
  return row;
}

/** What the camera sees now. */
export function viewNow(page: Page): Omit<SavedView, "name"> {
  const { camera } = page.stage;
  return {
    position: pointInWorld(camera.position),
    target: pointInWorld(page.navigation.pivot),
    up: pointInWorld(new Vector3(0, 1, 0).applyQuaternion(camera.quaternion)),
  };
}

export function goTo(page: Page, view: SavedView, smoothly: boolean): void {
  const position = pointInThree(view.position);
  const target = pointInThree(view.target);
  const there = lookingAt(position, target, pointInThree(view.up));
  const { navigation } = page;
  if (navigation.mode === "walk") navigation.mode = "orbit";
  navigation.onLeave();
  if (smoothly) void navigation.flyTo(there, position.distanceTo(target), freeLens);
  else navigation.place(there, position.distanceTo(target));
}

async function copyLink(page: Page): Promise<void> {
  const hash = viewHash({ ...viewNow(page), name: "" });
  history.replaceState(null, "", hash);
  try {
    await navigator.clipboard.writeText(location.href);
    page.notice("The link to this view is in the clipboard.");
  } catch {
    page.notice("The address of this page leads to this view now: copy it from the address bar.");
  }
}

async function picture(page: Page): Promise<void> {
  offer(await canvasPicture(page), fileName(page.scene.title, ".png"));
}

async function readFile(page: Page, store: Store, input: HTMLInputElement): Promise<void> {
  const file = input.files?.[0];
  input.value = "";
  if (file === undefined) return;
  try {
    if (file.size > MAX_FILE) throw new Error("too large");
    store.replace(parse(JSON.parse(await file.text())));
  } catch {
    page.notice(`${file.name} holds no views and notes of Diorama.`);
  }
}
