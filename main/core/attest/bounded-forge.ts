/**
 * node-forge with a limit on what a password costs: whoever wrote a file chooses how often its password is hashed, up to
 * billions of times. Set on the library itself, since the counts of inner layers show only when outer ones are open.
 */
import forge from "node-forge"
import { AppError } from "../../contract/errors.ts"

/** Above what careful programs write today (OWASP advises 600,000 rounds of PBKDF2-HMAC-SHA256). */
const MAX_ITERATIONS = 1_000_000

export function checkIterations(count: number): void {
  if (count > MAX_ITERATIONS)
    throw new AppError(
      "CERTIFICATE_MALFORMED",
      `the file wants its passphrase hashed ${count} times, more than ${MAX_ITERATIONS}`,
    )
}

type Derive = (...values: unknown[]) => unknown

/** `at`: which argument is the count. */
function bounded(derive: Derive, at: number): Derive {
  return (...values) => {
    checkIterations(Number(values[at]))
    return derive(...values)
  }
}

// The three places through which the library derives keys from passwords; its types declare none of them as replaceable.
const { pkcs5, pbe, pkcs12 } = forge as unknown as Readonly<Record<string, Record<string, Derive>>> & {
  readonly pkcs5: { pbkdf2: Derive }
  readonly pbe: { generatePkcs12Key: Derive }
  readonly pkcs12: { generateKey: Derive }
}
pkcs5.pbkdf2 = bounded(pkcs5.pbkdf2, 2)
pbe.generatePkcs12Key = bounded(pbe.generatePkcs12Key, 3)
pkcs12.generateKey = bounded(pkcs12.generateKey, 3)

export default forge
