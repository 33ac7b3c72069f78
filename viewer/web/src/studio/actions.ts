// What the page asks of the server, each by its route.

import { call, get, part, post } from "./api";
import type { Capture, Comparison, ExportFile, Job, JobKind, Report } from "./types";

const capture = (id: string): string => `api/captures/${part(id)}`;
const job = (id: string): string => `api/jobs/${part(id)}`;

export const rename = (id: string, title: string): Promise<Capture> => call("PATCH", capture(id), { title });
export const toTrash = (id: string): Promise<Capture> => call("DELETE", capture(id));
export const restore = (id: string): Promise<Capture> => post(`${capture(id)}/restore`);
export const emptyTrash = (id?: string): Promise<unknown> => call("DELETE", id === undefined ? "api/trash" : `api/trash/${part(id)}`);

export const cancel = (id: string): Promise<Job> => post(`${job(id)}/cancel`);
export const resume = (id: string): Promise<Job> => post(`${job(id)}/resume`);

/** Other work on a capture that has cameras or a scene: depth, mesh. */
export const work = (id: string, kind: JobKind, options: Record<string, unknown>): Promise<Job> => post("api/jobs", { capture: id, kind, options });

/** The same footage again with other settings, as a capture of its own. */
export const again = (id: string, title: string, preset: string): Promise<Capture> => post(`${capture(id)}/runs`, { title, preset, options: {} });

export const exportFiles = (id: string): Promise<ExportFile[]> => get(`${capture(id)}/exports`);
export const makeExport = (id: string, wanted: { format?: string; what?: string; for?: string }): Promise<Job> => post(`${capture(id)}/exports`, wanted);
export const exportUrl = (id: string, name: string): string => `${capture(id)}/exports/${name.split("/").map(part).join("/")}`;

export const compare = (a: string, b: string): Promise<Comparison> => get(`api/compare?a=${part(a)}&b=${part(b)}`);
export const report = (url: string): Promise<Report> => get(`${url}report.json`);

/** While a training runs, the scene's page shows it as it grows. */
export const sceneUrl = (id: string): string => `scenes/${part(id)}/`;

/** Changes with the capture, so that no old picture stays. */
export const thumbnailUrl = (c: Capture): string | null => (c.thumbnail === null ? null : `${c.thumbnail}?t=${Math.round(c.changed)}`);

/** What a phone on the same network is shown. */
export interface Invitation {
  url: string;
  qr_svg: string;
  expires: number | null;
}

export const invite = (): Promise<Invitation> => get("api/invite");
