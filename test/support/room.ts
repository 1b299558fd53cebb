/**
 * The room the keys are never in: an engine that takes over keys in a TPM and a token, seals packages and opens them, and
 * then stays for whoever wants to look into its memory. Arguments: folder, model, count, URI of the token's key. PIN on
 * descriptor 3; a canary, in hex, as first line of standard input. Ends when standard input ends.
 */
import { once } from "node:events"
import { mkdirSync } from "node:fs"
import path from "node:path"
import { createInterface } from "node:readline"
import { followJob } from "../../main/contract/client.ts"
import type { KeyPlace } from "../../main/contract/schema/keys.ts"
import { localEngine } from "../../main/contract/server.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { descriptorPrompter } from "../../main/platform/prompt/descriptor.ts"
import { createEngine } from "../../main/services/engine.ts"

const [folder = "", model = "", countText = "", uri = ""] = process.argv.slice(2)
const lines = createInterface({ input: process.stdin })
const [canaryText] = (await once(lines, "line")) as [string] // readline's own event
const canary = Buffer.from(canaryText, "hex")

let questions = 0
const answers = descriptorPrompter(3)
const { ports, close } = localPorts(path.join(folder, "workspace"), {
  prompter: {
    ask: async (question) => {
      questions += 1
      return answers.ask(question)
    },
  },
})
const engine = localEngine(createEngine(ports))
const tpm = (handle: number): KeyPlace => ({
  provider: "tpm2",
  tcti: null,
  adopt: handle,
  persistent: false,
  auth: false,
  pcrs: [],
})
await engine.keys.create({ name: "release", purpose: "signing", place: tpm(0x81000041) })
await engine.keys.create({ name: "in-tpm", purpose: "device", place: tpm(0x81000042) })
await engine.keys.create({
  name: "in-hsm",
  purpose: "device",
  place: { provider: "pkcs11", uri, adopt: true },
})
const devices = ["in-tpm", "in-hsm"]
for (const name of devices) await engine.devices.add({ name, key: { kind: "key", name } })

const refer = async (file: string) => engine.files.refer({ path: file })
const seals = Array.from({ length: Number(countText) }, (_, index) => path.join(folder, `${index}.seal`))
for (const seal of seals) {
  const request = {
    model: await refer(model),
    devices: [...devices],
    signingKey: "release",
    escrow: [],
    mode: "individual",
    mark: null,
    output: { file: await refer(seal), replace: false },
  } as const
  await followJob(await engine.protect({ ...request, devices: [...devices], escrow: [] }))
}
report({ event: "sealed", questions })
mkdirSync(path.join(folder, "opened"))
for (const [index, seal] of seals.entries()) {
  for (const device of devices) {
    const output = {
      file: await refer(path.join(folder, "opened", `${index}-${device}.onnx`)),
      replace: false,
    }
    await followJob(await engine.open({ file: await refer(seal), device, trust: null, output }))
  }
}
report({ event: "opened", questions })
await once(lines, "close")
await close()
if (canary.length === 0) throw new Error("the canary was to stay alive until here")

function report(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
