// The studio's own page: a build of its own into `studio/` beside the scene page, so that no file of it is ever shared
// with a published scene.
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  publicDir: false,
  build: {
    outDir: "dist/studio",
    target: "es2022",
    rollupOptions: { input: "studio.html" },
    assetsInlineLimit: 0,
    modulePreload: false,
    sourcemap: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 6000,
  },
});
