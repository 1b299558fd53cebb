import { spawn } from "node:child_process"
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { toUtf8 } from "../../../main/core/bytes/bytes.ts"
import { nextDeviceNumber, readSegment } from "../../../main/core/watermark/ledger.ts"
import { OpenLedger, type LedgerPorts } from "../../../main/services/ledger/open-ledger.ts"
import { ledgerPorts } from "../../support/ledger-ports.ts"
import { ROOT, sharedFolder } from "../../support/workspace.ts"

const folder = sharedFolder()
const at = (name: string) => path.join(folder, name)
const AT = "2026-01-01T00:00:00.000Z"
const DEVICE = { kind: "device", name: "press-07", number: 1, at: AT }

/** Runs the writer in a process of its own. `killAt` counts steps of the file system. */
async function write(
  workspace: string,
  names: readonly string[],
  killAt: number | null,
): Promise<{ readonly signal: string | null; readonly steps: number }> {
  const { KILL_AT: _, ...environment } = process.env
  const child = spawn(
    process.execPath,
    [
      "--import",
      path.join(ROOT, "test/support/kill-at-step.mjs"),
      path.join(ROOT, "test/support/ledger-writer.ts"),
      workspace,
      ...names,
    ],
    { env: killAt === null ? environment : { ...environment, KILL_AT: String(killAt) } },
  )
  let output = ""
  child.stdout.on("data", (bytes: Buffer) => {
    output += bytes.toString()
  })
  return new Promise((resolve) => {
    child.once("close", (_code, signal) => resolve({ signal, steps: Number(output.trim()) }))
  })
}

async function devicesOf(workspace: string): Promise<readonly string[] | null> {
  const ports = ledgerPorts(workspace)
  if ((await ports.ledger.read()) === null) return null
  const ledger = await OpenLedger.open(ports)
  ledger.close()
  return [...ledger.state.devices.keys()]
}

/** Makes the ledger if need be and adds devices, in this process. */
async function grow(workspace: string, names: readonly string[]): Promise<void> {
  const { ledger } = await OpenLedger.openOrCreate(ledgerPorts(workspace))
  for (const name of names)
    await ledger.append((state) => [{ kind: "device", name, number: nextDeviceNumber(state), at: AT }])
  ledger.close()
}

async function inWorkspace<T>(workspace: string, action: (ports: LedgerPorts) => Promise<T>): Promise<T> {
  return action(ledgerPorts(workspace))
}

beforeAll(async () => grow(at("grown"), ["one", "two"]))

// Slow because every step is a process of its own.
describe("killed at any step of any write", { timeout: 240_000 }, () => {
  test("a ledger that is being made is whole or not there, and can be made afterwards", async () => {
    const { steps } = await write(at("count-init"), [], null)
    expect(steps).toBeGreaterThan(10)
    await inParallel(steps, async (step) => {
      const workspace = at(`init-${step}`)
      expect((await write(workspace, [], step)).signal).toBe("SIGKILL")
      const before = await devicesOf(workspace)
      expect(before === null || before.length === 0).toBe(true)
      await grow(workspace, ["after"])
      expect(await devicesOf(workspace)).toEqual(["after"])
    })
  })

  test("what was added before is never lost, what is being added is there whole or not at all", async () => {
    const { steps } = await write(copyOf("grown", "count-append"), ["three"], null)
    expect(steps).toBeGreaterThan(5)
    await inParallel(steps, async (step) => {
      const workspace = copyOf("grown", `append-${step}`)
      expect((await write(workspace, ["three"], step)).signal).toBe("SIGKILL")
      const after = await devicesOf(workspace)
      expect([["one", "two"].join(), ["one", "two", "three"].join()]).toContain(after?.join())
      await grow(workspace, ["four"])
      expect(await devicesOf(workspace)).toEqual([...(after ?? []), "four"])
    })
  })
})

describe("a ledger of version 1", () => {
  test("opens with the copies it records, and goes on as one of version 2", async () => {
    cpSync(path.join(ROOT, "test/vectors/ledger-1"), at("version-1"), { recursive: true })
    await inWorkspace(at("version-1"), async (ports) => {
      const ledger = await OpenLedger.open(ports)
      const [issued] = ledger.state.issued
      if (issued === undefined) throw new Error("the ledger records no copy")
      expect(ledger.state.receipts.size).toBe(0)
      await expect(ledger.append(() => [issued])).toFailWithCode("LEDGER_DAMAGED")
      const commitment = ledger.state.plans.get(issued.modelHash)?.commitment ?? ""
      await ledger.append(() => [{ kind: "receipt", commitment, bundle: "e30=", at: issued.at }, issued])
      ledger.close()
      const again = await OpenLedger.open(ports)
      expect(again.segments).toBe(4)
      expect(again.state.issued).toEqual([issued, issued])
      again.close()
    })
  })

  test("is refused behind a segment of version 2", async () => {
    const old = toUtf8(JSON.stringify({ version: 1, number: 2, previous: "0".repeat(64), entries: [DEVICE] }))
    expect(readSegment(old, 2, "0".repeat(64), 1).entries).toEqual([DEVICE])
    await expect(() => readSegment(old, 2, "0".repeat(64), 2)).toFailWithCode("LEDGER_DAMAGED")
  })
})

describe("a ledger", () => {
  test("is written for its owner alone, and nothing in it but its recipients can be read without the key", async () => {
    await grow(at("private"), ["press-07"])
    const home = at("private/ledger")
    for (const name of readdirSync(home, { recursive: true, encoding: "utf8" })) {
      const stats = statSync(path.join(home, name))
      expect(stats.mode & 0o077).toBe(0)
      if (!stats.isFile() || name === "owner.txt") continue
      const bytes = readFileSync(path.join(home, name))
      expect(bytes.includes("press-07")).toBe(false)
      if (name.endsWith(".age")) expect(bytes.toString("latin1")).toMatch(/^age-encryption.org\/v1\n/)
    }
  })

  test("two writers at once both get their entries in, each under a number of its own", async () => {
    await grow(at("shared"), [])
    await Promise.all(["a", "b", "c", "d"].map(async (name) => write(at("shared"), [name], null)))
    await inWorkspace(at("shared"), async (ports) => {
      const { state } = await OpenLedger.open(ports)
      expect([...state.devices.keys()].sort()).toEqual(["a", "b", "c", "d"])
      expect(new Set(state.devices.values())).toEqual(new Set([1, 2, 3, 4]))
      expect(nextDeviceNumber(state)).toBe(5)
    })
  })

  test.each([
    [
      "a segment that is missing",
      (home: string) => rmSync(path.join(home, "segments/000001.age")),
      "LEDGER_DAMAGED",
    ],
    [
      "a segment in another's place",
      (home: string) => {
        renameSync(path.join(home, "segments/000001.age"), path.join(home, "x"))
        renameSync(path.join(home, "segments/000002.age"), path.join(home, "segments/000001.age"))
        renameSync(path.join(home, "x"), path.join(home, "segments/000002.age"))
      },
      "LEDGER_DAMAGED",
    ],
    [
      "an altered segment",
      (home: string) => {
        const file = path.join(home, "segments/000002.age")
        const bytes = readFileSync(file)
        bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 1
        writeFileSync(file, bytes)
      },
      "AGE_PAYLOAD_FORGED",
    ],
    ["no master key", (home: string) => rmSync(path.join(home, "master.age")), "LEDGER_DAMAGED"],
    ["no owner key", (home: string) => rmSync(path.join(home, "owner.txt")), "KEY_UNREADABLE"],
    [
      "another owner's key",
      (home: string) => cpSync(at("other/ledger/owner.txt"), path.join(home, "owner.txt")),
      "WRONG_KEY",
    ],
  ] as const)("with %s is refused", async (name, spoil, code) => {
    await grow(at("other"), [])
    const workspace = copyOf("grown", `spoiled ${name}`)
    spoil(path.join(workspace, "ledger"))
    await inWorkspace(workspace, async (ports) => {
      await expect(OpenLedger.open(ports)).toFailWithCode(code)
    })
  })

  test("is not there until it is made", async () => {
    await inWorkspace(at("empty"), async (ports) => {
      await expect(OpenLedger.open(ports)).toFailWithCode("LEDGER_NOT_FOUND")
    })
  })

  test("refuses entries that contradict what it says", async () => {
    await grow(at("strict"), ["one"])
    await inWorkspace(at("strict"), async (ports) => {
      const ledger = await OpenLedger.open(ports)
      const again = ledger.append(() => [{ kind: "device", name: "two", number: 1, at: AT }])
      await expect(again).toFailWithCode("LEDGER_DAMAGED")
      const { header } = ledger
      expect(header.recipients.length).toBe(1)
      expect(ledger.segments).toBe(1)
      ledger.close()
      expect(ledger.masterKey.every((byte) => byte === 0)).toBe(true)
    })
  })
})

function copyOf(from: string, to: string): string {
  mkdirSync(at(to), { recursive: true })
  cpSync(at(from), at(to), { recursive: true })
  return at(to)
}

async function inParallel(steps: number, action: (step: number) => Promise<void>): Promise<void> {
  let next = 1
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      while (next <= steps) await action(next++)
    }),
  )
}
