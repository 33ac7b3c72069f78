// Relative URLs throughout: the same files open at a server's root and in any sub-path of a static host.
import { defineConfig } from "vite";

// Rapier's package expects a bundler that imports .wasm files as modules; src/features/play/rapier.ts loads its engine.
const rapierWithoutWasmImport = {
  name: "rapier-without-wasm-import",
  enforce: "pre",
  resolveId(source, importer) {
    if (source !== "./rapier_wasm3d" || !importer?.includes("@dimforge/rapier3d")) return null;
    return this.resolve("@dimforge/rapier3d/rapier_wasm3d_bg.js", importer);
  },
};

export default defineConfig({
  base: "./",
  plugins: [rapierWithoutWasmImport],
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: false,
    sourcemap: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 6000,
  },
});
