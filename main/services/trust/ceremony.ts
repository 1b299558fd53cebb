/** Signing by files: a request goes to each signer, an answer comes back, and anyone puts the answers together. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { SignedRequest, SignRequest, Trust } from "../../contract/schema/trust.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { parseJson } from "../../core/bytes/json.ts"
import { readAll } from "../../core/bytes/source.ts"
import { trustKey } from "../../core/tuf/key.ts"
import { fingerprintOf, signatureSchema } from "../../core/tuf/signing.ts"
import type { Ports } from "../ports.ts"
import { settle } from "./change.ts"
import { addSignature, draftSchema, dropDraft, readDraft, signersOf, whatOf, type Draft } from "./draft.ts"
import { signDocument } from "./own-keys.ts"
import { showTrust } from "./show.ts"

/** A request holds a handful of metadata documents. */
const MAX_FILE_BYTES = 8 << 20

const answerSchema = z.strictObject({
  kind: z.literal("sealwright-signing-answer"),
  version: z.literal(1),
  signatures: z
    .array(z.strictObject({ fingerprint: z.string().length(64), signature: signatureSchema }))
    .min(1)
    .max(64),
})
type Answer = z.infer<typeof answerSchema>

type Output = SignRequest["output"]

/** Writes the waiting draft as a request file. Throws DRAFT_ABSENT when nothing waits. */
export async function writeRequest(ports: Ports, output: Output): Promise<Trust> {
  await write(ports, output, await waitingDraft(ports))
  return showTrust(ports)
}

/**
 * Signs everything in a request that this key is asked for. The signer sees what it is; what is signed is the document in
 * the request itself, and whoever assembles checks that it is the one drafted. Throws ROLE_MISSING when the key is not asked.
 */
export async function signRequest(ports: Ports, request: SignRequest): Promise<SignedRequest> {
  const draft = await readJsonFile(ports, request.request, draftSchema)
  const key = await ports.keys.find(request.key, "signing")
  if (key.publicKeyPem === null) throw new AppError("KEY_PURPOSE", `key ${key.name} cannot sign`)
  const { keyId } = trustKey(key.publicKeyPem, key.name, key.assurance)
  const signatures: Answer["signatures"] = []
  const documents: SignedRequest["documents"] = []
  for (const document of draft.documents) {
    const trusted = signersOf(document).find((signer) => signer.keyId === keyId)
    if (trusted === undefined) continue
    const fingerprint = fingerprintOf(document.signed)
    signatures.push({ fingerprint, signature: await signDocument(ports, key, trusted, document.signed) })
    documents.push({ what: whatOf(document), fingerprint })
  }
  if (signatures.length === 0)
    throw new AppError("ROLE_MISSING", `key ${key.name} is not asked to sign anything in this request`)
  const answer: Answer = { kind: "sealwright-signing-answer", version: 1, signatures }
  await write(ports, request.output, answer)
  return { title: draft.title, key: key.name, documents }
}

/** Adds answers to the draft, and publishes it when they are enough. */
export async function assemble(ports: Ports, answers: readonly FileRef[]): Promise<Trust> {
  let draft: Draft = await waitingDraft(ports)
  for (const file of answers) {
    const { signatures } = await readJsonFile(ports, file, answerSchema)
    for (const { fingerprint, signature } of signatures) draft = addSignature(draft, fingerprint, signature)
  }
  await settle(ports, draft)
  return showTrust(ports)
}

/** Gives up what waits for signatures. */
export async function discardDraft(ports: Ports): Promise<Trust> {
  await waitingDraft(ports)
  await dropDraft(ports)
  return showTrust(ports)
}

async function waitingDraft(ports: Ports): Promise<Draft> {
  const draft = await readDraft(ports)
  if (draft === null) throw new AppError("DRAFT_ABSENT", "nothing waits for signatures in this workspace")
  return draft
}

async function readJsonFile<T>(ports: Ports, ref: FileRef, schema: z.ZodType<T>): Promise<T> {
  const file = await ports.files.open(ref)
  try {
    const malformed = (reason: string) => new AppError("REQUEST_MALFORMED", `${file.name} ${reason}`)
    const bytes = await readAll(file, MAX_FILE_BYTES, () => malformed("is too large"))
    let json: unknown
    try {
      json = parseJson(bytes, file.name)
    } catch (error) {
      throw new AppError("REQUEST_MALFORMED", `${file.name} is not strict JSON`, { cause: error })
    }
    const parsed = schema.safeParse(json)
    if (parsed.success) return parsed.data
    const issue = parsed.error.issues[0]
    throw malformed(`is not of the form expected: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`)
  } finally {
    await file.close()
  }
}

async function write(ports: Ports, output: Output, document: Draft | Answer): Promise<void> {
  const file = await ports.files.create(output.file, { replace: output.replace, isSecret: false })
  try {
    await file.write(0, toUtf8(`${JSON.stringify(document, null, 2)}\n`))
    await file.commit()
  } finally {
    await file.discard()
  }
}
