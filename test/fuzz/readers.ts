/** What a lie is told to: the code that opens files for a device, from the first byte to the last check. */
import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { AppError } from "../../main/contract/errors.ts"
import type { Device, Key } from "../../main/contract/schema/keys.ts"
import { decryptBytes } from "../../main/core/age/file.ts"
import { nodeChunkCipher, type ChunkCipher } from "../../main/core/age/stream.ts"
import { localPorts } from "../../main/platform/ports.ts"
import type { JobContext } from "../../main/services/jobs.ts"
import type { Ports } from "../../main/services/ports.ts"
import { verify } from "../../main/services/verify.ts"
import { nativePayload } from "../../native/lib/payload.ts"
import type { AgeSample } from "./age-samples.ts"
import { DEVICE, type SealWorld } from "./seal-samples.ts"

/** `accepted`, or the code of the refusal. Anything else than an AppError is a crash and is thrown. */
export type Outcome = "accepted" | AppError["code"]

const CIPHERS: readonly ChunkCipher[] = [nodeChunkCipher, nativePayload()?.cipher ?? nodeChunkCipher]

/** A file for one of the sample's identities. `turn` alternates between the ciphers we ship. */
export async function readAge(file: Uint8Array, sample: AgeSample, turn: number): Promise<Outcome> {
  try {
    await decryptBytes(file, sample.identities, CIPHERS[turn % CIPHERS.length])
    return "accepted"
  } catch (error) {
    return codeOf(error)
  }
}

export interface SealReader {
  read(seal: Uint8Array): Promise<Outcome>
  close(): Promise<void>
}

/** Runs the whole of `verify` for a device, over a real file and the real payload engine. */
export function sealReader(world: SealWorld): SealReader {
  const folder = os.tmpdir()
  const file = path.join(folder, `sealwright-fuzz-${process.pid}.seal`)
  const descriptor = openSync(file, "w")
  let length = 0
  const { ports: local, close } = localPorts(path.join(folder, "no-workspace"))
  const device: Device = {
    name: DEVICE,
    recipient: world.recipient,
    recipientType: "X25519",
    assurance: "software",
    holdsKey: true,
    addedAt: "2026-01-01T00:00:00Z",
    enrolment: null,
  }
  const key: Key = {
    name: DEVICE,
    purpose: "device",
    algorithm: "X25519",
    provider: "software",
    assurance: "software",
    evidence: [],
    location: "memory",
    unlock: "nothing",
    publicKeyPem: null,
    recipient: world.recipient,
    fingerprint: "",
    createdAt: device.addedAt,
  }
  const ports: Ports = {
    ...local,
    trust: { read: async () => [{ label: "test", pem: world.signer.pem }] },
    devices: { ...local.devices, find: async () => device },
    keys: {
      ...local.keys,
      find: async () => key,
      identity: async () => world.identity,
    },
  }
  const request = { file: local.files.refer(file), device: DEVICE, trust: null }
  return {
    async read(seal) {
      if (seal.length !== length) ftruncateSync(descriptor, seal.length)
      length = seal.length
      writeSync(descriptor, seal, 0, seal.length, 0)
      try {
        const verdict = await verify(ports, request, silent())
        if (verdict.verdict === "verified") return "accepted"
        return verdict.checks.find(({ result }) => result === "failed")?.code ?? "INTERNAL"
      } catch (error) {
        return codeOf(error)
      }
    },
    async close() {
      closeSync(descriptor)
      rmSync(file, { force: true })
      await close()
    },
  }
}

function silent(): JobContext {
  const { signal } = new AbortController()
  return { signal, step: () => ({ signal, progress: () => {} }) }
}

function codeOf(error: unknown): Outcome {
  if (error instanceof AppError && error.code !== "INTERNAL") return error.code
  throw error
}
