/** `WWW-Authenticate` (RFC 9110 11.6.1) as registries send it. */

export type Challenge =
  | { readonly kind: "basic" }
  | {
      readonly kind: "bearer"
      /** Where tokens are. */
      readonly realm: string
      readonly service: string | null
      readonly scope: string | null
    }

/** The challenge we can answer, a token rather than a password; `null` when there is none. */
export function parseChallenge(header: string | null): Challenge | null {
  let basic: Challenge | null = null
  for (const { scheme, parameters } of schemesOf(header ?? "")) {
    const realm = parameters.get("realm")
    if (scheme === "bearer" && realm !== undefined)
      return {
        kind: "bearer",
        realm,
        service: parameters.get("service") ?? null,
        scope: parameters.get("scope") ?? null,
      }
    if (scheme === "basic") basic = { kind: "basic" }
  }
  return basic
}

function* schemesOf(header: string): Generator<{
  readonly scheme: string
  readonly parameters: ReadonlyMap<string, string>
}> {
  const text = header.slice(0, MAX_CHARACTERS)
  for (const match of text.matchAll(SCHEME)) {
    const parameters = new Map<string, string>()
    for (const [, name = "", quoted, token] of (match[2] ?? "").matchAll(PARAMETER))
      parameters.set(name.toLowerCase(), quoted?.replaceAll(/\\(.)/g, "$1") ?? token ?? "")
    yield { scheme: (match[1] ?? "").toLowerCase(), parameters }
  }
}

const MAX_CHARACTERS = 8192
/** A scheme and what follows up to the next one: a list of `name=value`. */
const SCHEME =
  /(?:^|,\s*)([A-Za-z][\w-]*)(?=\s|$|,)((?:\s*,?\s*[A-Za-z_][\w-]*\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",]+))*)/g
const PARAMETER = /([A-Za-z_][\w-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/g
