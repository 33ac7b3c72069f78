// What happens on the server, as it happens: one WebSocket, opened again whenever it breaks.

import type { Job, JobEvent } from "./types";

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 5000;
/** A server that is restarted is back within this; only after it a person is told. */
const GRACE_MS = 700;

export interface Listening {
  /** What happened, and the jobs concerned as they are now. `all`: these are all jobs there are. */
  onNews(jobs: readonly Job[], events: readonly JobEvent[], all: boolean): void;
  /** True once events flow, after a break too; false when they have not for a moment. */
  onConnected(connected: boolean): void;
}

/** Follows the server's events. The events of a break are made up for: the server is told the last one seen. */
export class Live {
  private last: number | null = null;
  private wait = FIRST_WAIT_MS;
  private told: boolean | null = null;
  private timer = 0;
  private grace = 0;
  private socket: WebSocket | null = null;

  constructor(private readonly listening: Listening) {
    window.addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.retryNow();
    });
  }

  start(): void {
    this.connect();
  }

  /** Tries at once instead of when the wait is over. */
  retryNow(): void {
    if (this.socket !== null || this.timer === 0) return;
    this.wait = FIRST_WAIT_MS;
    this.connect();
  }

  private connect(): void {
    window.clearTimeout(this.timer);
    this.timer = 0;
    const url = new URL(this.last === null ? "api/events" : `api/events?after=${this.last}`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => {
      this.wait = FIRST_WAIT_MS;
      window.clearTimeout(this.grace);
      this.grace = 0;
      this.tell(true);
    };
    socket.onmessage = (message) => {
      if (typeof message.data === "string") this.read(message.data);
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      if (this.grace === 0) this.grace = window.setTimeout(() => this.tell(false), GRACE_MS);
      this.timer = window.setTimeout(() => this.connect(), this.wait);
      this.wait = Math.min(this.wait * 1.7, LONGEST_WAIT_MS);
    };
  }

  private read(text: string): void {
    const message = JSON.parse(text) as { kind: "state" | "events"; seq: number; jobs?: Job[]; events?: JobEvent[] };
    this.last = message.seq;
    this.listening.onNews(message.jobs ?? [], message.events ?? [], message.kind === "state");
  }

  private tell(connected: boolean): void {
    if (this.told === connected) return;
    this.told = connected;
    this.listening.onConnected(connected);
  }
}
