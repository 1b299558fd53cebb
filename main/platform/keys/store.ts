/** All keys of a workspace, whatever provider holds them. */
import path from "node:path"
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { Key } from "../../contract/schema/keys.ts"
import type { CredentialFile } from "../../core/attest/credential-file.ts"
import { toUncompressed } from "../../core/age/p256.ts"
import { parseBase64, toBase64 } from "../../core/bytes/bytes.ts"
import type { KeyStore, NewKey } from "../../services/ports/keys.ts"
import { checkName, Records } from "../workspace/records.ts"
import { fingerprintOf } from "./public-key.ts"
import type { KeyProvider, MadeKey } from "./provider.ts"
import { keyRecordSchema, MAX_CHAIN, toKey, type KeyRecord } from "./record.ts"

const PURPOSES = ["signing", "device", "attestation", "authority"] as const

export type KeyRecords = Readonly<Record<Key["purpose"], Records<KeyRecord>>>

/** `folder`: the workspace's `keys`. One folder a purpose, so a device and a signing key may share a name. */
export function keyRecords(folder: string): KeyRecords {
  const codes = { missing: "KEY_NOT_FOUND", exists: "KEY_EXISTS" } as const
  const recordsOf = (purpose: Key["purpose"]) =>
    new Records<KeyRecord>(path.join(folder, purpose), keyRecordSchema, codes)
  return {
    signing: recordsOf("signing"),
    device: recordsOf("device"),
    attestation: recordsOf("attestation"),
    authority: recordsOf("authority"),
  }
}

/** `readCredential` opens a credential file, asking for its passphrase if it has one. */
export function keyStore(
  records: KeyRecords,
  providers: readonly KeyProvider[],
  now: () => Date,
  readCredential: (file: FileRef) => Promise<CredentialFile>,
): KeyStore {
  const providerOf = (name: Key["provider"]): KeyProvider => {
    const provider = providers.find((candidate) => candidate.name === name)
    if (provider === undefined)
      throw new AppError("KEY_PROVIDER_UNAVAILABLE", `this version has no provider ${name}`)
    return provider
  }
  /** The record behind a key and the provider that holds it. */
  const locate = async ({ name, purpose }: Key) => {
    const record = await records[purpose].find(name)
    return { record, provider: providerOf(record.provider) }
  }

  const checkFree = async ({ purpose, name }: NewKey): Promise<void> => {
    checkName(name)
    if (await records[purpose].has(name))
      throw new AppError("KEY_EXISTS", `${name} exists already in this workspace`)
  }
  const add = async (
    wanted: NewKey,
    provider: KeyProvider,
    { assurance, ...made }: MadeKey,
  ): Promise<Key> => {
    const record: KeyRecord = {
      name: wanted.name,
      purpose: wanted.purpose,
      provider: provider.name,
      ...made,
      assurance: assurance.level,
      evidence: [...assurance.evidence],
      fingerprint: fingerprintOf(made),
      createdAt: now().toISOString(),
      chain: [],
    }
    try {
      await records[wanted.purpose].add(wanted.name, record)
    } catch (error) {
      await provider.remove(record)
      throw error
    }
    return toKey(record)
  }

  return {
    async create(wanted) {
      checkPurpose(wanted)
      await checkFree(wanted)
      const provider = providerOf(wanted.place.provider)
      return add(wanted, provider, await provider.create(wanted))
    },
    async import({ name, file, passphrase }) {
      const place = { provider: "software", passphrase } as const
      const wanted: NewKey = { name, purpose: "signing", algorithm: "P-256", place }
      await checkFree(wanted)
      const { privateKey, chain } = await readCredential(file)
      if (privateKey === null) throw new AppError("KEY_UNREADABLE", "the file holds no private key")
      const provider = providerOf("software")
      if (provider.keep === undefined) throw new AppError("INTERNAL", "files cannot keep a key")
      const made = await provider.keep(wanted, privateKey)
      // What was made elsewhere may have copies there.
      const evidence = [...made.assurance.evidence, "the key was made elsewhere and brought in from a file"]
      return {
        key: await add(wanted, provider, { ...made, assurance: { ...made.assurance, evidence } }),
        chain,
      }
    },
    async attach({ name, purpose }, chain) {
      if (purpose !== "signing")
        throw new AppError("KEY_PURPOSE", `key ${name} is no signing key and gets no certificate`)
      if (chain.length > MAX_CHAIN)
        throw new AppError("CERTIFICATE_MALFORMED", `more than ${MAX_CHAIN} certificates above one another`)
      const record = await records.signing.find(name)
      await records.signing.replace(name, { ...record, chain: chain.map(toBase64) })
    },
    async chain({ name, purpose }) {
      const { chain } = await records[purpose].find(name)
      return chain.map((text) => {
        const der = parseBase64(text)
        if (der === null) throw new AppError("WORKSPACE_UNUSABLE", `the record of ${name} is damaged`)
        return der
      })
    },
    async list() {
      const all = await Promise.all(PURPOSES.map(async (purpose) => records[purpose].list()))
      return all.flat().map((record) => toKey(record))
    },
    async find(name, purpose) {
      if (purpose !== undefined) return toKey(await records[purpose].find(name))
      for (const candidate of PURPOSES)
        if (await records[candidate].has(name)) return toKey(await records[candidate].find(name))
      throw new AppError("KEY_NOT_FOUND", `${name} is not in this workspace`)
    },
    async remove(key) {
      const { record, provider } = await locate(key)
      await provider.remove(record)
      await records[key.purpose].remove(key.name)
    },
    async sign(key, message) {
      if (key.purpose !== "signing" && key.purpose !== "authority")
        throw new AppError("KEY_PURPOSE", `key ${key.name} is no signing key and cannot sign`)
      const { record, provider } = await locate(key)
      return provider.sign(record, message)
    },
    async ecdh(key, point) {
      if (key.purpose !== "device" || key.algorithm === "X25519")
        throw new AppError("KEY_PURPOSE", `key ${key.name} is no P-256 device key`)
      const share = toUncompressed(point)
      // A chip must never see a point off the curve: its answer could leak the key.
      if (share === null) throw new AppError("AGE_MALFORMED", "the share is not a P-256 point")
      const { record, provider } = await locate(key)
      return provider.ecdh(record, share)
    },
    async identity(key) {
      if (key.purpose !== "device")
        throw new AppError("KEY_PURPOSE", `key ${key.name} is no device key and cannot decrypt`)
      const { record, provider } = await locate(key)
      return provider.identity(record)
    },
    async assurance(key) {
      const { record, provider } = await locate(key)
      return provider.assurance(record)
    },
    async diagnose(only) {
      const asked = only === undefined ? providers : providers.filter(({ name }) => name === only)
      return (await Promise.all(asked.map(async (provider) => provider.diagnose()))).flat()
    },
  }
}

function checkPurpose({ purpose, algorithm, place }: NewKey): void {
  if (purpose !== "device" && algorithm !== "P-256")
    throw new AppError("KEY_PURPOSE", `a new ${purpose} key is on P-256, not ${algorithm}`)
  if (purpose === "attestation" && place.provider !== "tpm2")
    throw new AppError("KEY_PURPOSE", "only a TPM can attest: make the key with provider tpm2")
}
