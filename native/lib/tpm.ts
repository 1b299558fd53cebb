/**
 * The TPM part of the native addon (native/src/tpm*.cc): TPM 2.0 commands over tpm2-tss, on a thread of their own per
 * connection. Structures of the TPM cross as bytes in its own encoding; what they mean is core's business.
 */
import { AppError, type ErrorCode } from "../../main/contract/errors.ts"
import { addon } from "./addon.ts"

/** Where a key is, and what its use needs. Names are those of TPM 2.0 part 1, 16: hash algorithm ‖ hash of the public area. */
export interface TpmKey {
  readonly object:
    | { readonly kind: "persistent"; readonly handle: number }
    /** TPM2B_PUBLIC and TPM2B_PRIVATE; the second can be read by the storage key alone. */
    | { readonly kind: "blob"; readonly public: Uint8Array; readonly private: Uint8Array }
  /** The key's expected name; null accepts whatever is there. */
  readonly name: Uint8Array | null
  /** Expected name of the storage key that sessions are salted with; null accepts the TPM's present one. */
  readonly parentName: Uint8Array | null
  /** Authorisation value, at most 32 bytes. */
  readonly auth: Uint8Array | null
  /** SHA-256 PCRs the key is bound to. */
  readonly pcrs: readonly number[]
}

export interface NewTpmKey {
  /** Unrestricted decrypt; unrestricted sign; restricted sign; or data kept by the TPM (at most 128 bytes). */
  readonly kind: "device" | "signing" | "attestation" | "sealed"
  readonly auth: Uint8Array | null
  readonly pcrs: readonly number[]
  /** Where to keep it inside the TPM besides; null keeps nothing there. */
  readonly persistent: number | null
  readonly data?: Uint8Array
}

export interface TpmKeyFacts {
  /** TPMA_OBJECT (TPM 2.0 part 2, 8.3). */
  readonly attributes: number
  /** The uncompressed point of a key on P-256, 65 bytes; null for anything else. */
  readonly point: Uint8Array | null
}

export interface MadeTpmKey extends TpmKeyFacts {
  readonly public: Uint8Array
  readonly private: Uint8Array
  readonly name: Uint8Array
  readonly parentName: Uint8Array
}

/** A signed TPMS_ATTEST; `r` and `s` of its ECDSA signature, 32 bytes each. */
export interface TpmAttestation {
  readonly attested: Uint8Array
  readonly r: Uint8Array
  readonly s: Uint8Array
}

/** Endorsement keys by the templates of the TCG EK Credential Profile. */
export type EndorsementKind = "rsa-2048" | "p-256"

interface TpmAddon {
  readonly hasTss: () => boolean
  readonly openTpm: (tcti: string) => TpmHandle
  readonly callTpm: (
    handle: TpmHandle,
    command: string,
    numbers: Uint32Array,
    bytes: readonly Uint8Array[],
  ) => Promise<readonly [rc: number, step: string, ...bytes: Uint8Array[]]>
  readonly closeTpm: (handle: TpmHandle) => Promise<unknown>
}
type TpmHandle = { readonly __tpmHandle: unique symbol }

/** Whether TPMs can be talked to at all, or what is missing. */
export function tpmSupport():
  { readonly works: true } | { readonly works: false; readonly why: string; readonly fix: string } {
  const loaded = addon()
  if (loaded.kind === "missing") return { works: false, why: loaded.reason, fix: "npm run build:native" }
  const { hasTss } = loaded.exports as Partial<TpmAddon> // compiled from native/src/tpm.cc
  if (hasTss === undefined) {
    const fix = "apt install libtss2-dev, then npm run build:native"
    return { works: false, why: "the addon was built without the headers of tpm2-tss", fix }
  }
  if (hasTss()) return { works: true }
  const fix = "apt install libtss2-esys-3.0.2-0 libtss2-tctildr0"
  return { works: false, why: "the libraries of tpm2-tss are not installed", fix }
}

/** Longest wait for one command: making an RSA endorsement key takes a slow chip half a minute. */
const TIMEOUT_MS = 90_000

/** A connection, made with the first command. Commands run in the order they were given. */
export class Tpm {
  readonly #raw: TpmAddon
  readonly #handle: TpmHandle
  readonly #timeoutMs: number
  #isStuck = false

  /** `tcti`: in tpm2-tss syntax; `timeoutMs`: longest wait for one command. Throws TPM_UNAVAILABLE where the addon or tpm2-tss is missing. */
  constructor(tcti: string, timeoutMs: number = TIMEOUT_MS) {
    const support = tpmSupport()
    const loaded = addon()
    if (!support.works || loaded.kind === "missing")
      throw new AppError("TPM_UNAVAILABLE", support.works ? "the addon is missing" : support.why)
    this.#raw = loaded.exports as TpmAddon // compiled from native/src/tpm.cc
    this.#handle = this.#raw.openTpm(tcti)
    this.#timeoutMs = timeoutMs
  }

  async createKey(wanted: NewTpmKey, parentName: Uint8Array | null = null): Promise<MadeTpmKey> {
    const [publicBlob, privateBlob, name, parent, facts] = await this.#call(
      "createKey",
      [KINDS.indexOf(wanted.kind), toMask(wanted.pcrs), wanted.persistent ?? 0],
      [wanted.auth ?? NONE, parentName ?? NONE, wanted.data ?? NONE],
      5,
    )
    return { public: publicBlob, private: privateBlob, name, parentName: parent, ...toFacts(facts) }
  }

  async describeKey(
    key: TpmKey,
  ): Promise<Omit<MadeTpmKey, "private"> & { readonly qualifiedName: Uint8Array }> {
    const [publicBlob, name, qualifiedName, parentName, facts] = await this.#call(
      "describeKey",
      ...toArguments(key),
      5,
    )
    return { public: publicBlob, name, qualifiedName, parentName, ...toFacts(facts) }
  }

  /** Removes a persistent key from the TPM. */
  async removePersistent(key: TpmKey): Promise<void> {
    await this.#call("removePersistent", ...toArguments(key), 0)
  }

  /** `x`, `y`: a point on P-256, 32 bytes each. Returns the x-coordinate of the shared point, 32 bytes; the caller wipes it. */
  async ecdh(key: TpmKey, x: Uint8Array, y: Uint8Array): Promise<Uint8Array> {
    const [numbers, bytes] = toArguments(key)
    const [secret] = await this.#call("ecdh", numbers, [...bytes, x, y], 1)
    return secret
  }

  /** ECDSA over a SHA-256 digest; 32 bytes each. */
  async sign(key: TpmKey, digest: Uint8Array): Promise<{ readonly r: Uint8Array; readonly s: Uint8Array }> {
    const [numbers, bytes] = toArguments(key)
    const [r, s] = await this.#call("sign", numbers, [...bytes, digest], 2)
    return { r, s }
  }

  /** The data of a sealed object; the caller wipes it. */
  async unseal(key: TpmKey): Promise<Uint8Array> {
    const [data] = await this.#call("unseal", ...toArguments(key), 1)
    return data
  }

  /** The public area (TPM2B_PUBLIC) and the maker's certificate (DER), or null when the TPM holds none. */
  async endorsement(
    kind: EndorsementKind,
  ): Promise<{ readonly public: Uint8Array; readonly certificate: Uint8Array | null }> {
    const [publicBlob, certificate] = await this.#call("endorsement", [ENDORSEMENTS.indexOf(kind)], [], 2)
    return { public: publicBlob, certificate: certificate.length === 0 ? null : certificate }
  }

  /** A secret (at most 32 bytes) that only the TPM with this endorsement key and a key of this name can open. */
  async makeCredential(
    endorsementPublic: Uint8Array,
    name: Uint8Array,
    secret: Uint8Array,
  ): Promise<{ readonly blob: Uint8Array; readonly seed: Uint8Array }> {
    const [blob, seed] = await this.#call("makeCredential", [], [endorsementPublic, name, secret], 2)
    return { blob, seed }
  }

  /** Opens a credential for `key`. `blob`: the content of a TPM2B_ID_OBJECT; `seed`: of a TPM2B_ENCRYPTED_SECRET. */
  async activateCredential(
    kind: EndorsementKind,
    key: TpmKey,
    { blob, seed }: { readonly blob: Uint8Array; readonly seed: Uint8Array },
  ): Promise<Uint8Array> {
    const [numbers, bytes] = toArguments(key)
    const [secret] = await this.#call(
      "activateCredential",
      [ENDORSEMENTS.indexOf(kind), ...numbers],
      [...bytes, blob, seed],
      1,
    )
    return secret
  }

  /** The TPM's word for what `key` is, signed by an attestation key. `nonce`: at most 32 bytes. */
  async certify(key: TpmKey, by: TpmKey, nonce: Uint8Array): Promise<TpmAttestation> {
    const [keyNumbers, keyBytes] = toArguments(key)
    const [byNumbers, byBytes] = toArguments(by)
    const [attested, r, s] = await this.#call(
      "certify",
      [...keyNumbers, ...byNumbers],
      [...keyBytes, ...byBytes, nonce],
      3,
    )
    return { attested, r, s }
  }

  /** The present values of SHA-256 PCRs, signed by an attestation key. */
  async quote(by: TpmKey, pcrs: readonly number[], nonce: Uint8Array): Promise<TpmAttestation> {
    const [numbers, bytes] = toArguments(by)
    const [attested, r, s] = await this.#call("quote", [toMask(pcrs), ...numbers], [...bytes, nonce], 3)
    return { attested, r, s }
  }

  /** SHA-256 PCRs in ascending order, 32 bytes each. */
  async readPcrs(pcrs: readonly number[]): Promise<readonly Uint8Array[]> {
    return this.#call("readPcrs", [toMask(pcrs)], [], null)
  }

  /** Fixed (0x100) or variable (0x200) properties, TPM2_PT → value. */
  async properties(group: 0x100 | 0x200): Promise<ReadonlyMap<number, number>> {
    const [pairs] = await this.#call("properties", [group, 0x100], [], 1)
    const numbers = toNumbers(pairs)
    return new Map(
      numbers.flatMap((property, index) => (index % 2 === 0 ? [[property, numbers[index + 1] ?? 0]] : [])),
    )
  }

  /** Handles of the type `first` begins, such as 0x81000000 for persistent objects. */
  async handles(first: number): Promise<readonly number[]> {
    const [list] = await this.#call("handles", [first], [], 1)
    return toNumbers(list)
  }

  /** Makes a counter at an NV index; returns its first value, above every counter removed from this TPM. */
  async defineCounter(index: number, parentName: Uint8Array | null = null): Promise<bigint> {
    return this.#counter("defineCounter", index, parentName)
  }

  async incrementCounter(index: number, parentName: Uint8Array | null = null): Promise<bigint> {
    return this.#counter("incrementCounter", index, parentName)
  }

  async readCounter(index: number, parentName: Uint8Array | null = null): Promise<bigint> {
    return this.#counter("readCounter", index, parentName)
  }

  async removeCounter(index: number): Promise<void> {
    await this.#call("removeCounter", [index], [], 0)
  }

  /** Flushes what is ours in the TPM and ends the connection. A TPM that does not answer is left behind. */
  async close(): Promise<void> {
    if (!this.#isStuck) await this.#inTime(this.#raw.closeTpm(this.#handle), "close")
  }

  async #counter(command: string, index: number, parentName: Uint8Array | null): Promise<bigint> {
    const [value] = await this.#call(command, [index], [parentName ?? NONE], 1)
    return Buffer.from(value).readBigUInt64BE()
  }

  async #call<N extends 0 | 1 | 2 | 3 | 5 | null>(
    command: string,
    numbers: readonly number[],
    bytes: readonly Uint8Array[],
    count: N,
  ): Promise<Results<N>> {
    if (this.#isStuck) throw stuck(command, this.#timeoutMs)
    const answer = this.#raw.callTpm(this.#handle, command, Uint32Array.from(numbers), bytes)
    const [rc, step, ...results] = await this.#inTime(answer, command)
    if (rc !== 0) throw toError(rc, step)
    if (count !== null && results.length !== count)
      throw new AppError("TPM_FAILED", `the TPM answered ${command} with ${results.length} values`)
    return results as Results<N> // their number was just checked
  }

  async #inTime<T>(answer: Promise<T>, command: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        this.#isStuck = true
        reject(stuck(command, this.#timeoutMs))
      }, this.#timeoutMs)
    })
    try {
      return await Promise.race([answer, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

type Results<N> = N extends 0
  ? []
  : N extends 1
    ? [Uint8Array]
    : N extends 2
      ? [Uint8Array, Uint8Array]
      : N extends 3
        ? [Uint8Array, Uint8Array, Uint8Array]
        : N extends 5
          ? [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array]
          : Uint8Array[]

const NONE = new Uint8Array(0)
/** Kept in step with the enumerations in native/src/tpm_keys.cc and tpm_attest.cc. */
const KINDS = ["device", "signing", "attestation", "sealed"] as const
const ENDORSEMENTS = ["rsa-2048", "p-256"] as const

function toArguments({ object, name, parentName, auth, pcrs }: TpmKey): [number[], Uint8Array[]] {
  const isBlob = object.kind === "blob"
  return [
    [isBlob ? 0 : object.handle, toMask(pcrs)],
    [
      isBlob ? object.public : NONE,
      isBlob ? object.private : NONE,
      name ?? NONE,
      parentName ?? NONE,
      auth ?? NONE,
    ],
  ]
}

function toFacts(facts: Uint8Array): TpmKeyFacts {
  const attributes = new DataView(facts.buffer, facts.byteOffset).getUint32(0)
  const point = facts.length === 68 ? Buffer.concat([Buffer.of(4), facts.subarray(4)]) : null
  return { attributes, point }
}

function toMask(pcrs: readonly number[]): number {
  return pcrs.reduce((mask, pcr) => mask | (1 << pcr), 0)
}

function toNumbers(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.length >> 2 }, (_, index) => view.getUint32(index * 4))
}

function stuck(command: string, timeoutMs: number): AppError {
  return new AppError("TPM_BUSY", `the TPM did not answer within ${timeoutMs / 1000} s (${command})`)
}

/**
 * A response code of tpm2-tss as a refusal. Format-one codes (bit 7) carry the handle, session or parameter they are about
 * in other bits (TPM 2.0 part 2, 6.6.2).
 */
function toError(rc: number, step: string): AppError {
  const layer = rc >>> 16
  const code = rc & 0xffff
  const fact = (text: string) => `${text} (${step}, 0x${rc.toString(16)})`
  if (layer === OWN_LAYER) {
    const [errorCode, text] = OWN[code] ?? ["TPM_FAILED", "the TPM failed"]
    return new AppError(errorCode, fact(text))
  }
  if (layer === CHIP_LAYER || layer === MANAGER_LAYER) {
    const base = (code & 0x80) === 0 ? code : code & 0xbf
    const known = CHIP.get(base)
    if (known !== undefined) return new AppError(known[0], fact(known[1]))
    return new AppError("TPM_FAILED", fact("the TPM refused"))
  }
  if (step === "connect") return new AppError("TPM_ABSENT", fact("no TPM answers there"))
  // ESYS recomputes every response's HMAC: what does not match was changed on its way, or its auth value is another.
  if (layer === ESYS_LAYER && code === 0x1a)
    return new AppError("TPM_FAILED", fact("the TPM's answer is not authentic"))
  return new AppError("TPM_FAILED", fact("the TPM could not be used"))
}

const CHIP_LAYER = 0x00
const ESYS_LAYER = 0x07
/** What a resource manager answers in the chip's place. */
const MANAGER_LAYER = 0x0c
const OWN_LAYER = 0xff
const OWN: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  1: ["TPM_KEY_FOREIGN", "the key or its storage key is not the one that was recorded"],
  2: ["KEY_UNREADABLE", "a value has the wrong form for the TPM"],
  3: ["TPM_UNSUITABLE", "the TPM holds something else there"],
  4: ["TPM_FAILED", "the TPM's answer has the wrong form"],
}

/** Response codes of the chip itself (TPM 2.0 part 2, 6.6.3), format-one codes without their number bits. */
const CHIP: ReadonlyMap<number, readonly [ErrorCode, string]> = new Map<number, readonly [ErrorCode, string]>(
  [
    [0x8e, ["TPM_AUTH_WRONG", "the authorisation value is wrong"]],
    [0xa2, ["TPM_AUTH_WRONG", "the authorisation value is wrong"]],
    [0x921, ["TPM_LOCKED", "the TPM is locked after too many wrong authorisation values"]],
    [0x9d, ["TPM_POLICY_REFUSED", "the PCRs are not in the state the key is bound to"]],
    [0x99, ["TPM_POLICY_REFUSED", "the policy does not allow this use"]],
    [0x9f, ["TPM_KEY_FOREIGN", "the key was made by another TPM, or this one was cleared"]],
    [0x95, ["KEY_UNREADABLE", "a value has the wrong size for the TPM"]],
    [0x84, ["TPM_UNSUITABLE", "the TPM takes no such value"]],
    [0x8b, ["TPM_HANDLE_EMPTY", "the TPM holds nothing under that handle"]],
    [0x82, ["TPM_UNSUITABLE", "the key's attributes do not allow this use"]],
    [0x9c, ["TPM_UNSUITABLE", "the key is of another type"]],
    [0xa7, ["AGE_MALFORMED", "the point is not on the curve"]],
    [0x902, ["TPM_BUSY", "the TPM has no slot left for a key"]],
    [0x903, ["TPM_BUSY", "the TPM has no slot left for a session"]],
    [0x905, ["TPM_BUSY", "the TPM has no session handle left"]],
    [0x922, ["TPM_BUSY", "the TPM asks to be tried again"]],
    [0x908, ["TPM_BUSY", "the TPM yielded"]],
    [0x14b, ["TPM_FULL", "the TPM has no room left"]],
    [0x14c, ["TPM_EXISTS", "the TPM has something under that handle already"]],
    [0x14a, ["TPM_UNSUITABLE", "the counter has never counted"]],
    [0x148, ["TPM_UNSUITABLE", "the TPM has locked that index"]],
    [0x149, ["TPM_AUTH_WRONG", "the authorisation does not allow access to that index"]],
    [0x12f, ["TPM_AUTH_WRONG", "the authorisation value cannot be used for this"]],
  ],
)
