/** Model in, sealed package out (docs/FORMAT.md 8). */
import { AppError } from "../contract/errors.ts"
import type { FileRef } from "../contract/schema/base.ts"
import type { Device } from "../contract/schema/keys.ts"
import type { Protected, ProtectRequest } from "../contract/schema/protect.ts"
import { encryptBytes, startFile } from "../core/age/file.ts"
import { generatePq, pqIdentityText } from "../core/age/mlkem768x25519.ts"
import { checkRecipientsUnmixed, isPostQuantum, parseRecipient } from "../core/age/recipients.ts"
import type { Recipient } from "../core/age/recipient.ts"
import { generateX25519, x25519IdentityText } from "../core/age/x25519.ts"
import { signStatement } from "../core/attest/attestation.ts"
import { grantBatches, grantStatement } from "../core/attest/grant-statement.ts"
import { signModel } from "../core/attest/model-signing.ts"
import {
  attestationType,
  toStatementBytes,
  type AttestationName,
  type JsonObject,
} from "../core/attest/statement.ts"
import { concat, isEqual, toHex, wipe } from "../core/bytes/bytes.ts"
import { npyRowCount, readNpyHeader } from "../core/bytes/npy.ts"
import { readAll, sourceOf } from "../core/bytes/source.ts"
import {
  blobOf,
  bundleManifest,
  grantManifest,
  packageManifest,
  type Descriptor,
} from "../core/oci/manifest.ts"
import { MEDIA } from "../core/oci/media-types.ts"
import { MODEL_SIGNATURE_NAME } from "../core/oci/payload-archive.ts"
import { TAR_END, tarHeader, tarPadding } from "../core/oci/tar.ts"
import { MAX_GOLDEN_BYTES, writeGrant, type Golden } from "../core/policy/grant.ts"
import { checkAssurance, OPEN_POLICY, parsePolicy, type Policy } from "../core/policy/policy.ts"
import type { Edition } from "../core/watermark/embed.ts"
import { overlayDevice } from "../core/watermark/overlay-apply.ts"
import type { OverlayBinding } from "../core/watermark/overlay.ts"
import type { CodeWord } from "../core/watermark/streams.ts"
import type { JobContext } from "./jobs.ts"
import { guaranteeOf } from "./mark/guarantee.ts"
import { Marking } from "./mark/marking.ts"
import { openModel, type OpenModel } from "./model-input.ts"
import { modelRoot } from "./model-root.ts"
import { keepIssued, type IssuedGrant } from "./issued-grants.ts"
import type { PlainPart, Ports } from "./ports.ts"
import { attachBundle } from "./seal-copy.ts"
import { SealWriter } from "./seal-writer.ts"
import { chooseSigningKey, type ChosenKey } from "./signing.ts"

const NO_BYTES = new Uint8Array(0)

/** Why a copy has no mark, said in the output and in the signed statement alike. */
const NOT_MARKED = "it was asked for without a mark"
/** Devices of a fleet whose assembled models are hashed in one pass over the files. */
const COPIES_AT_ONCE = 64

export async function protect(ports: Ports, request: ProtectRequest, job: JobContext): Promise<Protected> {
  const startedAt = performance.now()
  const targets = await findTargets(ports, request)
  const policy = request.policy === null ? OPEN_POLICY : await readPolicy(ports, request.policy)
  for (const { device } of targets.devices) checkAssurance(policy, device)
  const golden = await readGolden(ports, request.golden ?? null)
  const signing = await chooseSigningKey(ports, request.signingKey)
  const model = await openModel(ports.files, request.model)
  try {
    const output = await ports.files.create(request.output.file, {
      replace: request.output.replace,
      isSecret: false,
    })
    try {
      const marking =
        request.mark === null
          ? null
          : await Marking.prepare(ports, request.mark, model, request.mode, fileStarts(model), job)
      try {
        const desk = new Desk(ports, request, policy, golden, signing, model, marking, job)
        const sealed = await desk.seal(new SealWriter(output), targets)
        await checkUnchanged(model)
        job.signal.throwIfAborted()
        await output.commit()
        return {
          ...sealed,
          name: ports.files.nameOf(request.output.file),
          seconds: (performance.now() - startedAt) / 1000,
        }
      } finally {
        await marking?.close()
      }
    } finally {
      await output.discard()
    }
  } finally {
    await model.close()
  }
}

/** Throws POLICY_MALFORMED, also for a file too large to be a policy, and what opening it throws. */
async function readPolicy(ports: Ports, ref: FileRef): Promise<Policy> {
  const file = await ports.files.open(ref)
  try {
    const tooLarge = () => new AppError("POLICY_MALFORMED", `${file.name} is too large for a policy`)
    return parsePolicy(await readAll(file, MAX_POLICY_BYTES, tooLarge))
  } finally {
    await file.close()
  }
}

const MAX_POLICY_BYTES = 1 << 20

/** Throws INPUT_MISMATCH unless both are arrays with as many rows as each other, and small. */
async function readGolden(
  ports: Ports,
  wanted: Exclude<ProtectRequest["golden"], undefined>,
): Promise<Golden | null> {
  if (wanted === null) return null
  const { input, output, tolerance } = wanted
  const read = async (ref: FileRef) => {
    const file = await ports.files.open(ref)
    try {
      const tooLarge = () =>
        new AppError("INPUT_MISMATCH", `${file.name} is more than a check of health takes: give a few rows`)
      const bytes = Uint8Array.from(await readAll(file, MAX_GOLDEN_BYTES, tooLarge))
      return { bytes, rows: npyRowCount(await readNpyHeader(sourceOf(bytes))) }
    } finally {
      await file.close()
    }
  }
  const [given, answers] = [await read(input), await read(output)]
  if (given.rows !== answers.rows || given.rows === 0)
    throw new AppError("INPUT_MISMATCH", `${answers.rows} golden outputs for ${given.rows} rows`)
  return { input: given.bytes, output: answers.bytes, tolerance }
}

interface Targets {
  readonly devices: readonly { readonly device: Device; readonly recipient: Recipient }[]
  readonly escrow: readonly Recipient[]
}

async function findTargets(ports: Ports, request: ProtectRequest): Promise<Targets> {
  const names = [...new Set(request.devices)]
  const devices = await Promise.all(
    names.map(async (name) => {
      const device = await ports.devices.find(name)
      return { device, recipient: parseRecipient(device.recipient) }
    }),
  )
  const escrow = request.escrow.map((text) => parseRecipient(text))
  checkRecipientsUnmixed([...devices.map(({ recipient }) => recipient), ...escrow])
  return { devices, escrow }
}

/** A payload as it stands in the .seal file, with what is needed to issue grants for it. */
interface SealedCopy {
  readonly payload: Descriptor
  readonly package: Descriptor
  readonly modelRoot: string
  readonly modelSignature: Uint8Array
  readonly releaseIdentity: string | null
}

/** A copy as one device will see it: with a fleet's overlay, when the payload is marked. */
interface GrantOrder {
  readonly copy: SealedCopy
  readonly device: Device
  readonly recipient: Recipient
  readonly overlay: Uint8Array | null
}

/** One run of protect: what stays the same for every copy. */
class Desk {
  readonly #ports: Ports
  readonly #request: ProtectRequest
  readonly #signing: ChosenKey
  readonly #model: OpenModel
  readonly #marking: Marking | null
  readonly #job: JobContext
  readonly #policy: Policy
  readonly #golden: Golden | null
  readonly #createdAt: string
  /** By package. */
  readonly #issued = new Map<string, IssuedGrant[]>()
  /** Manifests of grants by digest. */
  readonly #granted = new Map<string, Descriptor>()
  /** Digests of the model's files in the first pass; every later pass must see the same bytes. */
  #digests: readonly Uint8Array[] | null = null

  constructor(
    ports: Ports,
    request: ProtectRequest,
    policy: Policy,
    golden: Golden | null,
    signing: ChosenKey,
    model: OpenModel,
    marking: Marking | null,
    job: JobContext,
  ) {
    this.#marking = marking
    this.#ports = ports
    this.#request = request
    this.#signing = signing
    this.#model = model
    this.#job = job
    this.#policy = policy
    this.#golden = golden
    this.#createdAt = ports.now().toISOString()
  }

  async seal(writer: SealWriter, { devices, escrow }: Targets): Promise<Omit<Protected, "name" | "seconds">> {
    const isFleet = this.#request.mode === "fleet"
    await this.#marking?.enrol(devices.map(({ device }) => device.name))
    const copies: SealedCopy[] = []
    if (isFleet) {
      const release = newReleaseIdentity(
        this.#ports,
        devices.some(({ recipient }) => isPostQuantum(recipient)),
      )
      const recipients = [release.recipient, ...escrow]
      const copy = await this.#sealCopy(writer, recipients, release.identity, "model", { kind: "base" })
      copies.push(copy)
      await this.#signCopy(writer, copy)
      await this.#grantFleet(writer, copy, devices)
    } else {
      const grants: GrantOrder[] = []
      const issued: { readonly word: CodeWord; readonly modelRoot: string }[] = []
      for (const target of devices) {
        const title = devices.length > 1 ? `model for ${target.device.name}` : "model"
        const word = (await this.#marking?.wordFor(target.device.name)) ?? null
        const edition: Edition | null = word === null ? null : { kind: "individual", word }
        const copy = await this.#sealCopy(writer, [target.recipient, ...escrow], null, title, edition)
        copies.push(copy)
        grants.push({ copy, overlay: null, ...target })
        if (word !== null) issued.push({ word, modelRoot: copy.modelRoot })
      }
      if (this.#marking !== null)
        await this.#marking.issue(issued, await this.#attestMark(writer, this.#marking, copies))
      for (const copy of copies) await this.#signCopy(writer, copy)
      for (const grant of grants) await this.#issueGrant(writer, grant)
    }
    for (const copy of copies) await this.#attestGrants(writer, copy.package)
    await writer.finish()
    // Who a grant is for is told by nothing in the file; whoever directs devices has to know.
    for (const [digest, list] of this.#issued) await keepIssued(this.#ports, digest, list)

    const { key, created } = this.#signing
    return {
      bytes: writer.bytes,
      mode: this.#request.mode,
      devices: devices.map(({ device }) => device.name),
      packages: copies.map((copy) => ({
        digest: copy.package.digest,
        payloadDigest: copy.payload.digest,
        payloadBytes: copy.payload.size,
      })),
      grants: devices.length,
      mark: this.#marking?.describe() ?? null,
      modelRoot: copies[0]?.modelRoot ?? "",
      modelBytes: this.#model.bytes,
      signedBy: { key: key.name, fingerprint: key.fingerprint, assurance: key.assurance, created },
      notApplied: this.#notApplied(devices.map(({ device }) => device)),
    }
  }

  /** Grants of a fleet: of a marked one each with its own overlay and the signature over what that device assembles. */
  async #grantFleet(writer: SealWriter, copy: SealedCopy, devices: Targets["devices"]): Promise<void> {
    if (this.#marking === null) {
      for (const target of devices) await this.#issueGrant(writer, { copy, overlay: null, ...target })
      return
    }
    const fleet = await this.#marking.overlays()
    let receipt: Uint8Array | null = null
    for (let from = 0; from < devices.length; from += COPIES_AT_ONCE) {
      const group = devices.slice(from, from + COPIES_AT_ONCE)
      const words: CodeWord[] = []
      for (const { device } of group) words.push(await this.#marking.wordFor(device.name))
      const values = words.map((word) => fleet.values(word))
      try {
        const title = `mark devices ${from + 1} to ${from + group.length}`
        const control = this.#job.step(title, this.#model.bytes)
        const digests = await fleet.digests(values, (done) => {
          control.signal.throwIfAborted()
          control.progress(done)
        })
        const orders: (GrantOrder & { readonly word: CodeWord })[] = []
        for (const [index, target] of group.entries()) {
          const word = words[index]
          const value = values[index]
          const files = digests[index]
          if (word === undefined || value === undefined || files === undefined) continue
          const assembled = await this.#signFiles(files)
          const overlay = fleet.overlay(value, this.#binding(copy, assembled.root, target.device))
          const own = { ...copy, modelRoot: assembled.root, modelSignature: assembled.signature }
          orders.push({ copy: own, overlay, word, ...target })
        }
        receipt ??= await this.#attestMark(writer, this.#marking, [copy])
        await this.#marking.issue(
          orders.map(({ word, copy: { modelRoot } }) => ({ word, modelRoot })),
          receipt,
        )
        for (const order of orders) {
          await this.#issueGrant(writer, order)
          wipe(order.overlay)
        }
      } finally {
        wipe(...values)
      }
    }
  }

  /** What ties an overlay to its payload, model and device (FORMAT 6.2). */
  #binding(copy: SealedCopy, root: string, device: Device): OverlayBinding {
    const deviceSalt = this.#ports.random(16)
    return {
      base: Buffer.from(copy.payload.digest.slice("sha256:".length), "hex"),
      model: Buffer.from(root, "hex"),
      deviceSalt,
      device: overlayDevice(deviceSalt, device.recipient),
    }
  }

  /** The model signature over files of these digests, and their root. */
  async #signFiles(digests: readonly Uint8Array[]) {
    const files = this.#model.files.map(({ name }, index) => ({
      name,
      sha256: toHex(digests[index] ?? NO_BYTES),
    }))
    const signature = await signModel(this.#model.files[0]?.name ?? "model", files, this.#signing.signer)
    return { root: modelRoot(files), signature }
  }

  /** One pass over the model: mark, hash, encrypt, write. The signature over the hashes follows inside the same payload. */
  async #sealCopy(
    writer: SealWriter,
    recipients: readonly Recipient[],
    releaseIdentity: string | null,
    title: string,
    edition: Edition | null,
  ): Promise<SealedCopy> {
    const transform = edition === null ? undefined : await this.#marking?.transform(edition)
    const { prefix, key } = startFile(recipients, this.#ports.random)
    const control = this.#job.step(`encrypt ${title}`, this.#model.bytes)
    let modelSignature: Uint8Array | null = null
    let root = ""
    try {
      const payload = await writer.stream(MEDIA.payloadLayer, async (output) => {
        const tail = async (digests: readonly Uint8Array[]) => {
          if (transform === undefined) this.#checkSameModel(digests)
          const signed = await this.#signFiles(digests)
          root = signed.root
          modelSignature = signed.signature
          // A fleet's payload is not what a device sees, so the signature travels in the grant.
          return releaseIdentity === null ? archiveEnd(signed.signature) : TAR_END
        }
        const parts = archiveParts(this.#model)
        const result = await this.#ports.payload.encrypt(
          {
            prefix,
            key,
            parts,
            tail,
            output,
            digest: true,
            ...(transform === undefined ? {} : { transform }),
          },
          control,
        )
        if (result.digest === null) throw new AppError("INTERNAL", "the payload engine gave no digest")
        return { bytes: result.bytes, digest: result.digest }
      })
      if (modelSignature === null) throw new AppError("INTERNAL", "the model was not signed")
      const manifest = await writer.manifest(packageManifest(payload))
      return { payload, package: manifest, modelRoot: root, modelSignature, releaseIdentity }
    } finally {
      wipe(key)
    }
  }

  async #signCopy(writer: SealWriter, copy: SealedCopy): Promise<void> {
    await this.#attest(writer, copy.package, "copy", {
      mode: this.#request.mode,
      createdAt: this.#createdAt,
      tool: `sealwright ${this.#ports.machine.version}`,
      mark: this.#marking === null ? { applied: false, why: NOT_MARKED } : { applied: true },
      signingKey: { assurance: this.#signing.key.assurance },
    })
  }

  /**
   * What the mark promises, signed before the first grant: the commitment to its keys, and what copies were measured to
   * cost. Attached to every package; returns the bundle, which the ledger keeps.
   */
  async #attestMark(
    writer: SealWriter,
    marking: Marking,
    copies: readonly SealedCopy[],
  ): Promise<Uint8Array> {
    const predicateType = attestationType("mark-commitment")
    const statement = toStatementBytes({
      subjects: copies.map(({ package: { digest } }) => ({
        name: "",
        digest: { sha256: digest.slice("sha256:".length) },
      })),
      predicateType,
      predicate: guaranteeOf(marking.describe(), this.#request.mode, this.#createdAt),
    })
    const bytes = await signStatement(statement, this.#signing.signer)
    const bundle = await writer.blob(blobOf(MEDIA.bundle, bytes))
    for (const copy of copies)
      await writer.manifest(bundleManifest(copy.package, bundle, predicateType, this.#createdAt))
    return bytes
  }

  async #issueGrant(writer: SealWriter, { copy, device, recipient, overlay }: GrantOrder): Promise<void> {
    const plain = writeGrant({
      document: {
        version: 1,
        mode: this.#request.mode,
        device: device.name,
        package: copy.package.digest,
        model: { root: copy.modelRoot },
        policy: this.#policy,
        issuedAt: this.#createdAt,
      },
      releaseIdentity: copy.releaseIdentity,
      modelSignature: copy.releaseIdentity === null ? null : copy.modelSignature,
      overlay,
      golden: this.#golden,
    })
    try {
      const grant = await writer.blob(
        blobOf(MEDIA.grantLayer, encryptBytes(plain, [recipient], this.#ports.random)),
      )
      const manifest = await writer.manifest(grantManifest(grant))
      this.#granted.set(manifest.digest, manifest)
      const list = this.#issued.get(copy.package.digest) ?? []
      const { modelRoot: model } = copy
      list.push({ grant: manifest.digest, device: device.name, policy: this.#policy, model })
      this.#issued.set(copy.package.digest, list)
    } finally {
      wipe(plain)
    }
  }

  /** Signs the grants of a package, many at a time. */
  async #attestGrants(writer: SealWriter, packaged: Descriptor): Promise<void> {
    const digests = (this.#issued.get(packaged.digest) ?? []).map(({ grant }) => grant)
    const only = digests.length === 1 ? this.#granted.get(digests[0] ?? "") : undefined
    for (const batch of grantBatches(digests)) {
      const bytes = await signStatement(grantStatement(batch, this.#createdAt), this.#signing.signer)
      await attachBundle(writer, only ?? packaged, {
        bytes,
        predicateType: attestationType("grant"),
        createdAt: this.#createdAt,
      })
    }
  }

  /** Signs a statement about a manifest and attaches it. */
  async #attest(
    writer: SealWriter,
    subject: Descriptor,
    name: AttestationName,
    predicate: JsonObject,
  ): Promise<void> {
    const predicateType = attestationType(name)
    const sha256 = subject.digest.slice("sha256:".length)
    const statement = toStatementBytes({
      subjects: [{ name: "", digest: { sha256 } }],
      predicateType,
      predicate,
    })
    const bundle = await writer.blob(
      blobOf(MEDIA.bundle, await signStatement(statement, this.#signing.signer)),
    )
    await writer.manifest(bundleManifest(subject, bundle, predicateType, this.#createdAt))
  }

  #checkSameModel(digests: readonly Uint8Array[]): void {
    this.#digests ??= digests
    const isSame = this.#digests.every((digest, index) => isEqual(digest, digests[index] ?? NO_BYTES))
    if (!isSame) throw new AppError("FILE_CHANGED", "the model changed between two copies")
  }

  #notApplied(devices: readonly Device[]): Protected["notApplied"] {
    const software = devices.filter((device) => device.assurance === "software").length
    return [
      ...(this.#marking === null ? [{ what: "mark", why: NOT_MARKED }] : []),
      ...(this.#marking !== null && this.#marking.exportedAt === null
        ? [
            {
              what: "backup of the ledger",
              why: "it was never exported, and without it no leak can be traced",
            },
          ]
        : []),
      ...(software === 0
        ? []
        : [
            {
              what: "hardware device keys",
              why: `${software} of ${devices.length} devices have software keys`,
            },
          ]),
      ...(this.#signing.key.assurance === "software"
        ? [{ what: "hardware signing key", why: `key ${this.#signing.key.name} is a software key` }]
        : []),
    ]
  }
}

/** Where each file of the model begins in the payload's plaintext, bytes. */
function fileStarts(model: OpenModel): readonly number[] {
  const starts: number[] = []
  let at = 0
  for (const part of archiveParts(model)) {
    if (part.kind === "file") starts.push(at)
    at += part.kind === "file" ? part.length : part.bytes.length
  }
  return starts
}

/** The payload's plaintext up to the signature: headers and padding from memory, contents from the files. */
function archiveParts(model: OpenModel): readonly PlainPart[] {
  return model.files.flatMap(({ name, file }): PlainPart[] => [
    { kind: "bytes", bytes: tarHeader(name, file.size) },
    { kind: "file", file: file.number, offset: 0, length: file.size, digest: true },
    { kind: "bytes", bytes: tarPadding(file.size) },
  ])
}

function archiveEnd(signature: Uint8Array): Uint8Array {
  return concat(
    tarHeader(MODEL_SIGNATURE_NAME, signature.length),
    signature,
    tarPadding(signature.length),
    TAR_END,
  )
}

/** The identity one release is encrypted to; every device gets it in its grant. As strong as the strongest grant. */
function newReleaseIdentity(
  ports: Ports,
  postQuantum: boolean,
): { readonly identity: string; readonly recipient: Recipient } {
  if (postQuantum) {
    const { seed, recipient } = generatePq(ports.random)
    try {
      return { identity: pqIdentityText(seed), recipient: parseRecipient(recipient) }
    } finally {
      wipe(seed)
    }
  }
  const { secretKey, recipient } = generateX25519(ports.random)
  try {
    return { identity: x25519IdentityText(secretKey), recipient: parseRecipient(recipient) }
  } finally {
    wipe(secretKey)
  }
}

async function checkUnchanged(model: OpenModel): Promise<void> {
  for (const { file } of model.files) await file.checkUnchanged()
}
