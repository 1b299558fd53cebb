/**
 * Device keys in hardware: one grant opened with a key in a TPM and in a PKCS#11 token, a hundred on one PIN, and the way
 * from a device's first command to its certificates. Chip and token are simulators, which the figures name.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { followJob, type HostClient } from "../../main/contract/client.ts"
import type { Key, KeyPlace } from "../../main/contract/schema/keys.ts"
import { localEngine } from "../../main/contract/server.ts"
import { decryptBytes, encryptBytes } from "../../main/core/age/file.ts"
import { parseRecipient } from "../../main/core/age/recipients.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { createEngine } from "../../main/services/engine.ts"
import type { Ports } from "../../main/services/ports.ts"
import { scriptedPrompter } from "../support/prompter.ts"
import { seededRandom } from "../support/seeded-random.ts"
import { createSoftHsm } from "../support/softhsm.ts"
import { startSwtpm } from "../support/swtpm.ts"
import { MODELS } from "../support/workspace.ts"
import { median, type Bench, type Figure } from "./bench.ts"

const GRANTS = 100
const ENROLMENTS = 5
/** What a grant without an overlay is in size, bytes. */
const GRANT_BYTES = 1200

export const hardwareBench: Bench = {
  name: "hardware",
  async run(report) {
    const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-bench-"))
    const chip = await startSwtpm({ certificates: true })
    const token = await createSoftHsm()
    Object.assign(process.env, token.env)
    const prompter = scriptedPrompter(token.pin)
    const device = localPorts(path.join(folder, "device"), { prompter, tcti: chip.tcti })
    try {
      const figure = (values: Pick<Figure, "name" | "ours" | "unit" | "how"> & Partial<Figure>) =>
        report({ peer: null, peerValue: null, must: null, met: null, ...values })
      const software = await timeGrants(device.ports, { provider: "software", passphrase: false })
      const places = [
        { name: "tpm", kind: `swtpm ${versionOf("swtpm")}`, place: TPM },
        {
          name: "pkcs11",
          kind: `SoftHSM ${versionOf("softhsm2")}, module in its own process`,
          place: { provider: "pkcs11", uri: token.uri(), adopt: false } as const,
        },
      ]
      for (const { name, kind, place } of places) {
        const times = await timeGrants(device.ports, place)
        const how = `${GRANTS} grants of ${GRANT_BYTES} bytes one after another, ${kind}`
        const peer = "the same with a key in a file"
        for (const [label, at] of [
          ["p50", 0.5],
          ["p95", 0.95],
        ] as const) {
          const peerValue = quantile(software.each, at)
          figure({
            name: `hardware.${name}.grant.${label}`,
            ours: quantile(times.each, at),
            unit: "ms",
            peer,
            peerValue,
            how,
          })
        }
        figure({ name: `hardware.${name}.grants-100`, ours: sum(times.each), unit: "ms", how })
        figure({
          name: `hardware.${name}.first`,
          ours: times.first,
          unit: "ms",
          how: `the first one, right after the key was made: logged in already, ${kind}`,
        })
      }
      const { asked } = prompter
      figure({
        name: "hardware.pkcs11.pins",
        ours: asked.length,
        unit: "questions",
        must: "1",
        met: asked.length === 1,
        how: `PINs asked for while ${GRANTS + 1} grants were opened`,
      })
      await timePackages(folder, device.ports, figure)
      const { times, checks } = await timeEnrolments(folder, device.ports)
      figure({
        name: "hardware.enrolment.p50",
        ours: median(times),
        unit: "ms",
        how: `request, challenge, response, certificates, accepted: ${ENROLMENTS} times, ${checks} checks passed, swtpm ${versionOf("swtpm")}`,
      })
    } finally {
      await device.close()
      await chip.stop()
      token.remove()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

const TPM: KeyPlace = {
  provider: "tpm2",
  tcti: null,
  adopt: null,
  persistent: false,
  auth: false,
  pcrs: [],
}

/** Milliseconds of the first opening and of every one after it. */
async function timeGrants(
  { keys }: Ports,
  place: KeyPlace,
): Promise<{ readonly first: number; readonly each: readonly number[] }> {
  const random = seededRandom(4)
  const key = await keys.create({
    name: `bench-${place.provider}`,
    purpose: "device",
    algorithm: "P-256",
    place,
  })
  const grant = encryptBytes(random(GRANT_BYTES), [parseRecipient(key.recipient ?? "")], random)
  const times: number[] = []
  for (let i = 0; i <= GRANTS; i += 1) times.push(await timeOne(keys, key, grant))
  const [first = Number.NaN, ...each] = times
  return { first, each }
}

async function timeOne(keys: Ports["keys"], key: Key, grant: Uint8Array): Promise<number> {
  const startedAt = performance.now()
  await decryptBytes(grant, [await keys.identity(key)])
  return performance.now() - startedAt
}

/** The whole command `open` of a small package, where the chip's share shows beside everything else. */
async function timePackages(
  folder: string,
  ports: Ports,
  figure: (values: Pick<Figure, "name" | "ours" | "unit" | "how"> & Partial<Figure>) => void,
): Promise<void> {
  const engine = localEngine(createEngine(ports))
  await engine.keys.create({ name: "release", purpose: "signing" })
  for (const provider of ["software", "tpm2", "pkcs11"])
    await engine.devices.add({
      name: `bench-${provider}`,
      key: { kind: "key", name: `bench-${provider}` },
    })
  const refer = async (name: string) => engine.files.refer({ path: path.join(folder, name) })
  const medians = new Map<string, number>()
  for (const device of ["software", "tpm2", "pkcs11"]) {
    await followJob(
      await engine.protect({
        model: await engine.files.refer({ path: path.join(MODELS, "wine-linear.onnx") }),
        devices: [`bench-${device}`],
        signingKey: "release",
        escrow: [],
        mode: "individual",
        mark: null,
        output: { file: await refer(`${device}.seal`), replace: true },
      }),
    )
    const times: number[] = []
    for (let i = 0; i < 20; i += 1) {
      const startedAt = performance.now()
      const output = { file: await refer("opened.onnx"), replace: true }
      await followJob(
        await engine.open({
          file: await refer(`${device}.seal`),
          device: `bench-${device}`,
          trust: null,
          output,
        }),
      )
      times.push(performance.now() - startedAt)
    }
    medians.set(device, median(times))
  }
  for (const device of ["tpm2", "pkcs11"])
    figure({
      name: `hardware.${device}.open-package.p50`,
      ours: medians.get(device) ?? Number.NaN,
      unit: "ms",
      peer: "the same with a key in a file",
      peerValue: medians.get("software") ?? Number.NaN,
      how: "grant, signatures and payload of wine-linear.onnx, 20 times, warm",
    })
}

/** Both sides in one process; carrying the files is not counted. */
async function timeEnrolments(
  folder: string,
  ports: Ports,
): Promise<{ readonly times: readonly number[]; readonly checks: number }> {
  const device = localEngine(createEngine(ports))
  const opened = localPorts(path.join(folder, "desk"))
  const desk = localEngine(createEngine(opened.ports))
  const times: number[] = []
  let checks = 0
  try {
    for (let i = 0; i < ENROLMENTS; i += 1) {
      const startedAt = performance.now()
      checks = await enrolOnce(folder, `press-${i}`, device, desk)
      times.push(performance.now() - startedAt)
    }
    return { times, checks }
  } finally {
    await opened.close()
  }
}

async function enrolOnce(
  folder: string,
  name: string,
  device: HostClient,
  desk: HostClient,
): Promise<number> {
  const file = async (engine: HostClient, kind: string) =>
    engine.files.refer({ path: path.join(folder, `${name}.${kind}`) })
  const output = async (engine: HostClient, kind: string) => ({
    file: await file(engine, kind),
    replace: true,
  })
  const { endorsementFingerprint } = await device.enrolment.init({
    name,
    place: TPM,
    hardwareId: null,
    request: await output(device, "request"),
  })
  const enrol = async (from: string, to: string) =>
    desk.enrolment.enrol({
      file: await file(desk, from),
      output: await output(desk, to),
      roots: null,
      approve: endorsementFingerprint,
      allowUnattested: false,
    })
  await enrol("request", "challenge")
  await device.enrolment.respond({
    challenge: await file(device, "challenge"),
    output: await output(device, "response"),
  })
  const enrolled = await enrol("response", "certificates")
  if (enrolled.kind !== "enrolled" || enrolled.device.assurance !== "attested")
    throw new Error("the device was not enrolled")
  await device.enrolment.accept({ certificates: await file(device, "certificates") })
  return enrolled.checks.length
}

function quantile(values: readonly number[], at: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? Number.NaN
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function versionOf(debianPackage: string): string {
  return execFileSync("dpkg-query", ["-W", "-f", "${Version}", debianPackage], { encoding: "utf8" })
}
