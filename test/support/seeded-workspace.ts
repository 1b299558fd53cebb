/** A workspace as somebody has it after a while: devices, a key, packages good and bad. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { followJob, type HostClient } from "../../main/contract/client.ts"
import type { FileRef } from "../../main/contract/schema/base.ts"
import { MODELS } from "./workspace.ts"

export interface Seeded {
  readonly good: FileRef
  /** The same package with one byte of its payload changed. */
  readonly tampered: FileRef
}

/** Marking takes seconds: suites that look at other things leave it out. */
export async function seedWorkspace(
  engine: HostClient,
  workspace: string,
  { isMarked = true }: { readonly isMarked?: boolean } = {},
): Promise<Seeded> {
  await engine.keys.create({ name: "release-1", purpose: "signing" })
  for (const name of ["press-07", "press-08"]) await engine.devices.add({ name, key: { kind: "software" } })
  const { recipient } = await engine.devices.show({ name: "press-08" })
  await engine.devices.add({ name: "line-3-camera", key: { kind: "recipient", recipient } })
  const folder = path.join(workspace, "packages")
  mkdirSync(folder, { recursive: true })
  const good = path.join(folder, "fashion-cnn.seal")
  await followJob(
    await engine.protect({
      model: await engine.files.refer({ path: path.join(MODELS, "fashion-cnn.onnx") }),
      devices: ["press-07"],
      signingKey: "release-1",
      escrow: [],
      mode: "individual",
      ...(isMarked ? {} : { mark: null }),
      output: { file: await engine.files.refer({ path: good }), replace: false },
    }),
  )
  const tampered = path.join(folder, "tampered.seal")
  const bytes = readFileSync(good)
  const middle = bytes.length >> 1
  bytes[middle] = (bytes[middle] ?? 0) ^ 1
  writeFileSync(tampered, bytes)
  const remember = async (file: string) =>
    (await engine.library.remember({ file: await engine.files.refer({ path: file }) })).file
  return { good: await remember(good), tampered: await remember(tampered) }
}
