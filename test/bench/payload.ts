/**
 * The payload engine beside `cp` and the tools people encrypt files with. All rows alternate in one run, on a file system
 * in memory, so that what else the machine does hits all of them alike.
 */
import { randomBytes } from "node:crypto"
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import path from "node:path"
import { encryptBytes, openHeader, startFile } from "../../main/core/age/file.ts"
import { softwareP256 } from "../../main/core/age/p256.ts"
import { p256TagRecipient } from "../../main/core/age/p256tag.ts"
import { parseIdentity, parseRecipient } from "../../main/core/age/recipients.ts"
import { generateX25519, x25519IdentityText } from "../../main/core/age/x25519.ts"
import type { BatchBackend } from "../../main/platform/payload/backend.ts"
import { nativeBackend } from "../../main/platform/payload/native-backend.ts"
import { payloadEngine } from "../../main/platform/payload/pipeline.ts"
import { workerBackend } from "../../main/platform/payload/worker-backend.ts"
import type { JobControl } from "../../main/services/ports.ts"
import { nativePayload } from "../../native/lib/payload.ts"
import { sourceOfFile, writeRandom } from "../support/age-files.ts"
import { tagScalar } from "../support/tag-keys.ts"
import { seededRandom } from "../support/seeded-random.ts"
import { median, type Bench, type Figure } from "./bench.ts"
import { timeCommand } from "./peers.ts"

const RUNS = 7
const GIB = 2 ** 30
const GRANTS = 1000
const GRANT_BYTES = 64 << 10
const RANDOM = (size: number) => new Uint8Array(randomBytes(size))
const CONTROL: JobControl = {
  signal: new AbortController().signal,
  progress: () => {},
}
const HOW = `1 GiB on tmpfs, medians of ${RUNS}, rows alternating in one run; ours in the engine's process, peers as programs`

export const payloadBench: Bench = {
  name: "payload",
  async run(report) {
    const folder = mkdtempSync("/dev/shm/sealwright-bench-")
    try {
      for (const figure of await oneGibibyte(folder)) report(figure)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
    report(grants())
  },
}

async function oneGibibyte(folder: string): Promise<readonly Figure[]> {
  const native = nativePayload()
  if (native === null) throw new Error("the addon is not built")
  const at = (name: string) => path.join(folder, name)
  writeRandom(at("plain"), GIB)
  const { secretKey, recipient } = generateX25519(RANDOM)
  const identity = x25519IdentityText(secretKey)
  const keyFile = openSync(at("identity"), "w", 0o600)
  writeSync(keyFile, `${identity}\n`)
  closeSync(keyFile)
  const rows = new Rows()
  const workers = workerBackend(2)
  const ours = nativeBackend(native)
  const encrypt = async (backend: BatchBackend, digests: boolean) =>
    encryptFile(backend, at("plain"), at("ours.age"), recipient, digests)
  try {
    for (let run = 0; run < RUNS; run += 1) {
      rows.add("cp", timeCommand(at("copy"), "cp", [at("plain"), at("copy")]))
      rmSync(at("copy"))
      rows.add("encrypt with node:crypto workers", await encrypt(workers, false))
      rows.add("encrypt", await encrypt(ours, false))
      rows.add("decrypt", await decryptFile(ours, at("ours.age"), at("back"), identity, false))
      rmSync(at("back"))
      rows.add("encrypt with all digests", await encrypt(ours, true))
      rows.add(
        "decrypt with all digests",
        await decryptFile(ours, at("ours.age"), at("back"), identity, true),
      )
      rmSync(at("back"))
      rmSync(at("ours.age"))
      rows.add(
        "age",
        timeCommand(at("peer.age"), "age", ["-r", recipient, "-o", at("peer.age"), at("plain")]),
      )
      rows.add(
        "age -d",
        timeCommand(at("back"), "age", ["-d", "-i", at("identity"), "-o", at("back"), at("peer.age")]),
      )
      rmSync(at("back"))
      rmSync(at("peer.age"))
      rows.add(
        "openssl enc",
        timeCommand(
          at("peer"),
          "openssl",
          ["enc", "-aes-256-ctr", "-pbkdf2", "-pass", "stdin", "-in", at("plain"), "-out", at("peer")],
          "bench\n",
        ),
      )
      rows.add(
        "gpg --symmetric",
        timeCommand(
          at("peer"),
          "gpg",
          [
            "--homedir",
            folder,
            "--batch",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--passphrase-fd",
            "0",
            "--symmetric",
            "--cipher-algo",
            "AES256",
            "--compress-algo",
            "none",
            "-o",
            at("peer"),
            at("plain"),
          ],
          "bench\n",
        ),
      )
      rmSync(at("peer"))
    }
  } finally {
    await workers.close()
  }
  return [
    rows.figure(
      "encrypt 1 GiB to one recipient",
      "encrypt",
      "age",
      "at least 1.6 times faster (aim 1.9)",
      (ratio) => ratio <= 1 / 1.6,
    ),
    rows.figure(
      "decrypt 1 GiB",
      "decrypt",
      "age -d",
      "at least 1.6 times faster (aim 1.9)",
      (ratio) => ratio <= 1 / 1.6,
    ),
    rows.figure(
      "encrypt against copying",
      "encrypt",
      "cp",
      "at most 1.35 times (aim 1.15)",
      (ratio) => ratio <= 1.35,
    ),
    rows.figure(
      "encrypt with every digest of one pass",
      "encrypt with all digests",
      "encrypt",
      "at most 1.7 times (aim 1.3)",
      (ratio) => ratio <= 1.7,
    ),
    rows.figure("decrypt with every digest", "decrypt with all digests", "decrypt", null, () => true),
    rows.figure("encrypt against openssl enc -aes-256-ctr", "encrypt", "openssl enc", null, () => true),
    rows.figure("encrypt against gpg --symmetric AES256", "encrypt", "gpg --symmetric", null, () => true),
    rows.figure(
      "native batches against node:crypto workers",
      "encrypt",
      "encrypt with node:crypto workers",
      "at most 0.8 times, or the addon goes",
      (ratio) => ratio <= 0.8,
    ),
  ]
}

class Rows {
  readonly #seconds = new Map<string, number[]>()

  add(row: string, seconds: number): void {
    const known = this.#seconds.get(row)
    if (known === undefined) this.#seconds.set(row, [seconds])
    else known.push(seconds)
  }

  figure(
    name: string,
    ours: string,
    peer: string,
    must: string | null,
    isMet: (ratio: number) => boolean,
  ): Figure {
    const [mine, theirs] = [ours, peer].map((row) => median(this.#seconds.get(row) ?? []))
    if (mine === undefined || theirs === undefined) throw new Error("a row is missing")
    return {
      name,
      ours: mine,
      unit: "s",
      peer,
      peerValue: theirs,
      must,
      met: must === null ? null : isMet(mine / theirs),
      how: HOW,
    }
  }
}

async function encryptFile(
  backend: BatchBackend,
  from: string,
  to: string,
  recipient: string,
  digests: boolean,
): Promise<number> {
  rmSync(to, { force: true })
  const startedAt = performance.now()
  const input = openSync(from, "r")
  const output = openSync(to, "w")
  const { prefix, key } = startFile([parseRecipient(recipient)], RANDOM)
  const length = fstatSync(input).size
  const parts = [{ kind: "file", file: input, offset: 0, length, digest: digests }] as const
  const job = {
    prefix,
    key,
    parts,
    output: { file: output, offset: 0 },
    digest: digests,
  }
  await payloadEngine(backend).encrypt(job, CONTROL)
  closeSync(input)
  closeSync(output)
  return (performance.now() - startedAt) / 1000
}

async function decryptFile(
  backend: BatchBackend,
  from: string,
  to: string,
  identity: string,
  digests: boolean,
): Promise<number> {
  rmSync(to, { force: true })
  const startedAt = performance.now()
  const input = openSync(from, "r")
  const output = openSync(to, "w")
  const opened = await openHeader(sourceOfFile(input), [parseIdentity(identity)])
  const target = { file: output, offset: 0 }
  const parts = [{ offset: 0, length: opened.plainBytes, target, digest: digests }]
  await payloadEngine(backend).decrypt({ ...opened, file: input, offset: 0, parts, digest: digests }, CONTROL)
  closeSync(input)
  closeSync(output)
  return (performance.now() - startedAt) / 1000
}

/** Grants as protect issues them: one small age file a device. */
function grants(): Figure {
  const random = seededRandom(1)
  const plain = random(GRANT_BYTES)
  const recipient = p256TagRecipient(softwareP256(tagScalar).publicPoint)
  const seconds: number[] = []
  for (let run = 0; run < RUNS; run += 1) {
    const startedAt = performance.now()
    for (let index = 0; index < GRANTS; index += 1) encryptBytes(plain, [recipient], random)
    seconds.push((performance.now() - startedAt) / 1000)
  }
  const perSecond = GRANTS / median(seconds)
  return {
    name: "grants of 64 KiB to p256tag recipients",
    ours: perSecond,
    unit: "1/s",
    peer: null,
    peerValue: null,
    must: "at least 300/s (aim 1,000)",
    met: perSecond >= 300,
    how: `${GRANTS} in a row on one thread, median of ${RUNS}`,
  }
}
