/**
 * A token server as registries name one (Distribution's token specification): it gives those who know the password a token
 * for whatever they ask, signed with a key whose certificate the registry trusts.
 */
import { execFileSync } from "node:child_process"
import { createPrivateKey, randomUUID, sign, X509Certificate } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import http from "node:http"
import path from "node:path"

const ISSUER = "tests"
const SERVICE = "registry"

export interface TokenServer {
  /** For the registry's configuration: `auth.token`. */
  readonly settings: Readonly<Record<string, string>>
  /** How many were asked for since it was asked last. */
  taken(): number
  close(): void
}

export async function tokenServer(
  folder: string,
  login: { readonly username: string; readonly password: string },
): Promise<TokenServer> {
  const [certificate, key] = [path.join(folder, "token.pem"), path.join(folder, "token.key")]
  const wanted = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tokens`
  execFileSync("openssl", [...wanted.split(" "), "-keyout", key, "-out", certificate], { stdio: "pipe" })
  const x5c = [new X509Certificate(readFileSync(certificate)).raw.toString("base64")]
  const privateKey = createPrivateKey(readFileSync(key))
  const expected = `Basic ${Buffer.from(`${login.username}:${login.password}`).toString("base64")}`
  let count = 0
  const server = http.createServer(({ url = "", headers }, response) => {
    count += 1
    if (headers.authorization !== expected) {
      response.writeHead(401).end()
      return
    }
    const { searchParams } = new URL(url, "http://tokens")
    const access = searchParams.getAll("scope").map((scope) => {
      const [type = "", name = "", actions = ""] = scope.split(":")
      return { type, name, actions: actions.split(",") }
    })
    const seconds = Math.floor(Date.now() / 1000)
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
    const claims = { iss: ISSUER, sub: login.username, aud: SERVICE, jti: randomUUID(), access }
    const times = { iat: seconds, nbf: seconds - 60, exp: seconds + 300 }
    const text = `${part({ typ: "JWT", alg: "ES256", x5c })}.${part({ ...claims, ...times })}`
    const signature = sign("sha256", Buffer.from(text), { key: privateKey, dsaEncoding: "ieee-p1363" })
    response.end(JSON.stringify({ token: `${text}.${signature.toString("base64url")}`, expires_in: 300 }))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  const realm = `http://127.0.0.1:${address.port}/token`
  return {
    settings: { realm, service: SERVICE, issuer: ISSUER, rootcertbundle: certificate },
    taken() {
      const seen = count
      count = 0
      return seen
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
