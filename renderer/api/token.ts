/** The token of this window: taken out of the address before anything else happens, kept for reloads of this tab alone. */

const KEY = "sealwright-session"

let linkToken: string | null = takeFromAddress()

/** What to show the host first: a session wins over a link, so that a reload uses nothing up. */
export function currentToken(): string | null {
  return linkToken ?? sessionStorage.getItem(KEY)
}

export function keepSession(session: string): void {
  linkToken = null
  sessionStorage.setItem(KEY, session)
}

/** The host does not know it (any more). */
export function dropToken(): void {
  if (linkToken === null) sessionStorage.removeItem(KEY)
  linkToken = null
}

function takeFromAddress(): string | null {
  const token = /^#token=([\w-]{43})$/.exec(location.hash)?.[1] ?? null
  if (token !== null) history.replaceState(null, "", `${location.pathname}#/models`)
  return token
}
