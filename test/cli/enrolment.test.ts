import { execFile } from "node:child_process"
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Enrolled, Initialised } from "../../main/contract/schema/enrolment.ts"
import type { Device, KeyPlace } from "../../main/contract/schema/keys.ts"
import type { HostClient } from "../../main/contract/client.ts"
import { CA, issue } from "../support/certificates.ts"
import { TRANSPORTS } from "../support/engines.ts"
import { startSwtpm, type Swtpm } from "../support/swtpm.ts"
import { sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const at = (name: string) => path.join(folder, name)
let desk: HostClient
let device: HostClient
let tpm: Swtpm
const closing: (() => Promise<void>)[] = []
const software: KeyPlace = { provider: "software", passphrase: false }

beforeAll(async () => {
  tpm = await startSwtpm({ certificates: "own-maker" })
  desk = openEngine("desk")
  device = openEngine("device")
})
afterAll(async () => {
  for (const close of closing) await close()
  await tpm.stop()
})

describe("a device with software keys", () => {
  it("is enrolled by four files at level software, with certificates OpenSSL verifies", async () => {
    const made = await init("press-01", software)
    expect(made.device).toMatchObject({ assurance: "software", holdsKey: true })
    expect(await enrol("press-01.request", "press-01.challenge")).toMatchObject({ kind: "challenged" })
    await respond("press-01")
    const enrolled = await enrol("press-01.response", "press-01.certificates")
    if (enrolled.kind !== "enrolled") throw new Error(JSON.stringify(enrolled))
    expect(enrolled.device).toMatchObject({
      assurance: "software",
      holdsKey: false,
      recipient: made.device.recipient,
    })
    expect(enrolled.checks.map(({ id, result }) => [id, result])).toEqual([
      ["signature", "passed"],
      ["fresh", "passed"],
      ["possession", "passed"],
    ])
    const accepted = await device.enrolment.accept({
      certificates: await device.files.refer({ path: at("press-01.certificates") }),
    })
    expect(accepted).toMatchObject({ device: "press-01", assurance: "software" })
    await expectVerifies(enrolled.device, "OK")
  })

  it("is refused a second time with the same answer, and under a name that is taken", async () => {
    await expect(enrol("press-01.response", "again")).toFailWithCode("ATTESTATION_REFUSED")
    await expect(enrol("press-01.request", "again")).toFailWithCode("DEVICE_EXISTS")
  })

  it("answers no challenge that was made for another request", async () => {
    await init("press-02", software)
    await enrol("press-02.request", "press-02.challenge")
    const foreign = JSON.parse(readFileSync(at("press-02.challenge"), "utf8")) as Record<string, unknown> // our own document
    writeFileSync(at("foreign.challenge"), JSON.stringify({ ...foreign, request: "0".repeat(64) }))
    await expect(
      device.enrolment.respond({
        challenge: await device.files.refer({ path: at("foreign.challenge") }),
        output: await output("x"),
      }),
    ).toFailWithCode("ATTESTATION_REFUSED")
  })

  it("is refused when the answer was signed by another device", async () => {
    await init("press-03", software)
    await enrol("press-03.request", "press-03.challenge")
    await respond("press-02")
    const swapped = JSON.parse(readFileSync(at("press-03.challenge"), "utf8")) as { readonly id: string } // our own document
    const answer = readFileSync(at("press-02.response"), "utf8")
    const bundle = JSON.parse(answer) as { dsseEnvelope: { payload: string } } // a Sigstore bundle
    const statement = Buffer.from(bundle.dsseEnvelope.payload, "base64").toString("utf8")
    const id = /"challenge": "([0-9a-f]{32})"/.exec(statement)?.[1] ?? ""
    bundle.dsseEnvelope.payload = Buffer.from(statement.replace(id, swapped.id)).toString("base64")
    writeFileSync(at("forged.response"), JSON.stringify(bundle))
    const refused = await enrol("forged.response", "y")
    expect(refused.kind).toBe("refused")
    expect(refused.checks[0]).toMatchObject({ id: "signature", result: "failed" })
  })

  it("has its certificates withdrawn by a list that OpenSSL believes", async () => {
    const issued = await desk.enrolment.revoke({ devices: ["press-01"], output: await output("devices.crl") })
    expect(issued.serials).toHaveLength(2)
    await expectVerifies(await desk.devices.show({ name: "press-01" }), "revoked", [
      "-crl_check",
      "-CRLfile",
      at("devices.crl"),
    ])
    const next = await desk.enrolment.revoke({ devices: [], output: await output("next.crl") })
    expect(next).toMatchObject({ number: issued.number + 1, serials: issued.serials })
  })
})

describe("a device with a TPM", () => {
  it("is refused while nobody vouches for its endorsement key, and told which key that is", async () => {
    const made = await init("press-07", { ...TPM, tcti: tpm.tcti, pcrs: [] })
    const refused = await enrol("press-07.request", "press-07.challenge")
    expect(refused.kind).toBe("refused")
    expect(refused.checks.at(-1)?.reason).toContain(made.endorsementFingerprint)
  })

  it("is attested when an operator approves that key", async () => {
    const [fingerprint] = /[0-9a-f]{64}/.exec(
      (await enrol("press-07.request", "none")).checks.at(-1)?.reason ?? "",
    ) ?? [""]
    expect(await enrol("press-07.request", "press-07.challenge", { approve: fingerprint })).toMatchObject({
      kind: "challenged",
    })
    await respond("press-07")
    const enrolled = await enrol("press-07.response", "press-07.certificates")
    if (enrolled.kind !== "enrolled") throw new Error(JSON.stringify(enrolled))
    expect(enrolled.device.assurance).toBe("attested")
    expect(enrolled.checks.map(({ id }) => id)).toEqual([
      "signature",
      "fresh",
      "possession",
      "activation",
      "residence",
    ])
    await expectVerifies(enrolled.device, "OK")
  })

  it("is attested without anybody's approval when its maker's certificate is among the admitted roots", async () => {
    await init("press-09", { ...TPM, tcti: tpm.tcti, pcrs: [] })
    const roots = admit("known-makers", ["issuercert.pem", "swtpm-localca-rootca-cert.pem"])
    const challenged = await enrol("press-09.request", "press-09.challenge", { roots })
    expect(challenged).toMatchObject({ kind: "challenged" })
    expect(challenged.checks.at(-1)?.reason).toContain("endorsement certificate leads to a pinned root")
    await respond("press-09")
    const enrolled = await enrol("press-09.response", "press-09.certificates", { roots })
    if (enrolled.kind !== "enrolled") throw new Error(JSON.stringify(enrolled))
    expect(enrolled.device).toMatchObject({ assurance: "attested" })
    expect(enrolled.device.enrolment?.evidence[0]).toContain("pinned root")
    await expectVerifies(enrolled.device, "OK")
  })

  it("is refused when its maker is another than those admitted", async () => {
    await init("press-10", { ...TPM, tcti: tpm.tcti, pcrs: [] })
    const stranger = issue({ name: "swtpm-localca", extensions: CA })
    const roots = at("other-makers")
    mkdirSync(roots)
    writeFileSync(path.join(roots, "maker.pem"), stranger.pem)
    const refused = await enrol("press-10.request", "press-10.challenge", { roots })
    expect(refused.kind).toBe("refused")
    expect(refused.checks.at(-1)).toMatchObject({ id: "endorsement", result: "failed" })
    expect(refused.checks.at(-1)?.reason).toContain("leads to no trusted certificate")
  })

  it("is taken at level hardware when that is asked for", async () => {
    await init("press-08", { ...TPM, tcti: tpm.tcti, pcrs: [] })
    await enrol("press-08.request", "press-08.challenge", { allowUnattested: true })
    await respond("press-08")
    const enrolled = await enrol("press-08.response", "press-08.certificates")
    expect(enrolled).toMatchObject({ kind: "enrolled", device: { assurance: "hardware" } })
  })
})

/** A folder with certificates of the TPM's maker. */
function admit(name: string, files: readonly string[]): string {
  mkdirSync(at(name))
  for (const file of files) cpSync(path.join(tpm.maker, file), path.join(at(name), file))
  return at(name)
}

const TPM = { provider: "tpm2", adopt: null, persistent: false, auth: false } as const

function openEngine(name: string): HostClient {
  const opened = TRANSPORTS[0]?.open(at(name))
  if (opened === undefined) throw new Error("no transport")
  closing.push(async () => opened.close())
  return opened.engine
}

async function output(name: string) {
  return { file: await desk.files.refer({ path: at(name) }), replace: true }
}

async function init(name: string, place: KeyPlace): Promise<Initialised> {
  const request = { file: await device.files.refer({ path: at(`${name}.request`) }), replace: true }
  return device.enrolment.init({ name, place, hardwareId: null, request })
}

async function enrol(
  file: string,
  to: string,
  options: { readonly approve?: string; readonly allowUnattested?: boolean; readonly roots?: string } = {},
): Promise<Enrolled> {
  return desk.enrolment.enrol({
    file: await desk.files.refer({ path: at(file) }),
    output: await output(to),
    roots: options.roots === undefined ? null : await desk.files.refer({ path: options.roots }),
    approve: options.approve ?? null,
    allowUnattested: options.allowUnattested ?? false,
  })
}

async function respond(name: string): Promise<void> {
  await device.enrolment.respond({
    challenge: await device.files.refer({ path: at(`${name}.challenge`) }),
    output: { file: await device.files.refer({ path: at(`${name}.response`) }), replace: true },
  })
}

/** What `openssl verify` says of both certificates of an enrolled device. */
async function expectVerifies(
  enrolled: Device,
  wanted: string,
  options: readonly string[] = [],
): Promise<void> {
  const given = JSON.parse(readFileSync(at(`${enrolled.name}.certificates`), "utf8")) as {
    readonly authorityPem: string
  } // our own document
  writeFileSync(at("authority.pem"), given.authorityPem)
  for (const pem of [enrolled.enrolment?.signingPem, enrolled.enrolment?.decryptionPem]) {
    writeFileSync(at("leaf.pem"), pem ?? "")
    const args = ["verify", "-x509_strict", "-CAfile", at("authority.pem"), ...options, at("leaf.pem")]
    const { stdout, stderr } = await promisify(execFile)("openssl", args).catch((error: unknown) => {
      if (error instanceof Error && "stderr" in error && "stdout" in error)
        return { stdout: String(error.stdout), stderr: String(error.stderr) }
      throw error
    })
    expect(stdout + stderr).toContain(wanted)
  }
}
