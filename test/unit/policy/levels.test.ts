import { expect, test } from "vitest"
import { judgeLevel, type StepResult } from "../../../main/core/policy/levels.ts"

const NAMES = judgeLevel("R2", []).steps.map(({ step }) => step)
const all: readonly StepResult[] = NAMES.map((step) => ({ step, isHeld: true, detail: "seen" }))
const without = (step: string) =>
  all.map((result) => (result.step === step ? { ...result, isHeld: false } : result))

test("all measures held is the level asked for, without a reason", () => {
  expect(judgeLevel("R2", all)).toMatchObject({ asked: "R2", reached: "R2", reason: "" })
  expect(judgeLevel(null, all)).toMatchObject({ asked: null, reached: "R2", reason: "" })
})

test("a level lists only its own measures and those below", () => {
  expect(judgeLevel("R0", all).steps).toEqual([])
  expect(judgeLevel("R1", all).steps.every(({ level }) => level === "R1")).toBe(true)
})

test("one missing measure of R1 is level R0, and the reason names it", () => {
  expect(judgeLevel(null, without("landlock"))).toMatchObject({ reached: "R0", reason: "landlock: seen" })
})

test("one missing measure of R2 leaves R1", () => {
  expect(judgeLevel(null, without("secret-heap"))).toMatchObject({
    reached: "R1",
    reason: "secret-heap: seen",
  })
})

test("the network namespace is optional", () => {
  const report = judgeLevel("R2", without("network-namespace"))
  expect(report.reached).toBe("R2")
  expect(report.steps.find(({ step }) => step === "network-namespace")?.isHeld).toBe(false)
})

test("what was not reported does not hold", () => {
  expect(judgeLevel("R1", all.slice(1), "not built")).toMatchObject({
    reached: "R0",
    reason: `${NAMES[0] ?? ""}: not built`,
  })
})

test("a measure nobody knows does not help", () => {
  expect(judgeLevel("R1", [{ step: "magic", isHeld: true, detail: "" }]).reached).toBe("R0")
})
