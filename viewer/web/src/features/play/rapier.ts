// Rapier, the rigid-body library, loaded when it is first used: its code as a script of ours, its engine as one .wasm
// file beside it. The package's own start expects a bundler that imports .wasm, which the page's policy and static
// servers do without (vite.config.js leads the package's imports here).

import * as glue from "@dimforge/rapier3d/rapier_wasm3d_bg.js";
import engine from "@dimforge/rapier3d/rapier_wasm3d_bg.wasm?url";
import type * as Rapier from "@dimforge/rapier3d";
import { fetchBeside } from "../../errors";

let loading: Promise<typeof Rapier> | null = null;

async function load(): Promise<typeof Rapier> {
  const response = await fetchBeside(engine, "The physics engine");
  // Not streamed: that wants a server that knows the type of .wasm files.
  const { instance } = await WebAssembly.instantiate(await response.arrayBuffer(), {
    "./rapier_wasm3d_bg.js": { ...glue } as WebAssembly.ModuleImports,
  });
  glue.__wbg_set_wasm(instance.exports);
  return import("@dimforge/rapier3d");
}

export function loadRapier(): Promise<typeof Rapier> {
  loading ??= load().catch((error: unknown) => {
    loading = null;
    throw error;
  });
  return loading;
}
