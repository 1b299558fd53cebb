/** One suite over every transport: a client cannot tell where the engine is. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { followJob } from "../../main/contract/client.ts"
import type { Progress } from "../../main/contract/schema/base.ts"
import { TRANSPORTS, type Engine } from "../support/engines.ts"
import { writeLargeModel } from "../support/large-model.ts"
import { DATA, MODELS, sharedFolder } from "../support/workspace.ts"

describe.each(TRANSPORTS)("engine $name", ({ open }) => {
  const folder = sharedFolder()
  let connection: Engine
  beforeAll(() => {
    connection = open(path.join(folder, "workspace"))
  })
  afterAll(async () => connection.close())

  const refer = async (file: string) => connection.engine.files.refer({ path: file })
  const at = (name: string) => path.join(folder, name)

  test("makes, lists, shows and removes keys", async () => {
    const { keys } = connection.engine
    const made = await keys.create({ name: "release-1", purpose: "signing" })
    expect(made).toMatchObject({
      name: "release-1",
      algorithm: "P-256",
      provider: "software",
      assurance: "software",
    })
    expect(await keys.list()).toEqual([made])
    expect(await keys.show({ name: "release-1" })).toEqual({ ...made, certificates: [] })
    await expect(keys.create({ name: "release-1", purpose: "signing" })).toFailWithCode("KEY_EXISTS")
    await keys.create({ name: "spare", purpose: "device" })
    expect(await keys.remove({ name: "spare" })).toMatchObject({ purpose: "device" })
    await expect(keys.show({ name: "spare" })).toFailWithCode("KEY_NOT_FOUND")
    await expect(keys.create({ name: "../escape", purpose: "signing" })).toFailWithCode("NAME_INVALID")
  })

  test("adds devices by recipient, by software key and by device key", async () => {
    const { devices, keys } = connection.engine
    const press = await devices.add({ name: "press-07", key: { kind: "software" } })
    expect(press.recipient).toMatch(/^age1/)
    const chip = await keys.create({ name: "chip", purpose: "device" })
    expect(await devices.add({ name: "chip", key: { kind: "key", name: "chip" } })).toMatchObject({
      recipient: chip.recipient,
    })
    const far = await devices.add({ name: "far", key: { kind: "recipient", recipient: press.recipient } })
    expect(far.holdsKey).toBe(false)
    await expect(devices.add({ name: "far", key: { kind: "software" } })).toFailWithCode("DEVICE_EXISTS")
    await expect(
      devices.add({ name: "bad", key: { kind: "recipient", recipient: "age1nonsense" } }),
    ).toFailWithCode("RECIPIENT_INVALID")
    expect((await devices.list()).map(({ name }) => name)).toEqual(["chip", "far", "press-07"])
  })

  test("protects, verifies, opens and runs a model", async () => {
    const { engine } = connection
    const output = { file: await refer(at("cnn.seal")), replace: false }
    const model = await refer(path.join(MODELS, "fashion-cnn.onnx"))
    const request = {
      model,
      devices: ["press-07"],
      signingKey: "release-1",
      escrow: [],
      mode: "individual" as const,
      mark: null,
      output,
    }
    const steps: Progress[] = []
    const made = await followJob(await engine.protect(request), (progress) => steps.push(progress))
    expect(made).toMatchObject({ name: "cnn.seal", devices: ["press-07"], grants: 1 })
    expect(steps.some((step) => step.unit === "bytes" && step.done === step.total && step.total > 0)).toBe(
      true,
    )
    await expect(followJob(await engine.protect(request))).toFailWithCode("OUTPUT_EXISTS")

    const access = { file: await refer(at("cnn.seal")), device: "press-07", trust: null }
    const verdict = await followJob(await engine.verify(access))
    expect(verdict.verdict).toBe("verified")
    expect(verdict.checks.map((check) => check.result)).toEqual(Array.from({ length: 7 }, () => "passed"))

    await followJob(
      await engine.open({ ...access, output: { file: await refer(at("again.onnx")), replace: false } }),
    )
    expect(readFileSync(at("again.onnx")).equals(readFileSync(path.join(MODELS, "fashion-cnn.onnx")))).toBe(
      true,
    )

    const ran = await followJob(
      await engine.run({
        ...access,
        inputs: [{ name: null, file: await refer(path.join(DATA, "fashion-calib-x.npy")) }],
        normalise: { mean: 0.286, std: 0.353 },
        batch: 100,
        level: null,
        output: { file: await refer(at("out.npy")), replace: false, name: "logits" },
      }),
    )
    expect(ran).toMatchObject({
      rows: 500,
      batch: 100,
      level: { asked: null },
      outputs: [{ name: "logits", type: "float32", shape: [500, 10] }],
    })
  })

  test("cancels a job through its signal, and nothing is left of it", async () => {
    const model = at("large.onnx")
    if (!existsSync(model)) writeLargeModel(model, { megabytes: 150 })
    const before = readdirSync(folder)
    const abort = new AbortController()
    const events = await connection.engine.protect(
      {
        model: await refer(model),
        devices: ["press-07"],
        signingKey: "release-1",
        escrow: [],
        mode: "individual",
        mark: null,
        output: { file: await refer(at("cancelled.seal")), replace: false },
      },
      { signal: abort.signal },
    )
    const job = followJob(events, (progress) => {
      if (progress.done > 0) abort.abort()
    })
    await expect(job).rejects.toThrow()
    await settled(async () => (await connection.engine.jobs.list()).every((each) => each.state !== "running"))
    expect(readdirSync(folder)).toEqual(before)
  })

  test("lists a job while it runs and cancels it by its number", async () => {
    const { engine } = connection
    const model = await refer(at("large.onnx"))
    const output = { file: await refer(at("numbered.seal")), replace: false }
    const options = {
      devices: ["press-07"],
      signingKey: "release-1",
      escrow: [],
      mode: "fleet" as const,
      mark: null,
    }
    const events = await engine.protect({ model, output, ...options })
    const seen: string[] = []
    for await (const event of events) {
      if (event.kind === "started") {
        const running = (await engine.jobs.list()).find((job) => job.job === event.job)
        expect(running).toMatchObject({ title: "protect large.onnx", state: "running" })
        await engine.jobs.cancel({ job: event.job })
      }
      seen.push(event.kind === "failed" ? event.failure.code : event.kind)
    }
    expect(seen.at(-1)).toBe("CANCELLED")
    expect(existsSync(at("numbered.seal"))).toBe(false)
    await expect(engine.jobs.cancel({ job: "job-999" })).toFailWithCode("USAGE")
  })

  test("refuses a request that does not follow the contract", async () => {
    // What a client written in another language could send.
    const request = { name: "x", purpose: "nonsense" } as unknown as { name: string; purpose: "signing" }
    await expect(connection.engine.keys.create(request)).toFailWithCode("USAGE")
  })

  test("knows only files a host referred to", async () => {
    // The brand is what a client may not forge; a forged one leads nowhere.
    const forged = "0123456789abcdef" as Awaited<ReturnType<typeof refer>>
    await expect(connection.engine.inspect({ file: forged })).toFailWithCode("FILE_NOT_FOUND")
  })
})

/** Waits for a state that another process reaches in its own time. */
async function settled(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (await isSo()) return
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error("the state was never reached")
}
