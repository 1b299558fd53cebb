import { expect, test } from "vitest"
import { toHex } from "../../../main/core/bytes/bytes.ts"
import {
  MAX_DEVICES,
  MAX_TRIES,
  parametersDigest,
  planDigest,
  planSchema,
  strengthOf,
  type MarkPlan,
} from "../../../main/core/watermark/plan.ts"

const plan: MarkPlan = {
  version: 1,
  modelHash: "11".repeat(32),
  tensors: [
    {
      hash: "22".repeat(32),
      name: "fc1.weight",
      path: "graph",
      dims: [96, 576],
      dataType: "FLOAT",
      parameters: {
        form: "float",
        rowAxis: 0,
        strength: 10_486,
        codeStrength: 33_159,
        subset: 6554,
        decoys: 655,
      },
    },
  ],
}

test("a plan survives being written as JSON, and nothing is added to it unnoticed", () => {
  expect(planSchema.parse(JSON.parse(JSON.stringify(plan)))).toEqual(plan)
  expect(planSchema.safeParse({ ...plan, note: "" }).success).toBe(false)
})

test("what is agreed on is the content and the parameters, not names", () => {
  const [tensor] = plan.tensors
  if (tensor === undefined) throw new Error("the plan has a tensor")
  const digest = toHex(planDigest(plan))
  expect(toHex(planDigest({ ...plan, tensors: [{ ...tensor, name: "onnx::MatMul_7" }] }))).toBe(digest)
  for (const changed of [
    { form: "quantised" as const },
    { rowAxis: 1 },
    { strength: 10_487 },
    { codeStrength: 33_160 },
    { subset: 6555 },
    { decoys: 656 },
  ]) {
    const parameters = { ...tensor.parameters, ...changed }
    expect(toHex(planDigest({ ...plan, tensors: [{ ...tensor, parameters }] }))).not.toBe(digest)
    expect(toHex(parametersDigest(parameters))).not.toBe(toHex(parametersDigest(tensor.parameters)))
  }
})

test("strengths are exact multiples of 2^-20 row sigmas", () => {
  expect(strengthOf(1)).toBe(2 ** -20)
  expect(strengthOf(10_486)).toBeCloseTo(0.01, 6)
  expect([MAX_DEVICES, MAX_TRIES]).toEqual([100_000, 8])
})
