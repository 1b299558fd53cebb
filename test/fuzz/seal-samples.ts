/** Genuine .seal files of both modes, and what is needed to judge one as a device would. */
import { readFileSync } from "node:fs"
import path from "node:path"
import { generateX25519, x25519Identity } from "../../main/core/age/x25519.ts"
import type { Identity } from "../../main/core/age/recipient.ts"
import { overlayDevice } from "../../main/core/watermark/overlay-apply.ts"
import { OverlayWriter } from "../../main/core/watermark/overlay-writer.ts"
import { SealEditor } from "../support/seal-editor.ts"
import { makeFleetSeal, makeIndividualSeal, type FleetOrder, type ModelFile } from "../support/seal-maker.ts"
import { seededRandom } from "../support/seeded-random.ts"
import { newTestKey, type TestKey } from "../support/software-signer.ts"
import { MODELS } from "../support/workspace.ts"

export interface SealSample {
  readonly name: string
  readonly bytes: Buffer
  readonly editor: SealEditor
}

export interface SealWorld {
  readonly samples: readonly SealSample[]
  readonly signer: TestKey
  readonly identity: Identity
  readonly recipient: string
  /** The order of the fleet sample, for lies inside its grant. */
  readonly fleet: FleetOrder
}

export const DEVICE = "press-07"
const SALT = new Uint8Array(16).fill(3)
const WEIGHTS = { file: 0, offset: 1024, elementBytes: 4, keptBytes: 0, elements: 512 }

export async function makeSealWorld(seed: number): Promise<SealWorld> {
  const random = seededRandom(seed)
  const signer = newTestKey()
  const device = generateX25519(random)
  const model: ModelFile = {
    name: "digits-mlp.onnx",
    bytes: readFileSync(path.join(MODELS, "digits-mlp.onnx")),
  }
  const external: ModelFile = { name: "weights/extra.bin", bytes: random(3000) }
  const fleet: FleetOrder = {
    seed,
    signer,
    base: [{ name: model.name, bytes: withFiller(model.bytes) }, external],
    assembled: [model, external],
    device: { name: DEVICE, recipient: device.recipient },
    overlay: (base, root) => {
      const writer = new OverlayWriter([WEIGHTS])
      for (let element = 0; element < WEIGHTS.elements; element += 16) {
        const from = WEIGHTS.offset + element * 4
        writer.add(0, element * 4, model.bytes.subarray(from, from + 32))
      }
      return writer.finish({
        base,
        model: root,
        deviceSalt: SALT,
        device: overlayDevice(SALT, device.recipient),
      })
    },
  }
  const individual = { seed, signer, files: [model, external], device: fleet.device }
  const seals = [
    ["individual", await makeIndividualSeal(individual)],
    ["individual, another", await makeIndividualSeal({ ...individual, seed: seed + 1 })],
    ["fleet", await makeFleetSeal(fleet)],
  ] as const
  const samples: SealSample[] = []
  for (const [name, bytes] of seals) samples.push({ name, bytes, editor: await SealEditor.parse(bytes) })
  return {
    samples,
    signer,
    identity: x25519Identity(device.secretKey),
    recipient: device.recipient,
    fleet,
  }
}

function withFiller(model: Uint8Array): Uint8Array {
  const out = Uint8Array.from(model)
  for (let element = 0; element < WEIGHTS.elements; element += 16) {
    const from = WEIGHTS.offset + element * 4
    out.fill(0x3c, from, from + 32)
  }
  return out
}
