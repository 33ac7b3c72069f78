// Fetching and decoding the splat file.

import { SplatFileType, SplatMesh } from "@sparkjsdev/spark";
import { connectionLost, fetchBeside, PageError } from "./errors";
import type { SplatFile, SplatFormat } from "./manifest";

const FILE_TYPES: Record<SplatFormat, SplatFileType> = {
  ply: SplatFileType.PLY,
  spz: SplatFileType.SPZ,
  splat: SplatFileType.SPLAT,
  sog: SplatFileType.PCSOGSZIP,
};

const damaged = (detail: string): PageError =>
  new PageError("The splat file is damaged or incomplete", `${detail} Export or publish the scene again.`);

/** How often a transfer that breaks off is taken up again, and after what pause. */
const ATTEMPTS = 4;
const PAUSE_MS = 700;

/** Streams the file into the decoder while it arrives; `onProgress` gets bytes so far. */
export async function loadSplats(file: SplatFile, onProgress: (bytes: number) => void): Promise<SplatMesh> {
  const { url, format, count, bytes } = file;
  const first = await fetchBeside(url, "The splat file");
  let lost = false;
  const stream = throughBreaks(url, first, onProgress, () => (lost = true));
  const mesh = await decode(stream, bytes, FILE_TYPES[format], url).catch((error: unknown) => error as Error);
  if (lost) throw connectionLost();
  if (mesh instanceof Error) throw damaged(`It could not be decoded (${mesh.message || "no reason given"}).`);
  const found = mesh.splats?.getNumSplats() ?? 0;
  // More than counted is fine: the count leaves out splats without finite numbers, which nobody sees.
  if (found < count) throw damaged(`It holds ${found.toLocaleString("en")} of ${count.toLocaleString("en")} splats.`);
  return mesh;
}

/** Splats of a file that the person chose. */
export async function decodeSplats(file: File): Promise<SplatMesh> {
  const format = Object.keys(FILE_TYPES).find((each) => file.name.toLowerCase().endsWith(`.${each}`));
  if (format === undefined) throw new PageError("This is no splat file", "Choose a .ply, .spz, .sog or .splat file.");
  const decoding = decode(file.stream(), file.size, FILE_TYPES[format as SplatFormat], file.name);
  const mesh = await decoding.catch(() => null);
  if (mesh === null || (mesh.splats?.getNumSplats() ?? 0) === 0) {
    throw new PageError(`${file.name} cannot be read`, "It is damaged, or its format is a newer one than this page knows.");
  }
  return mesh;
}

async function decode(
  stream: ReadableStream<Uint8Array>, streamLength: number, fileType: SplatFileType, fileName: string,
): Promise<SplatMesh> {
  const mesh = new SplatMesh({ stream, streamLength, fileType, fileName, extSplats: true });
  try {
    await mesh.initialized;
  } catch (error) {
    throw error instanceof Error ? error : new Error(String(error));
  }
  return mesh;
}

type Reader = Pick<ReadableStreamDefaultReader<Uint8Array>, "read">;

/** The body of a response, going on where it broke off. */
function throughBreaks(
  url: string, first: Response, onProgress: (bytes: number) => void, onLost: () => void,
): ReadableStream<Uint8Array> {
  const etag = first.headers.get("etag");
  let reader: Reader | null = first.body?.getReader() ?? null;
  let received = 0;
  // A source that fails would leave the decoder waiting for ever: when nothing helps the stream just ends.
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      while (reader !== null) {
        try {
          const { done, value } = await reader.read();
          if (done) return controller.close();
          received += value.byteLength;
          onProgress(received);
          return controller.enqueue(value);
        } catch {
          reader = await goOn(url, received, etag);
        }
      }
      onLost();
      controller.close();
    },
  });
}

/** The rest of a file from a byte on, or null when it cannot be had. */
async function goOn(url: string, from: number, etag: string | null): Promise<Reader | null> {
  const headers: Record<string, string> = { Range: `bytes=${from}-` };
  if (etag !== null) headers["If-Range"] = etag;
  for (let attempt = 1; attempt < ATTEMPTS; attempt++) {
    await new Promise((resolve) => window.setTimeout(resolve, PAUSE_MS * attempt));
    try {
      const response = await fetch(url, { credentials: "same-origin", headers });
      // A server without ranges sends all of it again, and so does one where the file is another by now.
      const same = response.headers.get("etag") === etag;
      if (response.status === 206) return response.body?.getReader() ?? null;
      if (response.status !== 200 || !same || response.body === null) return null;
      return skipping(response.body.getReader(), from);
    } catch {
      // Still gone: once more after a longer pause.
    }
  }
  return null;
}

/** A reader that leaves out the first bytes. */
function skipping(reader: Reader, bytes: number): Reader {
  let left = bytes;
  return {
    async read() {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return { done: true, value: undefined };
        if (left >= value.byteLength) left -= value.byteLength;
        else {
          const rest = value.subarray(left);
          left = 0;
          return { done: false, value: rest };
        }
      }
    },
  };
}
