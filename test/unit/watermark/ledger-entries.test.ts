import { expect, test } from "vitest"
import { foldEntries, type LedgerEntry } from "../../../main/core/watermark/ledger.ts"

const at = new Date(0).toISOString()
const [modelHash, commitment, other] = ["11".repeat(32), "22".repeat(32), "33".repeat(32)]

const plan: LedgerEntry = {
  kind: "plan",
  plan: {
    version: 1,
    modelHash,
    tensors: [
      {
        hash: "44".repeat(32),
        name: "w",
        path: "graph",
        dims: [16, 16],
        dataType: "FLOAT",
        parameters: { form: "float", rowAxis: 0, strength: 1, codeStrength: 1, subset: 1, decoys: 1 },
      },
    ],
  },
  model: "model.onnx",
  nonces: ["55".repeat(16)],
  commitment,
  calibration: null,
  at,
}
const receipt: LedgerEntry = { kind: "receipt", commitment, bundle: "e30=", at }
const issued: LedgerEntry = {
  kind: "issued",
  modelHash,
  device: 1,
  attempt: 0,
  mode: "fleet",
  modelRoot: "66".repeat(32),
  at,
}

test("a copy leaves after its plan's receipt", () => {
  const state = foldEntries([plan, receipt, issued])
  expect(state.issued.length).toBe(1)
  expect([...state.receipts]).toEqual([commitment])
})

test.each([
  ["no receipt", [plan, issued]],
  ["a receipt that came later", [plan, issued, receipt]],
  ["the receipt of another plan", [plan, { ...receipt, commitment: other }, issued]],
  ["the receipt of a plan that was replaced", [plan, receipt, { ...plan, commitment: other }, issued]],
])("a copy is refused with %s", async (_, entries) => {
  await expect(() => foldEntries(entries)).toFailWithCode("LEDGER_DAMAGED")
})
