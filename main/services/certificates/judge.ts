/** Whether a certificate leads to a trusted root at a time, for a purpose, and was not revoked (FORMAT 12.5). */
import { AppError } from "../../contract/errors.ts"
import type { VerifiedCertificate, VerifyCertificate } from "../../contract/schema/certificates.ts"
import type { Certificate } from "../../core/attest/certificate.ts"
import { describeRefusal, judgeChain, subjectOf } from "../../core/attest/chain.ts"
import { judgeRevocation, type RevocationList } from "../../core/attest/revocation-list.ts"
import { parseTrustedKeys } from "../../core/attest/trust.ts"
import { Checklist } from "../checklist.ts"
import type { Ports } from "../ports.ts"
import { readCertificates } from "./facts.ts"

export const SECTION = "12.5"
export const LEADS_TO_ROOT = "it leads to a trusted root"

export async function verifyCertificate(
  ports: Ports,
  wanted: VerifyCertificate,
): Promise<VerifiedCertificate> {
  const { certificates, lists } = await readCertificates(ports, wanted.file)
  const [leaf, ...above] = certificates
  if (leaf === undefined) throw new AppError("CERTIFICATE_MALFORMED", "the file holds no certificate")
  return judge(new Checklist(), {
    chain: [leaf, ...above],
    ends: parseTrustedKeys(await ports.trust.read(wanted.roots)).certificates,
    lists: [...lists, ...(await readLists(ports, wanted.lists))],
    at: wanted.at === null ? ports.now() : new Date(wanted.at),
    purpose: wanted.purpose,
    goal: LEADS_TO_ROOT,
  })
}

export async function readLists(
  ports: Ports,
  files: VerifyCertificate["lists"],
): Promise<readonly RevocationList[]> {
  const read = await Promise.all(files.map(async (file) => (await readCertificates(ports, file)).lists))
  return read.flat()
}

export interface Judged {
  /** The certificate to judge, then others it may lead over. */
  readonly chain: readonly [Certificate, ...Certificate[]]
  /** Where a path may end. */
  readonly ends: readonly Certificate[]
  readonly lists: readonly RevocationList[]
  readonly at: Date
  readonly purpose: VerifyCertificate["purpose"]
  /** What reaching an end means. */
  readonly goal: string
}

/** Expired, not yet valid, of another use, of an unknown issuer, revoked: each has its own word in `problem`. */
export async function judge(list: Checklist, judged: Judged): Promise<VerifiedCertificate> {
  const { chain, ends, lists, at, purpose, goal } = judged
  let problem: string | null = null
  const path = await list.check("chain", SECTION, goal, async () => {
    const verdict = judgeChain(chain, ends, at, purpose)
    if (verdict.kind === "trusted") {
      const { certificates } = verdict.path
      return { reason: `${certificates.length} certificates, ${purpose}`, value: certificates }
    }
    problem = verdict.problem
    throw new AppError("SIGNER_UNTRUSTED", describeRefusal(verdict))
  })
  if (lists.length === 0)
    list.skip("revocation", SECTION, "it was not revoked", "no revocation list was given")
  else
    await list.check("revocation", SECTION, "it was not revoked", async () => {
      const verdict = await judgeRevocation(path ?? [], lists, at)
      if (verdict.kind === "good")
        return { reason: `${lists.length} lists, none names it or those above it`, value: true }
      problem = verdict.kind === "revoked" ? "revoked" : "revocation-unknown"
      throw new AppError("SIGNER_UNTRUSTED", describeRefusal(verdict))
    })
  return {
    verdict: list.hasFailed ? "refused" : "trusted",
    problem,
    checks: list.checks,
    path: (path ?? []).map(subjectOf),
  }
}
