/** The keys of this workspace, as the trust root names keys. */
import { AppError } from "../../contract/errors.ts"
import type { Key } from "../../contract/schema/keys.ts"
import type { Signer } from "../../contract/schema/trust.ts"
import { readAll } from "../../core/bytes/source.ts"
import { trustKey, type TrustKey } from "../../core/tuf/key.ts"
import type { RolePlan, Signed } from "../../core/tuf/plan.ts"
import { bytesToSign, isSignedBy, toSignature, type Signature } from "../../core/tuf/signing.ts"
import type { Ports } from "../ports.ts"

/** Signing keys by keyid. */
export type OwnKeys = ReadonlyMap<string, Key>

export async function ownKeys(ports: Ports): Promise<OwnKeys> {
  const found = new Map<string, Key>()
  for (const key of await ports.keys.list()) {
    if (key.purpose !== "signing" || key.publicKeyPem === null || key.algorithm !== "P-256") continue
    found.set(trustKey(key.publicKeyPem, key.name, key.assurance).keyId, key)
  }
  return found
}

/** Signs a document with a key of this workspace. What came back is checked before it is used: a token may hold another key. */
export async function signDocument(
  ports: Ports,
  key: Key,
  trusted: TrustKey,
  signed: Signed,
): Promise<Signature> {
  const signature = toSignature(trusted, await ports.keys.sign(key, bytesToSign(signed)))
  if (isSignedBy(signed, trusted, signature)) return signature
  throw new AppError("SIGNATURE_INVALID", `key ${key.name} answered with something else than its signature`)
}

/** Signatures that meet a role which signs without a person. Throws KEY_NOT_FOUND when its keys are elsewhere. */
export async function signAlone(
  ports: Ports,
  own: OwnKeys,
  role: RolePlan,
  signed: Signed,
): Promise<readonly Signature[]> {
  const signatures: Signature[] = []
  for (const trusted of role.keys) {
    const key = own.get(trusted.keyId)
    if (key === undefined || signatures.length === role.threshold) continue
    signatures.push(await signDocument(ports, key, trusted, signed))
  }
  if (signatures.length >= role.threshold) return signatures
  const people = role.keys.map(({ person }) => person).join(", ")
  throw new AppError("KEY_NOT_FOUND", `the key that signs this (${people}) is not in this workspace`)
}

/** A public key is small. */
const MAX_PEM_BYTES = 1 << 16

export async function readSigner(ports: Ports, signer: Signer): Promise<TrustKey> {
  if (signer.kind === "own") {
    const key = await ports.keys.find(signer.name, "signing")
    if (key.publicKeyPem === null) throw new AppError("KEY_PURPOSE", `key ${key.name} cannot sign`)
    return trustKey(key.publicKeyPem, signer.person ?? key.name, key.assurance)
  }
  const file = await ports.files.open(signer.file)
  try {
    const bytes = await readAll(
      file,
      MAX_PEM_BYTES,
      () => new AppError("KEY_UNREADABLE", `${file.name} is too large for a key`),
    )
    return trustKey(Buffer.from(bytes).toString("latin1"), signer.person, signer.assurance)
  } finally {
    await file.close()
  }
}
