/** What this computer is and can do. */
import { getCiphers } from "node:crypto"
import os from "node:os"
import path from "node:path"
import { addon } from "../../native/lib/addon.ts"
import type { DoctorCheck } from "../contract/schema/doctor.ts"
import type { Machine } from "../services/ports.ts"
import { checkRuntime, reachedLevel } from "./runtime/doctor.ts"
import { productVersion } from "./version.ts"

/** Main folder of the installation: where package.json lies. */
const ROOT = path.resolve(import.meta.dirname, "..", "..")

export function localMachine(workspace: string): Machine {
  return {
    version: productVersion(),
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    describe: () => ({
      cpu: os.cpus()[0]?.model.trim() ?? "unknown",
      cores: os.availableParallelism(),
      memoryBytes: os.totalmem(),
      os: `${os.type()} ${os.release()}`,
    }),
    diagnose: async () => [
      checkNode(),
      checkCipher(),
      checkAddon(),
      await checkInference(),
      ...(await checkRuntime()),
      checkWorkspace(workspace),
    ],
    runtimeLevel: reachedLevel,
    sample: () => {
      const folder = path.join(ROOT, "packaging", "sample")
      return {
        model: path.join(folder, "fashion-cnn.onnx"),
        data: path.join(folder, "fashion-eval-500-x.npy"),
        labels: path.join(folder, "fashion-eval-500-y.npy"),
        mean: 0.286,
        std: 0.353,
      }
    },
  }
}

function checkNode(): DoctorCheck {
  return { id: "node", title: "Node", result: "ok", detail: process.versions.node, fix: "" }
}

function checkCipher(): DoctorCheck {
  const isThere = getCiphers().includes("chacha20-poly1305")
  return {
    id: "cipher",
    title: "ChaCha20-Poly1305",
    result: isThere ? "ok" : "limited",
    detail: isThere
      ? `OpenSSL ${process.versions.openssl}`
      : "missing in this Node; libsodium takes its place, at half the speed",
    fix: isThere ? "" : "use the Node that comes with Sealwright",
  }
}

function checkAddon(): DoctorCheck {
  const state = addon()
  return {
    id: "native",
    title: "Native addon",
    result: state.kind === "loaded" ? "ok" : "limited",
    detail:
      state.kind === "loaded"
        ? "loaded: payloads on native threads"
        : `${state.reason}: payloads on worker threads, slower`,
    fix: state.kind === "loaded" ? "" : "npm run build:native",
  }
}

async function checkInference(): Promise<DoctorCheck> {
  try {
    await import("onnxruntime-node")
    return { id: "inference", title: "Inference engine", result: "ok", detail: "onnxruntime, CPU", fix: "" }
  } catch {
    return {
      id: "inference",
      title: "Inference engine",
      result: "missing",
      detail: "onnxruntime-node does not load",
      fix: "npm ci",
    }
  }
}

function checkWorkspace(workspace: string): DoctorCheck {
  return { id: "workspace", title: "Workspace", result: "ok", detail: workspace, fix: "" }
}
