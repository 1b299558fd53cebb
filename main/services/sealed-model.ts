/** A package loaded into a sealed runtime. */
import type { FileRef } from "../contract/schema/base.ts"
import type { RuntimeLevel } from "../contract/schema/runtime.ts"
import type { JsonObject } from "../core/attest/statement.ts"
import { readSealFile } from "../core/oci/seal-file.ts"
import type { Golden } from "../core/policy/grant.ts"
import type { Policy } from "../core/policy/policy.ts"
import { usableOn } from "./deployment/deployed.ts"
import { openGrant, readSignatures, wipeGranted } from "./package-access.ts"
import type { Ports, RuntimeProcess } from "./ports.ts"

export interface SealedModelRequest {
  readonly file: FileRef
  readonly device: string
  readonly trust: FileRef | null
}

export interface SealedModel {
  readonly runtime: RuntimeProcess
  /** Digest of the package manifest. */
  readonly packageDigest: string
  /** What the signed statement of the package says. */
  readonly statement: JsonObject
  /** Digest of the grant's manifest, and the policy in it. */
  readonly grantDigest: string
  readonly policy: Policy
  /** What the model must answer, where the grant says so. */
  readonly golden: Golden | null
}

/**
 * Checks signatures and grant, then lets a fresh runtime process decrypt and load the model. This process never sees a
 * plaintext weight. The runtime refuses a model other than the one the signed grant names, and gets no key unless it reached
 * `level` (null: whatever this machine reaches) and the level the grant demands (RUNTIME_LEVEL).
 */
export async function loadSealedModel(
  ports: Ports,
  request: SealedModelRequest,
  level: RuntimeLevel | null,
  signal: AbortSignal,
): Promise<SealedModel> {
  const device = await ports.devices.find(request.device)
  const trust = await usableOn(ports, device, request.trust)
  const file = await ports.files.open(request.file)
  try {
    const contents = await readSealFile(file)
    const statements = readSignatures(contents, trust.keys, ports.now())
    const granted = await openGrant(ports, file, contents, device)
    const { part, grant, grantDigest, payload } = granted
    try {
      trust.check(part.digest)
      const runtime = await ports.runtime.start(
        {
          kind: "sealed",
          file,
          chunksOffset: part.entry.offset + payload.chunksOffset,
          chunksBytes: payload.chunksBytes,
          key: payload.key,
          trustedPems: trust.pems,
          modelSignature: grant.modelSignature,
          overlay: grant.overlay,
          modelRoot: grant.document.model.root,
        },
        { level, minimum: grant.document.policy.minimumRuntime },
        signal,
      )
      return {
        runtime,
        packageDigest: part.digest,
        statement: statements.get(part.digest)?.statement.predicate ?? {},
        grantDigest,
        policy: grant.document.policy,
        golden: grant.golden,
      }
    } finally {
      wipeGranted(granted)
    }
  } finally {
    // The runtime has its own descriptor of the file.
    await file.close()
  }
}
