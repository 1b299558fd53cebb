/** Keys and files in the forms tpm2-tools wants. */
import { writeFileSync } from "node:fs"
import type { Swtpm } from "./swtpm.ts"

/**
 * Brings a private key from outside into the TPM at a persistent handle, as a test may and a device must not: the caller
 * knows the scalar. Returns when the files that held it are overwritten.
 */
export async function importKey(
  tpm: Swtpm,
  pem: string,
  handle: number,
  use: "decrypt" | "sign",
): Promise<void> {
  writeFileSync(tpm.at("import.pem"), pem)
  const at = `0x${handle.toString(16)}`
  const files = ["-u", "key.pub", "-r", "key.priv"]
  await tpm.tool("tpm2_createprimary", "-Q", "-C", "o", "-G", "ecc", "-c", "primary.ctx")
  await flush(tpm)
  const how = ["-G", "ecc", "-i", "import.pem", "-a", `userwithauth|${use}`]
  await tpm.tool("tpm2_import", "-Q", "-C", "primary.ctx", ...how, ...files)
  await flush(tpm)
  await tpm.tool("tpm2_load", "-Q", "-C", "primary.ctx", ...files, "-c", "key.ctx")
  await flush(tpm)
  await tpm.tool("tpm2_evictcontrol", "-Q", "-C", "o", "-c", "key.ctx", at)
  await flush(tpm)
  writeFileSync(tpm.at("import.pem"), "-".repeat(pem.length))
}

/** tpm2-tools leaves what it loaded in a TPM without a resource manager. */
export async function flush(tpm: Swtpm): Promise<void> {
  await tpm.tool("tpm2_flushcontext", "-t")
  await tpm.tool("tpm2_flushcontext", "-l")
  await tpm.tool("tpm2_flushcontext", "-s")
}
