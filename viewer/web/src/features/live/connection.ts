// The WebSocket to the server: one message at a time, each answered when it has been dealt with; comes back by itself.

import { extend, type History, pictureOf, type Snapshot, snapshotOf, type State, stateOf, type TrainerPicture, unpack } from "./messages";

const RETRY_MS = [500, 1000, 2000, 4000];

export interface Listener {
  onState(state: State, history: History): void;
  /** Resolves when the splats are on the canvas: the next ones come only then. */
  onSnapshot(snapshot: Snapshot): Promise<void>;
  onPicture(picture: TrainerPicture): Promise<void>;
  onTrouble(text: string): void;
  onConnected(connected: boolean): void;
  /** The server is there but does not know this page any more. */
  onStranger(): void;
}

export class TrainingConnection {
  private socket: WebSocket | null = null;
  private attempts = 0;
  private wantsSplats = true;
  private history: History = { step: [], psnr_db: [], splats: [], step_ms: [] };

  constructor(
    private readonly url: string,
    private readonly listener: Listener,
  ) {
    this.open();
  }

  get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(message: Record<string, unknown>): void {
    if (this.isOpen) this.socket?.send(JSON.stringify(message));
  }

  wantSplats(wanted: boolean): void {
    this.wantsSplats = wanted;
    this.send({ type: "want", splats: wanted });
  }

  private open(): void {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.attempts = 0;
      this.history = { step: [], psnr_db: [], splats: [], step_ms: [] };
      if (!this.wantsSplats) this.wantSplats(false);
      this.listener.onConnected(true);
    };
    socket.onmessage = (event) => void this.take(event.data as ArrayBuffer);
    socket.onclose = () => {
      this.listener.onConnected(false);
      if (this.attempts > 0) void this.askWhy();
      window.setTimeout(() => this.open(), RETRY_MS[Math.min(this.attempts++, RETRY_MS.length - 1)]);
    };
  }

  /** A WebSocket does not say why it was refused; a request does. */
  private async askWhy(): Promise<void> {
    const response = await fetch("scene.json", { method: "HEAD", credentials: "same-origin" }).catch(() => null);
    if (response?.status === 403) this.listener.onStranger();
  }

  private async take(data: ArrayBuffer): Promise<void> {
    const socket = this.socket;
    try {
      const { header, payload } = unpack(data);
      if (header.type === "state") {
        extend(this.history, header);
        this.listener.onState(stateOf(header), this.history);
      } else if (header.type === "snapshot") await this.listener.onSnapshot(snapshotOf(header, payload));
      else if (header.type === "picture") await this.listener.onPicture(pictureOf(header, payload));
      else if (header.type === "trouble") this.listener.onTrouble(String(header.text));
    } catch (error) {
      console.error(error);
    }
    if (socket === this.socket) this.send({ type: "got" });
  }
}
