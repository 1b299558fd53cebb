/** Who signed a plain model, as inspect tells it. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import { localEngine } from "../../../main/contract/server.ts"
import { signModel } from "../../../main/core/attest/model-signing.ts"
import { localPorts } from "../../../main/platform/ports.ts"
import { createEngine } from "../../../main/services/engine.ts"
import { hashedFiles, readFolder } from "../../support/model-folder.ts"
import { newTestKey } from "../../support/software-signer.ts"
import { MODELS, sharedFolder } from "../../support/workspace.ts"

const MODEL = "fashion-cnn-external.onnx"
const shared = sharedFolder()
const key = newTestKey()

async function signedModel({ signatureName = "model.sig", isTrusted = true } = {}) {
  const folder = mkdtempSync(path.join(shared, "case-"))
  const model = path.join(folder, "model")
  const workspace = path.join(folder, "workspace")
  mkdirSync(model)
  mkdirSync(path.join(workspace, "trust"), { recursive: true })
  for (const name of [MODEL, "fashion-cnn-external.bin"])
    cpSync(path.join(MODELS, name), path.join(model, name))
  writeFileSync(
    path.join(model, signatureName),
    await signModel("fashion", hashedFiles(readFolder(model)), key.signer),
  )
  if (isTrusted) writeFileSync(path.join(workspace, "trust", "lab.pem"), key.pem)
  const { ports, close } = localPorts(workspace)
  onTestFinished(close)
  const engine = localEngine(createEngine(ports))
  const signature = async (name = MODEL) => {
    const summary = await engine.inspect({
      file: await engine.files.refer({ path: path.join(model, name) }),
    })
    return summary.kind === "model" ? summary.signature : null
  }
  return { at: (name: string) => path.join(model, name), signature }
}

describe("a signature beside a model", () => {
  test.each(["model.sig", `${MODEL}.sig`])(
    "named %s holds when a trusted key signed these files",
    async (name) => {
      const { signature } = await signedModel({ signatureName: name })
      expect(await signature()).toEqual({ name, by: "lab", code: null, reason: "2 files as signed" })
    },
  )

  test("does not hold once a byte of the external data changed, and still says who signed", async () => {
    const { at, signature } = await signedModel()
    const bytes = readFileSync(at("fashion-cnn-external.bin"))
    bytes[1000] = (bytes[1000] ?? 0) ^ 1
    writeFileSync(at("fashion-cnn-external.bin"), bytes)
    expect(await signature()).toMatchObject({ by: "lab", code: "SIGNATURE_MISMATCH" })
  })

  test("of a key nobody here trusts says so", async () => {
    const { signature } = await signedModel({ isTrusted: false })
    expect(await signature()).toMatchObject({ by: null, code: "SIGNER_UNTRUSTED" })
  })

  test("that is none is told as one that cannot be read, and does not keep the model from being read", async () => {
    const { at, signature } = await signedModel()
    writeFileSync(at("model.sig"), "signed, honestly")
    expect(await signature()).toMatchObject({ by: null, code: "SIGNATURE_MALFORMED" })
  })

  test("that cannot be opened does not keep the model from being read", async () => {
    const { at, signature } = await signedModel()
    rmSync(at("model.sig"))
    mkdirSync(at("model.sig"))
    expect(await signature()).toBeNull()
    const long = `${"n".repeat(250)}.onnx`
    cpSync(at(MODEL), at(long))
    expect(await signature(long)).toBeNull()
  })

  test("named after the model goes before one for the folder", async () => {
    const { at, signature } = await signedModel()
    cpSync(at("model.sig"), at(`${MODEL}.sig`))
    writeFileSync(at("model.sig"), "of another model")
    expect(await signature()).toMatchObject({ name: `${MODEL}.sig`, by: "lab", code: null })
  })

  test("is not looked for behind a link", async () => {
    const { at, signature } = await signedModel()
    cpSync(at("model.sig"), at("elsewhere"))
    rmSync(at("model.sig"))
    symlinkSync("elsewhere", at("model.sig"))
    expect(await signature()).toBeNull()
  })
})
