/** What a policy says, a rule each, without what it leaves open. */
export function policyRules(policy: unknown): readonly string[] {
  return settings("", policy).filter((line) => !line.startsWith("version "))
}

/** The same of a policy as text. Anything that is no policy is shown as it is. */
export function policyText(text: string): string {
  try {
    const rules = policyRules(JSON.parse(text))
    return rules.length === 0 ? "everything is allowed" : rules.join(", ")
  } catch {
    return text
  }
}

function settings(path: string, value: unknown): readonly string[] {
  if (value === null || value === false) return []
  if (typeof value === "object")
    return Object.entries(value).flatMap(([key, inner]) => settings(`${path}${words(key)} `, inner))
  return [`${path}${value === true ? "yes" : JSON.stringify(value).replaceAll('"', "")}`]
}

/** `minimumRuntime` as people write it. */
function words(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}
