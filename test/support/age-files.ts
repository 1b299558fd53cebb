/** Files through the payload engine and through Debian's age, both ways. */
import { execFileSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { closeSync, createReadStream, fstatSync, openSync, readSync, writeFileSync, writeSync } from "node:fs"
import path from "node:path"
import { openHeader, startFile } from "../../main/core/age/file.ts"
import { parseIdentity, parseRecipient } from "../../main/core/age/recipients.ts"
import { generateX25519, x25519IdentityText } from "../../main/core/age/x25519.ts"
import type { ByteSource } from "../../main/core/bytes/source.ts"
import { nativeBackend } from "../../main/platform/payload/native-backend.ts"
import { payloadEngine } from "../../main/platform/payload/pipeline.ts"
import type { JobControl } from "../../main/services/ports.ts"
import { nativePayload } from "../../native/lib/payload.ts"

const random = (size: number) => new Uint8Array(randomBytes(size))

/** Writes `size` random bytes, seals them with one program and opens them with the other; returns the three digests. */
export async function roundTrips(
  folder: string,
  size: number,
): Promise<{
  readonly plain: string
  readonly oursByAge: string
  readonly agesByUs: string
}> {
  const at = (name: string) => path.join(folder, name)
  const { secretKey, recipient } = generateX25519(random)
  const identity = x25519IdentityText(secretKey)
  writeFileSync(at("identity"), `${identity}\n`, { mode: 0o600 })
  writeRandom(at("plain"), size)
  await seal(at("plain"), at("ours.age"), recipient)
  age(["-d", "-i", at("identity"), at("ours.age")], at("ours.back"))
  age(["-r", recipient, at("plain")], at("age.age"))
  await open(at("age.age"), at("age.back"), identity)
  return {
    plain: await sha256(at("plain")),
    oursByAge: await sha256(at("ours.back")),
    agesByUs: await sha256(at("age.back")),
  }
}

/** Its own `-o` makes no file for an empty plaintext. */
function age(args: readonly string[], to: string): void {
  const output = openSync(to, "w")
  try {
    execFileSync("age", args, { stdio: ["ignore", output, "inherit"] })
  } finally {
    closeSync(output)
  }
}

async function seal(from: string, to: string, recipient: string): Promise<void> {
  await withFiles(from, to, async (input, output) => {
    const { prefix, key } = startFile([parseRecipient(recipient)], random)
    const length = fstatSync(input).size
    const parts = [{ kind: "file", file: input, offset: 0, length, digest: true }] as const
    await engine().encrypt(
      { prefix, key, parts, output: { file: output, offset: 0 }, digest: true },
      control(),
    )
  })
}

async function open(from: string, to: string, identity: string): Promise<void> {
  await withFiles(from, to, async (input, output) => {
    const opened = await openHeader(sourceOfFile(input), [parseIdentity(identity)])
    const target = { file: output, offset: 0 }
    const parts = [{ offset: 0, length: opened.plainBytes, target, digest: true }]
    await engine().decrypt({ ...opened, file: input, offset: 0, parts, digest: true }, control())
  })
}

async function withFiles(
  from: string,
  to: string,
  work: (input: number, output: number) => Promise<void>,
): Promise<void> {
  const input = openSync(from, "r")
  const output = openSync(to, "w")
  try {
    await work(input, output)
  } finally {
    closeSync(input)
    closeSync(output)
  }
}

function engine() {
  const native = nativePayload()
  if (native === null) throw new Error("the addon is built before the tests run")
  return payloadEngine(nativeBackend(native))
}

function control(): JobControl {
  return { signal: new AbortController().signal, progress: () => {} }
}

/** An open file as a source. */
export function sourceOfFile(file: number): ByteSource {
  return {
    size: fstatSync(file).size,
    read: async (offset, length) => {
      const bytes = new Uint8Array(length)
      readSync(file, bytes, 0, length, offset)
      return bytes
    },
  }
}

/** Random bytes, since some tools compress and some file systems share zeros. */
export function writeRandom(name: string, size: number): void {
  const file = openSync(name, "w")
  const block = randomBytes(Math.min(size, 1 << 24))
  for (let at = 0; at < size; at += block.length) writeSync(file, block, 0, Math.min(block.length, size - at))
  closeSync(file)
}

async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256")
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest("hex")
}
