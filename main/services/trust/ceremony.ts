/** Signing by files: a request goes to each signer, an answer comes back, and anyone puts the answers together. */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { Pending, SignedRequest, SignRequest, Trust } from "../../contract/schema/trust.ts"
import { trustKey } from "../../core/tuf/key.ts"
import { fingerprintOf, signatureSchema } from "../../core/tuf/signing.ts"
import type { Ports } from "../ports.ts"
import { settle } from "./change.ts"
import {
  addSignature,
  describeDraft,
  draftSchema,
  dropDraft,
  readDraft,
  signersOf,
  whatOf,
  type Draft,
} from "./draft.ts"
import { signDocument } from "./own-keys.ts"
import { readRequestFile, writeRequestFile } from "./request-file.ts"
import { showTrust } from "./show.ts"

const answerSchema = z.strictObject({
  kind: z.literal("sealwright-signing-answer"),
  version: z.literal(1),
  signatures: z
    .array(z.strictObject({ fingerprint: z.string().length(64), signature: signatureSchema }))
    .min(1)
    .max(64),
})
type Answer = z.infer<typeof answerSchema>

/** Writes the waiting draft as a request file. Throws DRAFT_ABSENT when nothing waits. */
export async function writeRequest(ports: Ports, output: SignRequest["output"]): Promise<Trust> {
  await writeRequestFile(ports, output, await waitingDraft(ports))
  return showTrust(ports)
}

/** What a request file asks for, read from the very documents that are signed. */
export async function lookAtRequest(ports: Ports, request: FileRef): Promise<Pending> {
  return describeDraft(await readRequestFile(ports, request, draftSchema))
}

/**
 * Signs everything in a request that this key is asked for. The signer sees what it is; what is signed is the document in
 * the request itself, and whoever assembles checks that it is the one drafted. Throws ROLE_MISSING when the key is not asked.
 */
export async function signRequest(ports: Ports, request: SignRequest): Promise<SignedRequest> {
  const { seen } = request
  const draft = await readRequestFile(ports, request.request, draftSchema)
  const key = await ports.keys.find(request.key, "signing")
  if (key.publicKeyPem === null) throw new AppError("KEY_PURPOSE", `key ${key.name} cannot sign`)
  const { keyId } = trustKey(key.publicKeyPem, key.name, key.assurance)
  const signatures: Answer["signatures"] = []
  const documents: SignedRequest["documents"] = []
  for (const document of draft.documents) {
    const trusted = signersOf(document).find((signer) => signer.keyId === keyId)
    if (trusted === undefined) continue
    const fingerprint = fingerprintOf(document.signed)
    if (seen !== null && !seen.includes(fingerprint))
      throw new AppError("TRUST_CHANGED", `the request holds another ${whatOf(document)} than was looked at`)
    signatures.push({ fingerprint, signature: await signDocument(ports, key, trusted, document.signed) })
    documents.push({ what: whatOf(document), fingerprint })
  }
  if (signatures.length === 0)
    throw new AppError("ROLE_MISSING", `key ${key.name} is not asked to sign anything in this request`)
  const answer: Answer = { kind: "sealwright-signing-answer", version: 1, signatures }
  await writeRequestFile(ports, request.output, answer)
  return { title: draft.title, key: key.name, documents }
}

/** Adds answers to the draft, and publishes it when they are enough. */
export async function assemble(ports: Ports, answers: readonly FileRef[]): Promise<Trust> {
  let draft: Draft = await waitingDraft(ports)
  for (const file of answers) {
    const { signatures } = await readRequestFile(ports, file, answerSchema)
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
