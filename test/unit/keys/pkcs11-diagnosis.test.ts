import { execFileSync } from "node:child_process"
import path from "node:path"
import { expect, it } from "vitest"
import { diagnoseTokens } from "../../../main/platform/keys/pkcs11/diagnose.ts"
import { ModuleProcess } from "../../../main/platform/keys/pkcs11/module-process.ts"
import { createSoftHsm, SOFTHSM_MODULE } from "../../support/softhsm.ts"
import { temporaryFolder } from "../../support/workspace.ts"

function compile(folder: string, kind: "HANG" | "CRASH" | "FAIL"): string {
  const file = path.join(folder, `lib${kind.toLowerCase()}.so`)
  const source = path.join(import.meta.dirname, "../../support/odd-module.c")
  execFileSync("cc", ["-shared", "-fPIC", `-D${kind}`, "-o", file, source])
  return file
}

it("a module that hangs and one that crashes cost the diagnosis a moment, and say nothing about the others", async () => {
  const folder = temporaryFolder()
  const token = await createSoftHsm()
  process.env["SOFTHSM2_CONF"] = token.env.SOFTHSM2_CONF
  const odd = (["HANG", "CRASH", "FAIL"] as const).map((kind) => compile(folder, kind))
  const startedAt = performance.now()
  const checks = await diagnoseTokens([...odd, SOFTHSM_MODULE, path.join(folder, "missing.so")], 3_000)
  expect(performance.now() - startedAt).toBeLessThan(20_000)
  expect(checks.map(({ id, result }) => [id, result])).toEqual([
    ["keys-pkcs11-hang", "limited"],
    ["keys-pkcs11-crash", "limited"],
    ["keys-pkcs11-fail", "limited"],
    ["keys-pkcs11-softhsm2", "ok"],
  ])
  expect(checks[0]?.detail).toContain("did not answer within 3 s")
  expect(checks[1]?.detail).toContain("ended its process")
  token.remove()
})

it("a process whose module blocks is ended when it is closed", async () => {
  const module = compile(temporaryFolder(), "HANG")
  const modules = new ModuleProcess()
  const asked = modules.ask("tokens", { module })
  const ended = expect(asked).rejects.toMatchObject({ code: "TOKEN_GONE" })
  await modules.close()
  await ended
})
