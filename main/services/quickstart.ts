/** The whole job on the sample that comes with the product: protect, verify, run, validate. */
import type { FileRef } from "../contract/schema/base.ts"
import type { Quickstarted } from "../contract/schema/quickstart.ts"
import { AppError } from "../contract/errors.ts"
import { addDevice } from "./devices.ts"
import type { JobContext } from "./jobs.ts"
import { createSoftwareKey } from "./signing.ts"
import type { Ports } from "./ports.ts"
import { protect } from "./protect.ts"
import { run } from "./run.ts"
import { validate } from "./validate.ts"
import { verify } from "./verify.ts"

/** Own names, so that the sample never touches keys and devices somebody made for real work. */
const DEVICE = "quickstart-device"
const SIGNING_KEY = "quickstart"
const PACKAGE = "fashion-cnn.seal"
const OUTPUT = "predictions.npy"

export async function quickstart(
  ports: Ports,
  request: { readonly out: { readonly file: FileRef; readonly replace: boolean } },
  job: JobContext,
): Promise<Quickstarted> {
  const startedAt = performance.now()
  const sample = ports.machine.sample()
  const [model, data, labels] = [sample.model, sample.data, sample.labels].map((path) =>
    ports.files.refer(path),
  )
  if (model === undefined || data === undefined || labels === undefined)
    throw new AppError("INTERNAL", "there is no sample")
  const folder = request.out.file
  const { replace } = request.out
  const file = await ports.files.inFolder(folder, PACKAGE)
  const predictions = await ports.files.inFolder(folder, OUTPUT)
  const normalise = { mean: sample.mean, std: sample.std }

  const keys = await ports.keys.list()
  const hasKey = keys.some((key) => key.purpose === "signing" && key.name === SIGNING_KEY)
  if (!hasKey) await createSoftwareKey(ports, SIGNING_KEY)
  const devices = await ports.devices.list()
  if (!devices.some((device) => device.name === DEVICE))
    await addDevice(ports, { name: DEVICE, key: { kind: "software" } })

  const made = await protect(
    ports,
    {
      model,
      devices: [DEVICE],
      signingKey: SIGNING_KEY,
      escrow: [],
      mode: "individual",
      mark: { calibration: null, labels: null, normalise: null, budget: null },
      policy: null,
      output: { file, replace },
    },
    job,
  )
  const access = { file, device: DEVICE, trust: null }
  const verdict = await verify(ports, access, job)
  if (verdict.verdict !== "verified")
    throw new AppError("VERDICT_REFUSED", "the package made just now does not verify")
  const inputs = [{ name: null, file: data }]
  const output = { file: predictions, replace, name: null }
  const ran = await run(ports, { ...access, inputs, normalise, batch: null, level: null, output }, job)
  const { validation, files } = await validate(
    ports,
    {
      ...access,
      model,
      data,
      labels,
      normalise,
      batch: null,
      gate: null,
      sign: null,
      report: { file: folder, replace },
    },
    job,
  )
  return {
    protected: made,
    verdict,
    ran,
    validation,
    files: [PACKAGE, OUTPUT, ...files],
    seconds: (performance.now() - startedAt) / 1000,
  }
}
