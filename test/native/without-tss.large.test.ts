/** The product on a machine without tpm2-tss: built without its headers, and run without its library. */
import { spawnSync } from "node:child_process"
import { cpSync, readdirSync, symlinkSync } from "node:fs"
import path from "node:path"
import { describe, expect, it } from "vitest"
import type { DoctorCheck } from "../../main/contract/schema/doctor.ts"
import { ROOT, temporaryFolder, type Refusal } from "../support/workspace.ts"

/** Runs a command in a mount namespace of its own, in which the mounts were made before. */
function where(mounts: readonly string[], cwd: string, command: readonly string[]) {
  const script = [...mounts, 'exec "$@"'].join(" && ")
  return spawnSync("unshare", ["--mount", "sh", "-c", script, "sh", ...command], { cwd, encoding: "utf8" })
}

const NO_HEADERS = ["mount -t tmpfs none /usr/include/tss2"]
const LIBRARIES = "/usr/lib/x86_64-linux-gnu"
const noLibraries = readdirSync(LIBRARIES)
  .filter((name) => /^libtss2-(esys|mu|tctildr)\.so/.test(name))
  .map((name) => `mount --bind /dev/null "$(realpath ${LIBRARIES}/${name})"`)
const mayMount = where(NO_HEADERS, ROOT, ["true"]).status === 0

/** `keys …` of a copy of the product; its JSON document. */
async function keys<T>(root: string, mounts: readonly string[], ...args: readonly string[]): Promise<T> {
  const command = [process.execPath, path.join(root, "main/cli/bin.mjs"), "keys", ...args]
  const { stdout } = where(mounts, root, [...command, "--json", "--workspace", path.join(root, "workspace")])
  return JSON.parse(stdout) as T // the caller names the shape of the command it ran
}

async function expectUnavailable(
  root: string,
  mounts: readonly string[],
  why: string,
  packageName: string,
): Promise<void> {
  const checks = await keys<DoctorCheck[]>(root, mounts, "doctor")
  const check = checks.find(({ id }) => id === "keys-tpm2")
  expect(check).toMatchObject({ result: "limited", detail: why })
  expect(check?.fix).toContain(`apt install ${packageName}`)
  const refused = await keys<{ readonly error: Refusal }>(root, mounts, "create", "a", "--provider", "tpm2")
  expect(refused.error).toMatchObject({ code: "TPM_UNAVAILABLE", exitCode: 9 })
  expect(await keys(root, mounts, "create", "b")).toMatchObject({ name: "b", provider: "software" })
}

function copyOf(parts: readonly string[]): string {
  const folder = temporaryFolder()
  for (const part of parts) cpSync(path.join(ROOT, part), path.join(folder, part), { recursive: true })
  symlinkSync(path.join(ROOT, "node_modules"), path.join(folder, "node_modules"))
  return folder
}

describe.runIf(mayMount)("without tpm2-tss", () => {
  it("the addon builds without its headers, and the TPM provider says which package to install", async () => {
    const folder = copyOf(["main", "native", "packaging", "package.json"])
    const built = where(NO_HEADERS, folder, [process.execPath, "packaging/build-native.ts"])
    expect(built.stdout + built.stderr).toContain("native addon built, without TPM (libtss2-dev)")
    await expectUnavailable(folder, [], "the addon was built without the headers of tpm2-tss", "libtss2-dev")
  })

  it("the addon loads without its libraries, and the TPM provider says which packages to install", async () => {
    const folder = copyOf(["main", "native", "package.json"])
    await expectUnavailable(
      folder,
      noLibraries,
      "the libraries of tpm2-tss are not installed",
      "libtss2-esys-3.0.2-0",
    )
  })
})
