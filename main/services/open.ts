/** Authorised recovery: the plaintext model again, for a device whose key is here. */
import { AppError } from "../contract/errors.ts"
import type { Opened, OpenRequest } from "../contract/schema/verify.ts"
import { toHex } from "../core/bytes/bytes.ts"
import { readSealFile } from "../core/oci/seal-file.ts"
import { toDigest } from "../core/oci/manifest.ts"
import type { JobContext } from "./jobs.ts"
import { usableOn } from "./deployment/deployed.ts"
import { openGrant, readSignatures, wipeGranted } from "./package-access.ts"
import { checkModel, openPayload } from "./payload-access.ts"
import type { PendingFile, Ports } from "./ports.ts"

/**
 * Writes the model under the name asked for and its external data beside it under the names the model uses. Nothing gets its
 * name before every check has passed. Throws what the first failing check of verify reports, and on a device under deployment
 * whatever keeps it from running the package: who may not run it does not get its plaintext either.
 */
export async function open(ports: Ports, request: OpenRequest, job: JobContext): Promise<Opened> {
  const startedAt = performance.now()
  const device = await ports.devices.find(request.device)
  const trust = await usableOn(ports, device, request.trust)
  const file = await ports.files.open(request.file)
  const outputs: { readonly pending: PendingFile; readonly name: string; readonly bytes: number }[] = []
  try {
    const contents = await readSealFile(file)
    readSignatures(contents, trust.keys, ports.now())
    const granted = await openGrant(ports, file, contents, device)
    try {
      trust.check(granted.part.digest)
      const options = { replace: request.output.replace, isSecret: true }
      const opened = await openPayload(
        ports,
        file,
        granted,
        async ({ name, size }, isModel) => {
          const pending = isModel
            ? await ports.files.create(request.output.file, options)
            : await ports.files.createBeside(request.output.file, name, options)
          outputs.push({
            pending,
            name: isModel ? ports.files.nameOf(request.output.file) : name,
            bytes: size,
          })
          return { file: pending.number, offset: 0 }
        },
        job,
      )
      if (toDigest(opened.digest) !== granted.part.layer.digest) {
        throw new AppError("SEAL_DIGEST_MISMATCH", "the payload does not have the content its name promises")
      }
      await checkModel(opened, granted, trust.keys, ports.now())
      job.signal.throwIfAborted()
      // The model last: whoever sees it may load it, and then needs the rest.
      for (const { pending } of outputs.toReversed()) await pending.commit()
      return {
        files: outputs.map(({ name, bytes }, index) => ({
          name,
          bytes,
          sha256: toHex(opened.fileDigests[index] ?? new Uint8Array(0)),
        })),
        seconds: (performance.now() - startedAt) / 1000,
      }
    } finally {
      wipeGranted(granted)
    }
  } finally {
    await Promise.all(outputs.map(async ({ pending }) => pending.discard()))
    await file.close()
  }
}
