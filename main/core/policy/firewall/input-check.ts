/** Whether a call may reach the model at all: names, types, shapes, sizes and values of its inputs. */
import { AppError } from "../../../contract/errors.ts"
import { elementBytes, numbersOf, type FirewallArray } from "./array.ts"
import type { FirewallRules } from "./rules.ts"

/** An input as the model declares it. */
export interface DeclaredInput {
  readonly name: string
  readonly type: string
  readonly shape: readonly (number | string | null)[]
}

/** Rows of the call. Throws INPUT_MISMATCH for another form, INPUT_REFUSED for values the rules do not allow. */
export function checkInputs(
  inputs: readonly FirewallArray[],
  declared: readonly DeclaredInput[],
  rules: FirewallRules,
): number {
  if (inputs.length !== declared.length || new Set(inputs.map(({ name }) => name)).size !== inputs.length)
    throw mismatch(`the model takes ${declared.length} inputs, each once`)
  for (const wanted of declared) {
    const input = inputs.find(({ name }) => name === wanted.name)
    if (input === undefined) throw mismatch(`the input ${wanted.name} is missing`)
    checkForm(input, wanted)
    checkValues(input, rules)
  }
  const rows = rowsOf(inputs, declared)
  if (rules.rowsPerCall !== null && rows > rules.rowsPerCall)
    throw refused(`a call may have ${rules.rowsPerCall} rows, not ${rows}`)
  return rows
}

function checkForm({ name, type, shape, data }: FirewallArray, wanted: DeclaredInput): void {
  if (type !== wanted.type) throw mismatch(`the input ${name} is ${wanted.type}, not ${type}`)
  const fits =
    shape.length === wanted.shape.length &&
    shape.every(
      (size, axis) => size > 0 && (typeof wanted.shape[axis] !== "number" || wanted.shape[axis] === size),
    )
  if (!fits)
    throw mismatch(`the input ${name} has the shape ${shapeText(wanted.shape)}, not ${shapeText(shape)}`)
  const size = elementBytes(type)
  const count = shape.reduce((product, each) => product * each, 1)
  if (size !== null && data.length !== count * size)
    throw mismatch(`the input ${name} has ${data.length} bytes for ${count} elements`)
}

function checkValues(input: FirewallArray, rules: FirewallRules): void {
  if (elementBytes(input.type) === null) return // text has no range
  const range = rules.ranges[input.name]
  if (range === undefined && (rules.allowNonFinite || !input.type.startsWith("float"))) return
  const min = range?.min ?? Number.NEGATIVE_INFINITY
  const max = range?.max ?? Number.POSITIVE_INFINITY
  for (const value of numbersOf(input)) {
    if (!Number.isFinite(value)) {
      if (rules.allowNonFinite) continue
      throw refused(`the input ${input.name} holds a value that is not finite`)
    }
    if (value < min || value > max)
      throw refused(`the input ${input.name} holds a value outside ${min} to ${max}`)
  }
}

/** The leading axis that all inputs leave open counts rows; without one the call is one row. */
function rowsOf(inputs: readonly FirewallArray[], declared: readonly DeclaredInput[]): number {
  const leading = declared.map(({ name, shape }) => ({
    isOpen: shape.length > 0 && typeof shape[0] !== "number",
    size: inputs.find((input) => input.name === name)?.shape[0] ?? 1,
  }))
  const isShared = leading.every(({ isOpen, size }) => isOpen && size === leading[0]?.size)
  if (isShared) return leading[0]?.size ?? 1
  return declared.length === 1 && typeof declared[0]?.shape[0] === "number" ? declared[0].shape[0] : 1
}

function shapeText(shape: readonly (number | string | null)[]): string {
  return `[${shape.map((size) => size ?? "?").join(", ")}]`
}

function mismatch(message: string): AppError {
  return new AppError("INPUT_MISMATCH", message)
}

function refused(message: string): AppError {
  return new AppError("INPUT_REFUSED", message)
}
