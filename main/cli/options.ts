/** Option values that several commands share. */
import { AppError } from "../contract/errors.ts"
import type { Normalise } from "../contract/schema/run.ts"
import { levelSchema, type RuntimeLevel } from "../contract/schema/runtime.ts"

/** `mean,std`, as two decimal numbers. */
export function parseNormalise(text: string | undefined): Normalise | null {
  if (text === undefined) return null
  const [mean, std, ...more] = text.split(",").map(Number)
  if (
    mean === undefined ||
    std === undefined ||
    more.length > 0 ||
    !Number.isFinite(mean) ||
    !Number.isFinite(std) ||
    std <= 0
  ) {
    throw new AppError(
      "USAGE",
      `--normalise takes MEAN,STD with a standard deviation above 0, not ${text.slice(0, 40)}`,
    )
  }
  return { mean, std }
}

/** `null` when the option is not given: the highest level the machine reaches. */
export function parseLevel(text: string | undefined): RuntimeLevel | null {
  if (text === undefined) return null
  const level = levelSchema.safeParse(text.toUpperCase())
  if (!level.success) throw new AppError("USAGE", `--level takes ${levelSchema.options.join(", ")}`)
  return level.data
}

export function parseBatch(text: string | undefined): number | null {
  if (text === undefined) return null
  const rows = Number(text)
  if (!Number.isInteger(rows) || rows < 1 || rows > 65_536)
    throw new AppError("USAGE", "--batch takes a whole number from 1 to 65536")
  return rows
}

/** An inherited file descriptor; the standard three belong to the command itself, but for input. */
export function parseDescriptor(option: string, text: string | undefined): number | null {
  if (text === undefined) return null
  const descriptor = Number(text)
  if (!/^\d{1,5}$/.test(text) || descriptor === 1 || descriptor === 2)
    throw new AppError("USAGE", `${option} takes the number of an open file descriptor`)
  return descriptor
}
