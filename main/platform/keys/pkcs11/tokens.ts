/** Tokens of PKCS#11 modules: sessions that stay open, keys found by label and id, and the operations on them. */
import pkcs11 from "pkcs11js"
import { AppError } from "../../../contract/errors.ts"
import { wipe } from "../../../core/bytes/bytes.ts"
import { toTokenError } from "./failures.ts"
import type { PrivateFacts, PublicFacts, Purpose, TokenFacts } from "./protocol.ts"
import type { KeyTarget, TokenTarget } from "./uri.ts"

const POINT_BYTES = 65
const SECRET_BYTES = 32
/** CKS_RO_USER_FUNCTIONS and CKS_RW_USER_FUNCTIONS (PKCS#11 2.40, 3.3); pkcs11js declares them and does not have them. */
const STATE = { readOnlyUser: 1, readWriteUser: 3 } as const
/** CKF_HW_SLOT of a slot's flags (3.2); pkcs11js has it and does not declare it. */
const HARDWARE_SLOT = 4
/** OBJECT IDENTIFIER prime256v1, DER: CKA_EC_PARAMS of a key on P-256. */
const P256 = Buffer.from("06082a8648ce3d030107", "hex")

interface Session {
  readonly module: pkcs11.PKCS11
  readonly slot: pkcs11.Handle
  readonly handle: pkcs11.Handle
  readonly isReadOnly: boolean
}

export class Tokens {
  readonly #modules = new Map<string, pkcs11.PKCS11>()
  /** Open sessions by module and slot; a token is logged in for as long as one is open. */
  readonly #sessions = new Map<string, Session>()

  list(modulePath: string): readonly TokenFacts[] {
    const module = this.#load(modulePath)
    return slotsOf(module).map((slot) => toFacts(module, slot, false))
  }

  describe(target: TokenTarget): TokenFacts {
    const session = this.#open(target)
    return this.#guard(target, () => toFacts(session.module, session.slot, isLoggedIn(session)))
  }

  login(target: TokenTarget, pin: Uint8Array | null): null {
    const { module, handle } = this.#open(target)
    this.#guard(target, () => {
      try {
        module.C_Login(handle, pkcs11.CKU_USER, pin === null ? undefined : Buffer.from(pin).toString("utf8"))
      } catch (error) {
        if (codeOf(error) !== pkcs11.CKR_USER_ALREADY_LOGGED_IN) throw error
      }
    })
    return null
  }

  generate(target: TokenTarget, purpose: Purpose, label: string, id: Uint8Array): PublicFacts {
    const session = this.#open(target)
    if (session.isReadOnly) throw new AppError("TOKEN_READ_ONLY", "the token cannot be written to")
    const isDevice = purpose === "device"
    const common = [
      { type: pkcs11.CKA_TOKEN, value: true },
      { type: pkcs11.CKA_LABEL, value: label },
      { type: pkcs11.CKA_ID, value: Buffer.from(id) },
    ]
    return this.#guard(target, () => {
      requireMechanism(session, pkcs11.CKM_EC_KEY_PAIR_GEN, "EC key generation")
      const pair = session.module.C_GenerateKeyPair(
        session.handle,
        { mechanism: pkcs11.CKM_EC_KEY_PAIR_GEN },
        [
          ...common,
          { type: pkcs11.CKA_EC_PARAMS, value: P256 },
          { type: pkcs11.CKA_PRIVATE, value: false },
          ...(isDevice ? [] : [{ type: pkcs11.CKA_VERIFY, value: true }]),
        ],
        [
          ...common,
          { type: pkcs11.CKA_PRIVATE, value: true },
          { type: pkcs11.CKA_SENSITIVE, value: true },
          { type: pkcs11.CKA_EXTRACTABLE, value: false },
          // One key does one thing: a signing key that also derives could be made to decrypt.
          { type: pkcs11.CKA_SIGN, value: !isDevice },
          { type: pkcs11.CKA_DERIVE, value: isDevice },
        ],
      )
      return readPublic(session, pair.publicKey)
    })
  }

  find(target: KeyTarget): PublicFacts {
    const session = this.#open(target)
    return this.#guard(target, () => readPublic(session, findOne(session, target, pkcs11.CKO_PUBLIC_KEY)))
  }

  describeKey(target: KeyTarget): PrivateFacts {
    const session = this.#open(target)
    return this.#guard(target, () => {
      const key = findOne(session, target, pkcs11.CKO_PRIVATE_KEY)
      return {
        isLocal: readFlag(session, key, pkcs11.CKA_LOCAL),
        isSensitive:
          readFlag(session, key, pkcs11.CKA_SENSITIVE) && readFlag(session, key, pkcs11.CKA_ALWAYS_SENSITIVE),
        isNeverExtractable: readFlag(session, key, pkcs11.CKA_NEVER_EXTRACTABLE),
      }
    })
  }

  /** The x-coordinate of the shared point, 32 bytes. */
  derive(target: KeyTarget, point: Uint8Array): Uint8Array {
    const session = this.#open(target)
    return this.#guard(target, () => {
      requireMechanism(session, pkcs11.CKM_ECDH1_DERIVE, "ECDH")
      const key = findOne(session, target, pkcs11.CKO_PRIVATE_KEY)
      const raw = Buffer.from(point)
      try {
        return deriveWith(session, key, raw)
      } catch (error) {
        // PKCS#11 2.40 asks for the raw point; some modules take only its DER OCTET STRING.
        if (!WANTS_DER.has(codeOf(error))) throw error
        return deriveWith(session, key, Buffer.concat([Buffer.of(0x04, POINT_BYTES), raw]))
      }
    })
  }

  sign(target: KeyTarget, digest: Uint8Array, kind: "ecdsa" | "rsa-pss"): Uint8Array {
    const session = this.#open(target)
    const { module, handle } = session
    return this.#guard(target, () => {
      const type = kind === "ecdsa" ? pkcs11.CKM_ECDSA : pkcs11.CKM_RSA_PKCS_PSS
      requireMechanism(session, type, kind === "ecdsa" ? "ECDSA" : "RSA-PSS")
      const key = findOne(session, target, pkcs11.CKO_PRIVATE_KEY)
      const parameter = {
        type: pkcs11.CK_PARAMS_RSA_PSS,
        hashAlg: pkcs11.CKM_SHA256,
        mgf: pkcs11.CKG_MGF1_SHA256,
        saltLen: 32,
      }
      module.C_SignInit(handle, kind === "ecdsa" ? { mechanism: type } : { mechanism: type, parameter }, key)
      return module.C_Sign(handle, Buffer.from(digest), Buffer.alloc(1024))
    })
  }

  destroy(target: KeyTarget): null {
    const session = this.#open(target)
    return this.#guard(target, () => {
      for (const kind of [pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY])
        session.module.C_DestroyObject(session.handle, findOne(session, target, kind))
      return null
    })
  }

  #load(modulePath: string): pkcs11.PKCS11 {
    const known = this.#modules.get(modulePath)
    if (known !== undefined) return known
    const module = new pkcs11.PKCS11()
    try {
      module.load(modulePath)
      module.C_Initialize()
    } catch (error) {
      throw new AppError("TOKEN_ABSENT", "the PKCS#11 module does not load", { cause: error })
    }
    this.#modules.set(modulePath, module)
    return module
  }

  #open(target: TokenTarget): Session {
    const module = this.#load(target.module)
    const id = sessionId(target)
    const known = this.#sessions.get(id)
    if (known !== undefined) return known
    try {
      const matching = slotsOf(module).filter((slot) => isTarget(target, slot, module))
      const [slot, ...others] = matching
      if (slot === undefined) throw new AppError("TOKEN_ABSENT", "the token is not there")
      if (others.length > 0)
        throw new AppError("TOKEN_URI_INVALID", `the URI fits ${matching.length} tokens: add its serial`)
      const isReadOnly = (module.C_GetTokenInfo(slot).flags & pkcs11.CKF_WRITE_PROTECTED) !== 0
      const flags = pkcs11.CKF_SERIAL_SESSION | (isReadOnly ? 0 : pkcs11.CKF_RW_SESSION)
      const session = { module, slot, handle: module.C_OpenSession(slot, flags), isReadOnly }
      this.#sessions.set(id, session)
      return session
    } catch (error) {
      throw toTokenError(error)
    }
  }

  /** Runs one operation; when it fails, finds out whether that is because the token is gone. */
  #guard<T>(target: TokenTarget, action: () => T): T {
    try {
      return action()
    } catch (error) {
      const refusal = toTokenError(error)
      if (refusal.code !== "TOKEN_REMOVED" && this.#isThere(target)) throw refusal
      throw new AppError("TOKEN_REMOVED", "the token was removed while it was used", { cause: error })
    }
  }

  #isThere(target: TokenTarget): boolean {
    const session = this.#sessions.get(sessionId(target))
    if (session === undefined) return false
    try {
      session.module.C_GetSessionInfo(session.handle)
      return isTarget(target, session.slot, session.module)
    } catch {
      return false
    }
  }
}

const WANTS_DER: ReadonlySet<number> = new Set([
  pkcs11.CKR_MECHANISM_PARAM_INVALID,
  pkcs11.CKR_ARGUMENTS_BAD,
  pkcs11.CKR_DATA_INVALID,
  pkcs11.CKR_DATA_LEN_RANGE,
])

function deriveWith(session: Session, key: pkcs11.Handle, publicData: Buffer): Uint8Array {
  const { module, handle } = session
  const parameter = { type: pkcs11.CK_PARAMS_EC_DH, kdf: pkcs11.CKD_NULL, publicData }
  const secret = module.C_DeriveKey(handle, { mechanism: pkcs11.CKM_ECDH1_DERIVE, parameter }, key, [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_GENERIC_SECRET },
    { type: pkcs11.CKA_TOKEN, value: false },
    { type: pkcs11.CKA_SENSITIVE, value: false },
    { type: pkcs11.CKA_EXTRACTABLE, value: true },
    { type: pkcs11.CKA_VALUE_LEN, value: SECRET_BYTES },
  ])
  try {
    const value = readBytes(session, secret, pkcs11.CKA_VALUE)
    if (value.length > SECRET_BYTES)
      throw new AppError("TOKEN_FAILED", "the token answered with a long secret")
    // Of a buffer of its own: V8 keeps small arrays among its objects, and copies them when their memory is asked for.
    const padded = new Uint8Array(new ArrayBuffer(SECRET_BYTES))
    padded.set(value, SECRET_BYTES - value.length)
    wipe(value)
    return padded
  } finally {
    module.C_DestroyObject(handle, secret)
  }
}

/** Exactly one object of a kind by label and id. Throws TOKEN_KEY_MISSING, and TOKEN_URI_INVALID for more than one. */
function findOne({ module, handle }: Session, target: KeyTarget, kind: number): pkcs11.Handle {
  if (target.object === null && target.id === null)
    throw new AppError("TOKEN_URI_INVALID", "the URI names no object: add object=… or id=…")
  const template: pkcs11.Template = [{ type: pkcs11.CKA_CLASS, value: kind }]
  if (target.object !== null) template.push({ type: pkcs11.CKA_LABEL, value: target.object })
  if (target.id !== null) template.push({ type: pkcs11.CKA_ID, value: Buffer.from(target.id) })
  module.C_FindObjectsInit(handle, template)
  try {
    const [first, second] = module.C_FindObjects(handle, 2)
    if (first === undefined) throw new AppError("TOKEN_KEY_MISSING", "the token does not hold the key")
    if (second !== undefined) throw new AppError("TOKEN_URI_INVALID", "the URI fits several keys: add id=…")
    return first
  } finally {
    module.C_FindObjectsFinal(handle)
  }
}

function readPublic(session: Session, key: pkcs11.Handle): PublicFacts {
  const label = readBytes(session, key, pkcs11.CKA_LABEL).toString("utf8")
  const id = readBytes(session, key, pkcs11.CKA_ID)
  const type = readBytes(session, key, pkcs11.CKA_KEY_TYPE).readUInt32LE(0)
  if (type === pkcs11.CKK_RSA) {
    const modulus = readBytes(session, key, pkcs11.CKA_MODULUS)
    return {
      label,
      id,
      key: { kind: "rsa", modulus, exponent: readBytes(session, key, pkcs11.CKA_PUBLIC_EXPONENT) },
    }
  }
  const curve = type === pkcs11.CKK_EC ? readBytes(session, key, pkcs11.CKA_EC_PARAMS) : null
  if (curve === null || !curve.equals(P256))
    throw new AppError("TOKEN_UNSUITABLE", "the key is neither on P-256 nor RSA")
  const encoded = readBytes(session, key, pkcs11.CKA_EC_POINT)
  // The standard wants an OCTET STRING around the point; some modules leave it out.
  const point = encoded.length === POINT_BYTES + 2 ? encoded.subarray(2) : encoded
  return { label, id, key: { kind: "p-256", point: Uint8Array.from(point) } }
}

function readBytes({ module, handle }: Session, object: pkcs11.Handle, type: number): Buffer {
  const [attribute] = module.C_GetAttributeValue(handle, object, [{ type }])
  return attribute?.value ?? Buffer.alloc(0)
}

function readFlag(session: Session, object: pkcs11.Handle, type: number): boolean {
  return readBytes(session, object, type)[0] === 1
}

function requireMechanism({ module, slot }: Session, mechanism: number, what: string): void {
  if (!module.C_GetMechanismList(slot).includes(mechanism))
    throw new AppError("TOKEN_UNSUITABLE", `the token cannot do ${what}`)
}

function slotsOf(module: pkcs11.PKCS11): readonly pkcs11.Handle[] {
  try {
    return module
      .C_GetSlotList(true)
      .filter((slot) => (module.C_GetTokenInfo(slot).flags & pkcs11.CKF_TOKEN_INITIALIZED) !== 0)
  } catch (error) {
    throw toTokenError(error)
  }
}

function isTarget(target: TokenTarget, slot: pkcs11.Handle, module: pkcs11.PKCS11): boolean {
  const info = module.C_GetTokenInfo(slot)
  const isWanted = (wanted: string | null, found: string) => wanted === null || wanted === found.trimEnd()
  return (
    isWanted(target.token, info.label) &&
    isWanted(target.serial, info.serialNumber) &&
    isWanted(target.manufacturer, info.manufacturerID) &&
    isWanted(target.model, info.model) &&
    (target.slotId === null || slot.readUInt32LE(0) === target.slotId)
  )
}

function isLoggedIn({ module, handle }: Session): boolean {
  const { state } = module.C_GetSessionInfo(handle)
  return state === STATE.readOnlyUser || state === STATE.readWriteUser
}

function toFacts(module: pkcs11.PKCS11, slot: pkcs11.Handle, loggedIn: boolean): TokenFacts {
  const info = module.C_GetTokenInfo(slot)
  const has = (flag: number) => (info.flags & flag) !== 0
  return {
    label: info.label.trimEnd(),
    manufacturer: info.manufacturerID.trimEnd(),
    model: info.model.trimEnd(),
    serial: info.serialNumber.trimEnd(),
    isHardware: (module.C_GetSlotInfo(slot).flags & HARDWARE_SLOT) !== 0,
    needsLogin: has(pkcs11.CKF_LOGIN_REQUIRED),
    isLoggedIn: loggedIn,
    hasPinPad: has(pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH),
    pin: has(pkcs11.CKF_USER_PIN_LOCKED)
      ? "locked"
      : has(pkcs11.CKF_USER_PIN_FINAL_TRY)
        ? "final-try"
        : has(pkcs11.CKF_USER_PIN_COUNT_LOW)
          ? "count-low"
          : "fresh",
  }
}

function sessionId({ module, token, serial, manufacturer, model, slotId }: TokenTarget): string {
  return JSON.stringify([module, token, serial, manufacturer, model, slotId])
}

function codeOf(error: unknown): number {
  return error instanceof pkcs11.Pkcs11Error ? error.code : -1
}
