/**
 * Where registries keep their token servers, remembered from one process to the next: a device that looks for news asks for its
 * token first, and is not sent away before. No token and no login is kept. What is remembered is judged like a challenge that
 * came just now, and forgotten when the registry says otherwise.
 */
import { readFile } from "node:fs/promises"
import { z } from "zod"
import { missingAsNull, replacePrivate } from "../workspace/private-files.ts"
import type { Challenge } from "./challenge.ts"

export type TokenChallenge = Extract<Challenge, { readonly kind: "bearer" }>

export interface TokenServers {
  /** `origin`: that of the registry, such as `https://registry.example`. */
  find(origin: string): Promise<TokenChallenge | null>
  keep(origin: string, challenge: TokenChallenge): Promise<void>
}

const serverSchema = z.strictObject({
  realm: z.string().max(4096),
  service: z.string().max(4096).nullable(),
})
const fileSchema = z.strictObject({
  version: z.literal(1),
  servers: z.record(z.string().max(512), serverSchema),
})
const MAX_SERVERS = 64

/** In a file of the workspace, readable by its owner alone. One that cannot be read is as if it were not there. */
export function tokenServerFile(file: string): TokenServers {
  const read = async () => {
    const text = await readFile(file, "utf8").catch(missingAsNull)
    const parsed = fileSchema.safeParse(text === null ? null : parseJson(text))
    return parsed.success ? parsed.data.servers : {}
  }
  return {
    async find(origin) {
      const servers = await read()
      const found = Object.hasOwn(servers, origin) ? servers[origin] : undefined
      return found === undefined ? null : { kind: "bearer", scope: null, ...found }
    },
    async keep(origin, { realm, service }) {
      const { [origin]: before, ...others } = await read()
      if (before?.realm === realm && before.service === service) return
      const kept = [...Object.entries(others).slice(-MAX_SERVERS + 1), [origin, { realm, service }] as const]
      await replacePrivate(file, JSON.stringify({ version: 1, servers: Object.fromEntries(kept) }))
    },
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
