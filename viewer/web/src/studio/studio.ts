// What all views of the studio share.

import type { Store } from "./store";
import type { Found } from "./upload/footage";
import type { Uploads } from "./upload/uploads";

/** Where the page is: the part after `#/`, by slashes. */
export type Route = string[];

export interface Studio {
  store: Store;
  uploads: Uploads;
  go(...route: string[]): void;
}

/** What fills the main part of the page. */
export interface View {
  title: string;
  element: HTMLElement;
  /** Something that the store or the uploads know has changed. */
  update(): void;
  /** Files were dropped on the page. */
  drop?(found: readonly Found[]): void;
  /** The page goes elsewhere. */
  leave?(): void;
}

export const routeOf = (hash: string): Route =>
  hash.replace(/^#\/?/, "").split("/").filter((p) => p !== "").map((p) => decodeURIComponent(p));

export const hashOf = (route: Route): string => `#/${route.map(encodeURIComponent).join("/")}`;
