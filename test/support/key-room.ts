/**
 * DESIGN, principle 5: the key is never in the room. Private scalars that the test knows, because it brought them into the
 * chip and the token itself, are looked for in every process, file and core dump of ours while packages are sealed and opened.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { generateKeyPairSync, randomBytes } from "node:crypto"
import { once } from "node:events"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import path from "node:path"
import { createInterface } from "node:readline"
import { Writable } from "node:stream"
import { expect, onTestFinished } from "vitest"
import { readHeaderOf, unwrapFileKey } from "../../main/core/age/file.ts"
import { softwareP256, type P256Key } from "../../main/core/age/p256.ts"
import { p256TagIdentity } from "../../main/core/age/p256tag.ts"
import { sliceSource, sourceOf } from "../../main/core/bytes/source.ts"
import { readSealFile } from "../../main/core/oci/seal-file.ts"
import { descendants, type Scanner, type ScannerOptions } from "./memory-scanner.ts"
import { createSoftHsm, SOFTHSM_MODULE, type SoftHsm } from "./softhsm.ts"
import { startSwtpm } from "./swtpm.ts"
import { importKey } from "./tpm-keys.ts"
import { MODELS, ROOT, temporaryFolder } from "./workspace.ts"

/** Time after its use in which a file key may still be found. */
const GRACE_MS = 100
const DEVICES = 2

/** What was found, for the record: all but `canaries` and `inModule` must be 0. */
interface RoomScan {
  readonly passes: number
  readonly bytesPerPass: number
  /** Null where the kernel hands core dumps to another program. */
  readonly coreBytes: number | null
  readonly writtenBytes: number
  readonly questions: number
  readonly canaries: number
  /** Forms of private scalars in the memory of our processes at any time, in all files they wrote, and in a core dump. */
  readonly scalars: { readonly memory: number; readonly files: number; readonly core: number }
  /** File keys and ECDH results found after the grace in all our processes, and how many there were to find. */
  readonly fileKeys: number
  readonly sharedSecrets: number
  readonly looked: number
  /** Forms of the token key's scalar in the process that has the simulated token's module loaded. */
  readonly inModule: number
}

/** Seals `packages` packages for two devices each and opens all, watched from the first to the last. */
async function scanRoom(
  newScanner: (windows: Uint8Array, options?: ScannerOptions) => Scanner,
  packages: number,
): Promise<RoomScan> {
  const chip = await startSwtpm()
  onTestFinished(async () => chip.stop())
  const token = await createSoftHsm("room")
  onTestFinished(() => token.remove())
  const folder = temporaryFolder()
  const [release, inTpm, inHsm] = [newKey(), newKey(), newKey()]
  await importKey(chip, release.pem, 0x81000041, "sign")
  await importKey(chip, inTpm.pem, 0x81000042, "decrypt")
  await importIntoToken(token, inHsm)

  const canary = randomBytes(32)
  mkdirSync(path.join(folder, "temporary"))
  const model = path.join(MODELS, "wine-linear.onnx")
  const room = startRoom([folder, model, String(packages), token.uri("object=device")], {
    ...token.env,
    SEALWRIGHT_TCTI: chip.tcti,
    TMPDIR: path.join(folder, "temporary"),
  })
  give(room.child, 3, `${token.pin}\n`) // once: a second question would find nothing to read
  room.child.stdin?.write(`${canary.toString("hex")}\n`)
  const pid = room.child.pid ?? 0
  const isModule = (process: number) => commandOf(process).includes("pkcs11/host")
  const ours = () => [pid, ...descendants(pid).filter((process) => !isModule(process))]

  const forms = [release, inTpm, inHsm].flatMap(({ scalar }) => formsOf(scalar))
  const scalarScanner = newScanner(Buffer.concat(forms))
  let passes = 0
  let inMemory = 0
  const look = async (scanner: Scanner, processes: readonly number[]) => {
    let found = 0
    let bytes = 0
    for (const process of processes) {
      const scan = await scanner.memory(process)
      if (scan.kind === "refused") continue // it ended while we looked
      found += scan.found
      bytes += scan.bytes
    }
    return { found, bytes }
  }
  const sealed = room.next<{ readonly questions: number }>()
  const opened = sealed.then(async () => room.next<{ readonly questions: number }>())
  const over = opened.then(
    () => true,
    () => true,
  )
  for (let isOver = false; !isOver; isOver = await Promise.race([over, Promise.resolve(false)])) {
    inMemory += (await look(scalarScanner, ours())).found
    passes += 1
  }
  const { questions } = await opened

  const secrets = await secretsOf(folder, packages, [inTpm.scalar, inHsm.scalar])
  const keyScanner = newScanner(Buffer.concat(secrets.fileKeys), { width: 16 })
  const sharedScanner = newScanner(Buffer.concat(secrets.shared))
  const canaryScanner = newScanner(canary)
  await new Promise((resolve) => setTimeout(resolve, GRACE_MS))
  const fileKeys = (await look(keyScanner, [pid, ...descendants(pid)])).found
  const sharedSecrets = (await look(sharedScanner, [pid, ...descendants(pid)])).found
  const last = await look(scalarScanner, ours())
  const canaries = (await look(canaryScanner, [pid])).found
  const inModule = await look(
    newScanner(Buffer.concat(formsOf(inHsm.scalar))),
    descendants(pid).filter(isModule),
  )
  room.child.kill("SIGABRT")
  await once(room.child, "exit")
  const core = dumpIn(folder)
  const coreBytes = core === null ? null : await scanCore(core, scalarScanner, canaryScanner)
  const written = await scalarScanner.folder(folder)
  return {
    passes,
    bytesPerPass: last.bytes,
    coreBytes: coreBytes?.bytes ?? null,
    writtenBytes: written.bytes,
    questions,
    canaries,
    scalars: { memory: inMemory + last.found, files: written.found, core: coreBytes?.found ?? 0 },
    fileKeys,
    sharedSecrets,
    looked: secrets.fileKeys.length + secrets.shared.length,
    inModule: inModule.found,
  }
}

/** What a scan has to see: that it can see, that the PIN was asked for once, and otherwise nothing. */
export async function expectEmptyRoom(
  newScanner: (windows: Uint8Array, options?: ScannerOptions) => Scanner,
  packages: number,
): Promise<void> {
  const scan = await scanRoom(newScanner, packages)
  console.log(`room: ${JSON.stringify(scan)}`)
  expect(scan.canaries, "the scanner sees what is there").toBe(1)
  // A package and a grant for each device, each with a file key and an ECDH result.
  expect(scan.looked).toBe(packages * DEVICES * 2 * 2)
  expect(scan.passes).toBeGreaterThan(0)
  expect(scan.questions, "PINs asked for").toBe(1)
  expect(scan.scalars).toEqual({ memory: 0, files: 0, core: 0 })
  expect({ fileKeys: scan.fileKeys, sharedSecrets: scan.sharedSecrets }).toEqual({
    fileKeys: 0,
    sharedSecrets: 0,
  })
}

interface TestKey {
  readonly pem: string
  readonly der: { readonly privkey: Buffer; readonly pubkey: Buffer }
  readonly scalar: Uint8Array
}

function newKey(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
  return {
    pem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    der: {
      privkey: privateKey.export({ type: "pkcs8", format: "der" }),
      pubkey: publicKey.export({ type: "spki", format: "der" }),
    },
    scalar: Buffer.from(privateKey.export({ format: "jwk" }).d ?? "", "base64url"),
  }
}

async function importIntoToken(token: SoftHsm, key: TestKey): Promise<void> {
  const login = ["--module", SOFTHSM_MODULE, "--login", "--pin", token.pin, "--token-label", "room"]
  const object = ["--label", "device", "--id", "01", "--usage-derive"]
  for (const [type, der] of Object.entries(key.der)) {
    writeFileSync(token.at("key.der"), der)
    await token.tool("pkcs11-tool", ...login, "--write-object", "key.der", "--type", type, ...object)
    writeFileSync(token.at("key.der"), Buffer.alloc(der.length))
  }
}

/**
 * 32-byte windows of the forms in which a number may lie in memory or in a file: either byte order, hex, and base64 at each
 * of its three offsets, the texts with 8 and 16 bits a character.
 */
function formsOf(secret: Uint8Array): readonly Uint8Array[] {
  const bytes = Buffer.from(secret)
  const hex = bytes.toString("hex")
  const base64 = [0, 1, 2].map((offset) =>
    Buffer.concat([Buffer.alloc(offset), bytes])
      .toString("base64")
      // Characters that also hold bits of what stands around the number are left out.
      .slice(offset === 0 ? 0 : offset + 1, 40),
  )
  const texts = [hex, hex.toUpperCase(), ...base64]
  return [
    bytes,
    Buffer.from(bytes.toReversed()),
    ...texts.flatMap((text) => [
      Buffer.from(text.slice(0, 32), "latin1"),
      Buffer.from(text.slice(0, 16), "utf16le"),
    ]),
  ]
}

/** File keys (with the payload keys made of them) and ECDH results of every package and grant, found with the scalars. */
async function secretsOf(
  folder: string,
  packages: number,
  scalars: readonly Uint8Array[],
): Promise<{ readonly fileKeys: readonly Uint8Array[]; readonly shared: readonly Uint8Array[] }> {
  const shared: Uint8Array[] = []
  const identities = scalars.map((scalar) => {
    const key = softwareP256(scalar)
    const watched: P256Key = {
      publicPoint: key.publicPoint,
      ecdh: async (point) => {
        const secret = await key.ecdh(point)
        shared.push(Uint8Array.from(secret))
        return secret
      },
    }
    return p256TagIdentity(watched)
  })
  const fileKeys: Uint8Array[] = []
  for (let index = 0; index < packages; index += 1) {
    const source = sourceOf(readFileSync(path.join(folder, `${index}.seal`)))
    const { packages: sealed, grants } = await readSealFile(source)
    for (const { entry } of [...sealed, ...grants]) {
      const file = sliceSource(source, entry.offset, entry.size)
      fileKeys.push(await unwrapFileKey(await readHeaderOf(file), identities))
    }
  }
  return { fileKeys, shared }
}

/** The core file a process left in its working folder, or null where the kernel does not put it there. */
function dumpIn(folder: string): string | null {
  const pattern = readFileSync("/proc/sys/kernel/core_pattern", "latin1")
  if (/[|/]/.test(pattern)) return null
  const name = readdirSync(folder).find((file) => file.startsWith("core"))
  if (name === undefined) throw new Error("the room left no core dump")
  return path.join(folder, name)
}

/** What the dump holds of the scalars; the canary shows that it holds the process. The file is removed. */
async function scanCore(file: string, scalars: Scanner, canary: Scanner) {
  const [found, control] = [await scalars.file(file), await canary.file(file)]
  rmSync(file)
  if (found.kind === "refused" || control.kind === "refused" || control.found !== 1)
    throw new Error("the core dump does not hold the process")
  return found
}

/** Works in its folder (the first argument), so that whatever it leaves is left there. */
function startRoom(args: readonly string[], env: NodeJS.ProcessEnv) {
  const command = [process.execPath, path.join(ROOT, "test/support/room.ts"), ...args]
  const child: ChildProcess = spawn("sh", ["-c", 'ulimit -c unlimited; exec "$@"', "sh", ...command], {
    cwd: args[0],
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "inherit", "pipe"],
  })
  onTestFinished(() => void child.kill())
  if (child.stdout === null) throw new Error("it was started with a pipe")
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    next: async <T>(): Promise<T> => {
      const { value, done } = await lines.next()
      if (done === true) throw new Error("the room ended early")
      return JSON.parse(value) as T // what room.ts prints
    },
  }
}

function give(child: ChildProcess, descriptor: number, text: string): void {
  const pipe = child.stdio[descriptor]
  if (pipe instanceof Writable) pipe.end(text)
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8")
  } catch {
    return "" // it has ended
  }
}
