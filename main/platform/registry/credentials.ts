/**
 * Logins where other registry tools keep them: Docker's `config.json` with its helpers, and the containers tools' `auth.json`.
 * Helpers get and give secrets through standard streams (docker-credential-helpers protocol), never through arguments.
 */
import { readFile } from "node:fs/promises"
import os from "node:os"
import path from "node:path"
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { parseJson } from "../../core/bytes/json.ts"
import { codeOf } from "../files.ts"
import { runHelper } from "./credential-helper.ts"
import { replacePrivateFile } from "./private-file.ts"

export type Credential =
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  /** An identity token, to be exchanged for access tokens. */
  | { readonly kind: "token"; readonly token: string }

export interface CredentialSource {
  /** The login for `HOST[:PORT]`, or `null`. Throws CREDENTIALS_UNREADABLE. */
  find(host: string): Promise<Credential | null>
}

export interface CredentialStore extends CredentialSource {
  /** Keeps a login; says whether a helper keeps it or the file. */
  store(host: string, username: string, password: string): Promise<"helper" | "file">
  /** Whether there was one. */
  erase(host: string): Promise<boolean>
}

const authSchema = z.looseObject({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
})
const configSchema = z.looseObject({
  auths: z.record(z.string(), authSchema).optional(),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
})
type Config = z.infer<typeof configSchema>

/** `environment` says where the files are: REGISTRY_AUTH_FILE, DOCKER_CONFIG, XDG_RUNTIME_DIR, HOME. */
export function credentialFiles(environment: NodeJS.ProcessEnv): CredentialStore {
  const files = candidateFiles(environment)
  return {
    async find(host) {
      for (const file of files) {
        const config = await readConfig(file)
        const found = config === null ? null : await findIn(config, host, environment)
        if (found !== null) return found
      }
      return null
    },
    async store(host, username, password) {
      const file = files[0] ?? ""
      const config = (await readConfig(file)) ?? {}
      const helper = helperFor(config, host)
      if (helper !== null) {
        await runHelper(
          helper,
          "store",
          JSON.stringify({ ServerURL: host, Username: username, Secret: password }),
          environment,
        )
        return "helper"
      }
      const auth = Buffer.from(`${username}:${password}`).toString("base64")
      await writeConfig(file, { ...config, auths: { ...config.auths, [host]: { auth } } })
      return "file"
    },
    async erase(host) {
      const file = files[0] ?? ""
      const config = await readConfig(file)
      if (config === null) return false
      const helper = helperFor(config, host)
      if (helper !== null) {
        const was = (await findIn(config, host, environment)) !== null
        if (was) await runHelper(helper, "erase", host, environment)
        return was
      }
      const key = keyFor(config, host)
      if (key === null) return false
      const { [key]: _gone, ...auths } = config.auths ?? {}
      await writeConfig(file, { ...config, auths })
      return true
    },
  }
}

/** The first is the one written to. */
function candidateFiles(environment: NodeJS.ProcessEnv): readonly string[] {
  const { REGISTRY_AUTH_FILE: named, DOCKER_CONFIG: docker, XDG_RUNTIME_DIR: runtime } = environment
  if (isSet(named)) return [named]
  const home = isSet(environment["HOME"]) ? environment["HOME"] : os.homedir()
  return [
    path.join(isSet(docker) ? docker : path.join(home, ".docker"), "config.json"),
    ...(isSet(runtime) ? [path.join(runtime, "containers", "auth.json")] : []),
  ]
}

function isSet(text: string | undefined): text is string {
  return text !== undefined && text !== ""
}

async function findIn(
  config: Config,
  host: string,
  environment: NodeJS.ProcessEnv,
): Promise<Credential | null> {
  const helper = helperFor(config, host)
  if (helper !== null) {
    const found = await askHelper(helper, host, environment)
    if (found !== null) return found
  }
  const key = keyFor(config, host)
  const entry = key === null ? undefined : config.auths?.[key]
  if (entry === undefined) return null
  if (isSet(entry.identitytoken)) return { kind: "token", token: entry.identitytoken }
  if (isSet(entry.auth)) return decodeAuth(entry.auth)
  if (isSet(entry.username) && entry.password !== undefined)
    return { kind: "password", username: entry.username, password: entry.password }
  return null // an entry without content says that a helper keeps it
}

function helperFor(config: Config, host: string): string | null {
  return config.credHelpers?.[host] ?? (isSet(config.credsStore) ? config.credsStore : null)
}

/** Docker writes addresses in several ways. */
function keyFor(config: Config, host: string): string | null {
  const wanted = host.toLowerCase()
  return (
    Object.keys(config.auths ?? {}).find(
      (key) =>
        key
          .replace(/^https?:\/\//, "")
          .replace(/\/.*$/, "")
          .toLowerCase() === wanted,
    ) ?? null
  )
}

const answerSchema = z.looseObject({ Username: z.string(), Secret: z.string() })

async function askHelper(
  helper: string,
  host: string,
  environment: NodeJS.ProcessEnv,
): Promise<Credential | null> {
  const output = await runHelper(helper, "get", host, environment)
  if (output === null) return null
  const parsed = answerSchema.safeParse(parseJson(output, `the answer of the credential helper ${helper}`))
  if (!parsed.success) throw unreadable(`the credential helper ${helper} answers in a form that is not known`)
  const { Username: username, Secret: secret } = parsed.data
  return username === "<token>"
    ? { kind: "token", token: secret }
    : { kind: "password", username, password: secret }
}

function decodeAuth(auth: string): Credential {
  const text = Buffer.from(auth, "base64").toString("utf8")
  const colon = text.indexOf(":")
  if (colon < 0) throw unreadable("a stored login is damaged")
  return {
    kind: "password",
    username: text.slice(0, colon),
    password: text.slice(colon + 1).replace(/\0+$/, ""),
  }
}

async function readConfig(file: string): Promise<Config | null> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(file)
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(error))) return null
    throw unreadable(`the credential file cannot be read (${codeOf(error)})`)
  }
  try {
    return configSchema.parse(parseJson(bytes, "the credential file"))
  } catch {
    // Without the cause: it may quote the file.
    throw unreadable("the credential file is not what Docker writes")
  }
}

async function writeConfig(file: string, config: Config): Promise<void> {
  await replacePrivateFile(file, `${JSON.stringify(config, null, "\t")}\n`)
}

function unreadable(message: string): AppError {
  return new AppError("CREDENTIALS_UNREADABLE", message)
}
