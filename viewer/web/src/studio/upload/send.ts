// One file to the server, in slices, going on at the offset that the server has.

import { ApiError, call, part, sentence, Unreachable } from "../api";

const SLICE = 8 << 20;
const LONGEST_WAIT_MS = 8000;

interface Place {
  id: string;
  offset: number;
}

/** What is told while a file is on its way. */
export interface Sending {
  /** The server's name for the file, once it has one. */
  onId(id: string): void;
  /** Bytes that have arrived or are on the wire. */
  onBytes(bytes: number): void;
  /** False while the server does not answer. */
  onReachable(reachable: boolean): void;
}

/**
 * Sends what the server has not got yet. A server that does not answer is asked again until it does.
 *
 * @param id the upload to go on with, or null for a new one.
 * @throws ApiError when the server refuses; the signal's reason when it is aborted.
 */
export async function sendFile(file: Blob, name: string, id: string | null, told: Sending, signal: AbortSignal): Promise<void> {
  let place = await patiently(() => begin(file, name, id), told, signal);
  told.onId(place.id);
  told.onBytes(place.offset);
  while (place.offset < file.size) {
    const { id: present, offset } = place;
    place = await patiently(
      async () => {
        try {
          return { id: present, offset: await sendSlice(present, file, offset, told.onBytes, signal) };
        } catch (error) {
          signal.throwIfAborted();
          // The offset that counts is the server's: after a break it may have more, or less, than was sent.
          if (!mayHaveMoved(error)) throw error;
          return await begin(file, name, present);
        }
      },
      told,
      signal,
    );
    if (place.id !== present) told.onId(place.id);
    told.onBytes(place.offset);
  }
}

const mayHaveMoved = (error: unknown): boolean =>
  error instanceof Unreachable || (error instanceof ApiError && (error.status === 409 || error.status === 404 || error.status >= 500));

/** Where an upload stands; a new one where there is none, or where the server has forgotten it. */
async function begin(file: Blob, name: string, id: string | null): Promise<Place> {
  if (id !== null) {
    try {
      const place = await call<Place>("GET", `api/uploads/${part(id)}`);
      return { id, offset: place.offset };
    } catch (error) {
      if (!(error instanceof ApiError && (error.status === 404 || error.status === 410))) throw error;
    }
  }
  return await call<Place>("POST", "api/uploads", { name, size: file.size });
}

/** Repeats while the server cannot be reached or fails by itself, waiting longer each time. */
async function patiently<T>(work: () => Promise<T>, told: Sending, signal: AbortSignal): Promise<T> {
  for (let wait = 500; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    signal.throwIfAborted();
    try {
      const result = await work();
      signal.throwIfAborted();
      told.onReachable(true);
      return result;
    } catch (error) {
      signal.throwIfAborted();
      const passes = error instanceof Unreachable || (error instanceof ApiError && (error.status === 429 || error.status >= 500));
      if (!passes) throw error;
      told.onReachable(false);
      await pause(wait, signal);
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const end = (): void => {
      window.clearTimeout(timer);
      signal.removeEventListener("abort", end);
      done();
    };
    const timer = window.setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

/** One slice; resolves to the server's new offset. `fetch` cannot say how much of a body is sent, XMLHttpRequest can. */
function sendSlice(id: string, file: Blob, offset: number, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<number> {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    const abort = (): void => request.abort();
    const end = (settle: () => void): void => {
      signal.removeEventListener("abort", abort);
      settle();
    };
    request.open("PATCH", `api/uploads/${part(id)}`);
    request.setRequestHeader("Upload-Offset", String(offset));
    request.setRequestHeader("Content-Type", "application/offset+octet-stream");
    request.upload.onprogress = (event) => {
      // An aborted request ends with one more, of no bytes.
      if (!signal.aborted) onBytes(offset + event.loaded);
    };
    request.onload = () =>
      end(() => {
        if (request.status >= 200 && request.status < 300) done(newOffset(request, offset));
        else fail(new ApiError(sentence(request.responseText, request.status), request.status));
      });
    request.onerror = request.onabort = request.ontimeout = () => end(() => fail(new Unreachable()));
    signal.addEventListener("abort", abort);
    request.send(file.slice(offset, offset + SLICE));
  });
}

function newOffset(request: XMLHttpRequest, before: number): number {
  const header = request.getResponseHeader("Upload-Offset");
  const offset = header !== null ? Number(header) : (JSON.parse(request.responseText) as { offset: number }).offset;
  if (!Number.isSafeInteger(offset) || offset <= before) throw new Error(`the server says offset ${offset} after ${before}`);
  return offset;
}
