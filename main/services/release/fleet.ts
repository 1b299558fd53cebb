/** Who runs what, from receipts the devices signed. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import type { FleetDevice, Imported } from "../../contract/schema/release.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import { readAttestation, type Attestation } from "../../core/attest/attestation.ts"
import { readCertificatePem } from "../../core/attest/certificate-pem.ts"
import { checkReceiptQuote, receiptQuestion } from "../../core/attest/receipt-quote.ts"
import { attestationType } from "../../core/attest/statement.ts"
import { parseTrustedKeys, type TrustedKeys } from "../../core/attest/trust.ts"
import { parseBase64, toBase64, toUtf8 } from "../../core/bytes/bytes.ts"
import { readAll } from "../../core/bytes/source.ts"
import { parseManifest, sha256Digest, type Digest } from "../../core/oci/manifest.ts"
import { MEDIA } from "../../core/oci/media-types.ts"
import { readSealFile } from "../../core/oci/seal-file.ts"
import { createDeviceId } from "../../core/policy/device-id.ts"
import { readJson } from "../../core/policy/release.ts"
import { receiptSchema } from "../deployment/receipts.ts"
import { logAct } from "../log/trust-log.ts"
import type { Ports } from "../ports.ts"
import { inParallel } from "../registry/in-parallel.ts"
import { findPlan } from "../trust/publish.ts"
import type { Repository } from "../ports/registry.ts"
import { claimedDevice, forgetRefusal, keepRefused, refusalsOf } from "./refused-receipts.ts"
import { grantsSent, lastWords, type Directed } from "./director.ts"

type Receipt = z.infer<typeof receiptSchema>

const MAX_PEM_BYTES = 1 << 16
const LISTS_AT_ONCE = 8
const REFUSALS_SHOWN = 8
/** A bundle is a signature and a small statement. */
const MAX_RECEIPT_BYTES = 1 << 20

/** The public half of the key a device signs receipts with, as `device provision` printed it. */
export async function trustReceipts(ports: Ports, name: string, key: FileRef): Promise<void> {
  const device = await ports.devices.find(name)
  const file = await ports.files.open(key)
  try {
    const bytes = await readAll(
      file,
      MAX_PEM_BYTES,
      () => new AppError("KEY_UNREADABLE", `${file.name} is too large`),
    )
    parseTrustedKeys([{ label: name, pem: Buffer.from(bytes).toString("latin1") }])
    await ports.documents.write(`receipt-keys/${createDeviceId(device.recipient)}.pem`, bytes)
  } finally {
    await file.close()
  }
}

/** Takes receipts from a .seal file: those of known devices, signed by them, not seen before. */
export async function importReceipts(ports: Ports, ref: FileRef): Promise<Imported> {
  const trust = await receiptKeys(ports)
  const names = await deviceNames(ports)
  const file = await ports.files.open(ref)
  try {
    const { bundles } = await readSealFile(file, { mayLackPackages: true })
    const receipts: Imported["receipts"] = []
    for (const { bytes, predicateType } of bundles) {
      if (predicateType === attestationType("receipt"))
        receipts.push(
          await takeReceipt(
            ports,
            { digest: sha256Digest(bytes), read: async () => bytes },
            { trust, names, deviceId: claimedDevice(bytes, names) },
          ),
        )
    }
    await logReceipts(ports, receipts)
    return { receipts }
  } finally {
    await file.close()
  }
}

/**
 * The same from a repository, where each device attaches its receipts to its grants. Whatever is attached there by others is
 * refused and counted with the device whose grant it was found at.
 */
export async function collectReceipts(ports: Ports, repository: Repository): Promise<Imported> {
  const trust = await receiptKeys(ports)
  const names = await deviceNames(ports)
  const grants = repository.below("grants")
  const receipts: Imported["receipts"] = []
  const sent = await grantsSent(ports)
  const places = [...names.keys()].flatMap((deviceId) =>
    (sent.get(deviceId) ?? []).map((grant) => ({ deviceId, grant })),
  )
  const attached = new Map<Digest, readonly FoundReceipt[]>()
  await inParallel(places, LISTS_AT_ONCE, async ({ grant }) => {
    attached.set(grant, await attachedReceipts(grants, grant))
  })
  for (const { deviceId, grant } of places) {
    for (const found of attached.get(grant) ?? [])
      receipts.push(await takeReceipt(ports, found, { trust, names, deviceId }))
  }
  await logReceipts(ports, receipts)
  return { receipts }
}

/** Only what is new: looking again is no act. A workspace without a trust root has no log. */
async function logReceipts(ports: Ports, receipts: Imported["receipts"]): Promise<void> {
  const count = (wanted: string) => receipts.filter(({ result }) => result === wanted).length
  const [taken, refused] = [count("taken"), count("refused")]
  if (taken + refused === 0 || (await findPlan(ports)) === null) return
  await logAct(ports, { act: "receipts", what: `${taken} taken, ${refused} refused`, digests: [] })
}

/** What may be a receipt, and its name as long as nobody has read it. */
interface FoundReceipt {
  readonly digest: Digest
  readonly read: () => Promise<Uint8Array>
}

/** `deviceId`: whom a refusal is counted with. Throws when the registry cannot be asked: that says nothing of the receipt. */
async function takeReceipt(
  ports: Ports,
  found: FoundReceipt,
  {
    trust,
    names,
    deviceId,
  }: {
    readonly trust: TrustedKeys
    readonly names: ReadonlyMap<string, string>
    readonly deviceId: string
  },
): Promise<Imported["receipts"][number]> {
  let { digest } = found
  try {
    const bytes = await found.read()
    digest = sha256Digest(bytes)
    const { receipt, device, packageDigest } = readReceipt(bytes, trust, ports.now())
    await checkQuote(ports, receipt, packageDigest)
    const isNew = await keepReceipt(ports, receipt, bytes)
    await forgetRefusal(ports, device, digest)
    return { device: names.get(device) ?? device, result: isNew ? "taken" : "known", reason: "" }
  } catch (error) {
    if (!(error instanceof AppError) || isOutage(error)) throw error
    await keepRefused(ports, deviceId, digest, error)
    return { device: names.get(deviceId) ?? null, result: "refused", reason: error.message }
  }
}

/** What a registry may say about one thing it holds; anything else is about the registry. */
const ABOUT_CONTENT = new Set(["REGISTRY_NOT_FOUND", "REGISTRY_TOO_LARGE", "REGISTRY_DIGEST_MISMATCH"])

function isOutage({ code }: AppError): boolean {
  return code.startsWith("REGISTRY_") && !ABOUT_CONTENT.has(code)
}

async function attachedReceipts(grants: Repository, grant: Digest): Promise<readonly FoundReceipt[]> {
  const found: FoundReceipt[] = []
  for (const { descriptor, artifactType, annotations } of await grants.referrers(grant)) {
    const isReceipt =
      artifactType === MEDIA.bundle &&
      annotations["dev.sigstore.bundle.predicateType"] === attestationType("receipt")
    if (!isReceipt) continue
    found.push({ digest: descriptor.digest, read: async () => readReceiptBlob(grants, descriptor.digest) })
  }
  return found
}

async function readReceiptBlob(grants: Repository, digest: Digest): Promise<Uint8Array> {
  const manifest = await grants.manifest(digest)
  const layer = manifest === null ? undefined : parseManifest(manifest.bytes).layers[0]
  if (layer === undefined)
    throw new AppError("REGISTRY_NOT_FOUND", `${grants.name} lists a receipt it does not have`)
  return grants.readBlob(layer, MAX_RECEIPT_BYTES)
}

export async function fleetStatus(ports: Ports): Promise<FleetDevice[]> {
  const status: FleetDevice[] = []
  const words = await lastWords(ports)
  // Of thousands of devices most have no folder to look into.
  const [reported, refused] = await Promise.all([
    foldersIn(ports, "receipts"),
    foldersIn(ports, "receipts-refused"),
  ])
  for (const { name, recipient } of await ports.devices.list()) {
    const deviceId = createDeviceId(recipient)
    const word = words.get(deviceId) ?? null
    const receipts = reported.has(deviceId) ? await receiptsOf(ports, deviceId) : []
    const last = receipts.at(-1)
    const lastGood = receipts.findLast(({ result }) => result === "committed")
    const refusals = refused.has(deviceId) ? await refusalsOf(ports, deviceId) : []
    status.push({
      device: name,
      ring: word?.ring ?? null,
      wanted: word?.run?.release ?? null,
      counter: word?.counter ?? 0,
      running: lastGood?.release ?? null,
      state: stateOf(word, last, lastGood),
      receipts: {
        good: receipts.length,
        refused: refusals.length,
        refusals: refusals.slice(-REFUSALS_SHOWN),
        quoted: receipts.filter(({ quote }) => quote !== undefined).length,
      },
      reportedAt: last?.time ?? null,
      detail: last?.detected ?? "",
    })
  }
  return status
}

async function foldersIn(ports: Ports, folder: string): Promise<ReadonlySet<string>> {
  const names = await ports.documents.list(folder)
  return new Set(names.filter((name) => name.endsWith("/")).map((name) => name.slice(0, -1)))
}

function stateOf(
  word: Directed | null,
  last: Receipt | undefined,
  lastGood: Receipt | undefined,
): FleetDevice["state"] {
  if (word === null || word.run === null) return "nothing directed"
  if (last === undefined) return "no receipt"
  if (last.result !== "committed") return "failed"
  return lastGood?.release === word.run.release ? "current" : "behind"
}

/** Known device, its own signature, and about itself (Uptane, receipt checks). */
function readReceipt(
  bytes: Uint8Array,
  trust: TrustedKeys,
  now: Date,
): { readonly receipt: Receipt; readonly device: string; readonly packageDigest: string } {
  const attestation: Attestation = readAttestation(bytes, trust, now)
  if (attestation.statement.predicateType !== attestationType("receipt"))
    throw new AppError("SIGNATURE_MISMATCH", "the statement is not a receipt")
  const parsed = receiptSchema.safeParse(attestation.statement.predicate)
  if (!parsed.success) throw new AppError("SIGNATURE_MALFORMED", "the receipt has another form")
  if (parsed.data.deviceId !== attestation.signedBy.label)
    throw new AppError("SIGNATURE_MISMATCH", "a device signed a receipt of another one")
  const sha256 = attestation.statement.subjects[0]?.digest["sha256"] ?? ""
  return { receipt: parsed.data, device: parsed.data.deviceId, packageDigest: `sha256:${sha256}` }
}

/** A quote there is has to be right. Of a device whose TPM the desk does not know it says nothing, and is refused. */
async function checkQuote(ports: Ports, receipt: Receipt, packageDigest: string): Promise<void> {
  const { quote, deviceId, nonce, counter, result } = receipt
  if (quote === undefined) return
  const device = (await ports.devices.list()).find(({ recipient }) => createDeviceId(recipient) === deviceId)
  const key = parseBase64(device?.enrolment?.attestationKey ?? "")
  if (key === null || key.length === 0)
    throw new AppError("ATTESTATION_REFUSED", "the desk knows no TPM of the device that quotes")
  checkReceiptQuote(quote, key, receiptQuestion({ package: packageDigest, nonce, counter, result }))
}

/** By its nonce: the same receipt twice, or a copy with the same nonce, counts once. */
async function keepReceipt(ports: Ports, receipt: Receipt, bytes: Uint8Array): Promise<boolean> {
  const name = `receipts/${receipt.deviceId}/${receipt.nonce}.json`
  if ((await ports.documents.read(name)) !== null) return false
  await ports.documents.write(
    name,
    toUtf8(JSON.stringify({ receipt: keepable(receipt), bundle: Buffer.from(bytes).toString("utf8") })),
  )
  return true
}

/** As JSON again: bytes of the quote are base64 there. */
function keepable({ quote, ...rest }: Receipt) {
  if (quote === undefined) return rest
  return {
    ...rest,
    quote: { attestation: toBase64(quote.attestation), signature: toBase64(quote.signature) },
  }
}

const keptSchema = z.looseObject({ receipt: receiptSchema })

async function receiptsOf(ports: Ports, deviceId: string): Promise<readonly Receipt[]> {
  const folder = `receipts/${deviceId}`
  const receipts: Receipt[] = []
  for (const name of await ports.documents.list(folder)) {
    const bytes = await ports.documents.read(`${folder}/${name}`)
    if (bytes !== null) receipts.push(readJson(keptSchema, bytes, "a kept receipt").receipt)
  }
  return receipts.sort((a, b) => a.counter - b.counter || (a.time < b.time ? -1 : 1))
}

async function receiptKeys(ports: Ports): Promise<TrustedKeys> {
  const sources = []
  for (const name of await ports.documents.list("receipt-keys")) {
    const bytes = await ports.documents.read(`receipt-keys/${name}`)
    if (bytes !== null)
      sources.push({ label: name.replace(/\.pem$/, ""), pem: Buffer.from(bytes).toString("latin1") })
  }
  // Enrolment has shown whose signing key it is: nobody needs to carry that one.
  for (const { recipient, enrolment } of await ports.devices.list()) {
    const label = createDeviceId(recipient)
    if (enrolment !== null && !sources.some((source) => source.label === label))
      sources.push({ label, pem: readCertificatePem(enrolment.signingPem).publicKeyPem })
  }
  return parseTrustedKeys(sources)
}

async function deviceNames(ports: Ports): Promise<ReadonlyMap<string, string>> {
  return new Map((await ports.devices.list()).map(({ name, recipient }) => [createDeviceId(recipient), name]))
}
