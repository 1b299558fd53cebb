/** `npm run build:ui`: the user interface into dist/renderer. Nothing is inlined, so that the page's policy can be strict. */
import path from "node:path"
import react from "@vitejs/plugin-react"
import { defineConfig } from "vite"
import { noteBundledPackages } from "./release/bundled-packages.ts"

const root = path.resolve(import.meta.dirname, "..")

export default defineConfig({
  root: path.join(root, "renderer"),
  base: "./",
  plugins: [react(), noteBundledPackages(root, path.join(root, "dist", "renderer-packages.json"))],
  cacheDir: path.join(root, "node_modules", ".cache", "vite"),
  build: {
    outDir: path.join(root, "dist", "renderer"),
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "chrome130",
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1500,
  },
})
