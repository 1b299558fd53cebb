/** A SoftHSM token of its own: own folder and configuration, so that tests can run in parallel. */
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { promisify } from "node:util"

export const SOFTHSM_MODULE = "/usr/lib/softhsm/libsofthsm2.so"

export interface SoftHsm {
  readonly pin: string
  /** What a process needs in its environment to find the token. */
  readonly env: { readonly SOFTHSM2_CONF: string }
  /** Where the tokens lie. */
  readonly tokens: string
  /** `attributes` of RFC 7512 after the token's name, as `object=desk`. */
  uri(attributes?: string): string
  at(name: string): string
  /** Runs a command with the token's configuration; returns its standard output. */
  tool(command: string, ...args: readonly string[]): Promise<string>
  remove(): void
}

export async function createSoftHsm(label = "desk"): Promise<SoftHsm> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-hsm-"))
  const tokens = path.join(folder, "tokens")
  const config = path.join(folder, "softhsm2.conf")
  mkdirSync(tokens)
  writeFileSync(config, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`)
  const env = { SOFTHSM2_CONF: config }
  const pin = "314159"
  const tool = async (command: string, ...args: readonly string[]) => {
    const { stdout } = await promisify(execFile)(command, args, {
      cwd: folder,
      env: { ...process.env, ...env },
    })
    return stdout
  }
  await tool("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "271828")
  return {
    pin,
    env,
    tokens,
    tool,
    uri: (attributes = "") =>
      `pkcs11:token=${label}${attributes === "" ? "" : `;${attributes}`}?module-path=${SOFTHSM_MODULE}`,
    at: (name) => path.join(folder, name),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
