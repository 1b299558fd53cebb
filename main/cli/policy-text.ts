/** Policies as a terminal shows them: a rule each, by its name. */
import { safeText } from "./text.ts"

/** What a grant allows, without what it leaves open. */
export function policyLine(device: string, policy: object): string {
  const rules = flattened("", policy).filter(([name, value]) => name !== "version" && value !== "none")
  return `allows ${safeText(device)}: ${rules.map(([name, value]) => `${name} ${value}`).join(", ")}`
}

/** Rules by name; `null` for what is not one policy alone. */
export function rulesOf(text: string): ReadonlyMap<string, string> | null {
  if (text === "") return new Map()
  try {
    return new Map(flattened("", JSON.parse(text)).filter(([name]) => name !== "version"))
  } catch {
    return null
  }
}

function flattened(path: string, value: unknown): readonly (readonly [string, string])[] {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return [[path, value === null ? "none" : safeText(JSON.stringify(value)).replaceAll('"', "")]]
  return Object.entries(value).flatMap(([key, inner]) =>
    flattened(path === "" ? safeText(key) : `${path}.${safeText(key)}`, inner),
  )
}
