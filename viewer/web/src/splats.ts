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

/** Streams the file into the decoder while it arrives; `onProgress` gets bytes so far. */
export async function loadSplats(file: SplatFile, onProgress: (bytes: number) => void): Promise<SplatMesh> {
  const { url, format, count, bytes } = file;
  const response = await fetchBeside(url, "The splat file");
  const reader = response.body?.getReader();
  if (reader === undefined) throw connectionLost();

  let received = 0;
  let lost = false;
  // A source that fails would leave the decoder waiting for ever: end the stream instead and remember why.
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        received += value.byteLength;
        onProgress(received);
        controller.enqueue(value);
      } catch {
        lost = true;
        controller.close();
      }
    },
  });
  let mesh: SplatMesh | null = null;
  let reason = "";
  try {
    mesh = new SplatMesh({ stream, streamLength: bytes, fileType: FILE_TYPES[format], fileName: url, extSplats: true });
    await mesh.initialized;
  } catch (error) {
    mesh = null;
    reason = String(error instanceof Error ? error.message : error);
  }
  if (lost) throw connectionLost();
  if (mesh === null) throw damaged(`It could not be decoded (${reason || "no reason given"}).`);
  const found = mesh.splats?.getNumSplats() ?? 0;
  // More than counted is fine: the count leaves out splats without finite numbers, which nobody sees.
  if (found < count) throw damaged(`It holds ${found.toLocaleString("en")} of ${count.toLocaleString("en")} splats.`);
  return mesh;
}
