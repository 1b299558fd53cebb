/** Credential files with whoever knows their passphrase at hand. */
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { CredentialFile } from "../../core/attest/credential-file.ts"
import { wipe } from "../../core/bytes/bytes.ts"
import { readAll } from "../../core/bytes/source.ts"
import type { Files } from "../../services/ports.ts"
import type { Prompter } from "../../services/ports/prompter.ts"

const MAX_BYTES = 1 << 20

/** A passphrase is asked for once, and only where the file does not open without. */
export function credentialReader(
  files: Pick<Files, "open">,
  prompter: Prompter,
): (file: FileRef) => Promise<CredentialFile> {
  return async (ref) => {
    // Large, and seldom needed.
    const { readCredentialFile } = await import("../../core/attest/credential-file.ts")
    const file = await files.open(ref)
    let bytes: Uint8Array | null = null
    try {
      const tooLarge = () =>
        new AppError("CERTIFICATE_MALFORMED", `${file.name} is too large for a credential`)
      bytes = await readAll(file, MAX_BYTES, tooLarge)
      try {
        return readCredentialFile(bytes, "")
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== "CREDENTIAL_PASSPHRASE") throw error
      }
      return readCredentialFile(bytes, await askText(prompter, file.name))
    } finally {
      wipe(bytes)
      await file.close()
    }
  }
}

async function askText(prompter: Prompter, name: string): Promise<string> {
  const answer = await prompter.ask({
    kind: "passphrase",
    subject: `file ${name}`,
    notice: null,
    isNew: false,
  })
  try {
    return Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength).toString("utf8")
  } finally {
    wipe(answer)
  }
}
