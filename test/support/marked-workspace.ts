/** A workspace whose ledger knows a marked model and its devices, without a package being made. */
import { modelHash } from "../../main/core/watermark/keys.ts"
import type { MarkMode } from "../../main/core/watermark/trace-carriers.ts"
import type { MarkPlan } from "../../main/core/watermark/plan.ts"
import type { IssuedCopy } from "../../main/core/watermark/trace.ts"
import { toHex } from "../../main/core/bytes/bytes.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { OpenLedger } from "../../main/services/ledger/open-ledger.ts"
import { embedCopy, evenPlan, readable } from "./embedding.ts"
import { corpusFile } from "./onnx-models.ts"

export interface MarkedWorkspace {
  readonly plan: MarkPlan
  /** Devices "press-1" to "press-n", with the numbers 1 to n. */
  readonly copies: readonly IssuedCopy[]
  /** The marked copy of the device of a number. */
  copyOf(device: number): Promise<Uint8Array>
}

/** Makes the ledger in `workspace` and writes down copies of a corpus model for `devices` devices. */
export async function markWorkspace(
  workspace: string,
  name: string,
  devices: number,
  options: { readonly strength?: number; readonly mode?: MarkMode } = {},
): Promise<MarkedWorkspace> {
  const { strength = 0.01, mode = "individual" } = options
  const bytes = corpusFile(name)
  const even = await evenPlan(await readable(bytes), strength)
  const plan = {
    ...even,
    modelHash: toHex(modelHash(even.tensors.map(({ hash }) => Buffer.from(hash, "hex")))),
  }
  const copies = Array.from({ length: devices }, (_, index) => ({ device: index + 1, attempt: 0, mode }))
  const { ports, close } = localPorts(workspace)
  const { ledger } = await OpenLedger.openOrCreate(ports)
  const masterKey = Uint8Array.from(ledger.masterKey)
  const at = new Date(0).toISOString()
  await ledger.append(() => [
    ...copies.map(({ device }) => ({ kind: "device" as const, name: `press-${device}`, number: device, at })),
    {
      kind: "plan",
      plan,
      model: name,
      nonces: plan.tensors.map(() => "00".repeat(16)),
      commitment: "11".repeat(32),
      calibration: null,
      at,
    },
    { kind: "receipt", commitment: "11".repeat(32), bundle: "e30=", at },
    ...copies.map(({ device }) => ({
      kind: "issued" as const,
      modelHash: plan.modelHash,
      device,
      attempt: 0,
      mode,
      modelRoot: "22".repeat(32),
      at,
    })),
  ])
  ledger.close()
  await close()
  return {
    plan,
    copies,
    copyOf: async (device) => embedCopy(bytes, plan, masterKey, { device, attempt: 0, mode }),
  }
}
