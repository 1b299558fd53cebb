/**
 * The recorded runs of the TUF conformance suite, played back: answers of the repository, clock and trusted root come from the
 * recording; exit, documents kept and targets must be those a client should have.
 */
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, it } from "vitest"
import { AppError } from "../../main/contract/errors.ts"
import { checkTargetBytes, TufClient, type MetadataSource } from "../../main/core/tuf/client.ts"
import { vector } from "../support/vectors.ts"

interface Step {
  readonly command: "init" | "refresh" | "download"
  readonly target_names: readonly string[]
  readonly clock: string
  readonly http: readonly { readonly path: string; readonly status: number; readonly body_b64?: string }[]
  readonly exit_code: number
  readonly trusted_after: Readonly<Record<string, { readonly version: number; readonly sha256: string }>>
  readonly downloaded_sha256: readonly string[]
  readonly trusted_root_b64?: string
}

interface Recording {
  readonly test: string
  readonly suite_result: "passed" | "failed"
  readonly doc: string
  readonly steps: readonly Step[]
}

const recordings = readdirSync(vector("tuf-recorded"))
  .filter((file) => file.endsWith(".json"))
  .map((file) => JSON.parse(readFileSync(vector("tuf-recorded", file), "utf8")) as Recording)

const asRecorded = recordings.filter(({ suite_result }) => suite_result === "passed")
const inverted = recordings.filter(({ suite_result }) => suite_result === "failed")

it("has every recording of the set", () => {
  expect([asRecorded.length, inverted.length]).toEqual([109, 1])
})

describe("behaves as the suite demands", () => {
  it.each(asRecorded.map((recording) => [recording.test, recording] as const))(
    "%s",
    async (_name, recording) => {
      const client = new Replay(recording)
      for (const [index, step] of recording.steps.entries()) {
        const failure = await client.play(step)
        const what = `step ${index} (${step.command}) of ${recording.test}: ${String(failure)}`
        expect(failure === null ? 0 : 1, what).toBe(step.exit_code)
        expect(client.kept(), what).toEqual(
          Object.fromEntries(Object.entries(step.trusted_after).map(([name, { sha256 }]) => [name, sha256])),
        )
        expect(client.downloaded, what).toEqual([...step.downloaded_sha256].sort())
      }
    },
  )

  it("refuses a cached role under a second delegator with other keys", async () => {
    const [recording] = inverted
    if (recording === undefined) throw new Error("the recording is missing")
    expect(recording.test).toBe("test_cached_role_is_verified_against_current_delegator")
    const client = new Replay(recording)
    const outcomes = []
    for (const step of recording.steps) outcomes.push(await client.play(step))
    expect(outcomes.at(-1)).toMatchObject({ code: "METADATA_UNSIGNED" })
  })
})

/** One client through the steps of one recording; only what TufClient hands out survives a step. */
class Replay {
  readonly #static: string | null
  readonly #artifacts = new Map<string, Uint8Array>()
  #trusted: ReadonlyMap<string, Uint8Array> = new Map()

  constructor({ test }: Recording) {
    const name = /^test_static_repository\[(.+)\]$/.exec(test)?.[1]
    this.#static = name === undefined ? null : vector("tuf-static", name)
  }

  async play(step: Step): Promise<AppError | null> {
    const root = step.trusted_root_b64
    if (root !== undefined) this.#trusted = new Map([["root", Buffer.from(root, "base64")]])
    if (step.command === "init") return null // a client only keeps the root then, and judges it when it is used
    let client: TufClient | null = null
    try {
      client = new TufClient(this.#trusted, new Date(step.clock.replace(" ", "T")))
      const source = this.#source(step)
      await client.refresh(source)
      for (const name of step.target_names) await this.#download(client, name, source)
      return null
    } catch (error) {
      if (error instanceof AppError) return error
      throw error
    } finally {
      this.#trusted = client?.trusted ?? this.#trusted
    }
  }

  get downloaded(): readonly string[] {
    return [...new Set([...this.#artifacts.values()].map(hash))].sort()
  }

  /** SHA-256 by file name, as the suite looks at a client's folder. */
  kept(): Record<string, string> {
    const files = [...this.#trusted].map(
      ([role, bytes]) => [`${encodeURIComponent(role)}.json`, hash(bytes)] as const,
    )
    return Object.fromEntries(files.filter(([name]) => !name.startsWith(".")))
  }

  async #download(client: TufClient, name: string, source: MetadataSource): Promise<void> {
    const target = await client.findTarget(name, source)
    if (target === null) throw new AppError("METADATA_MISSING", `no target ${name}`)
    const cached = this.#artifacts.get(name)
    let bytes = cached !== undefined && matches(target, cached) ? cached : undefined
    if (bytes === undefined) {
      const [first = ""] = Object.values(target.hashes)
      const { dir, base } = path.posix.parse(name)
      const isPrefixed = client.root.signed.consistentSnapshot
      const file = path.posix.join("targets", dir, isPrefixed ? `${first}.${base}` : base)
      bytes = this.#answer(file) ?? undefined
      if (bytes === undefined) throw new AppError("METADATA_MISSING", `no file ${file}`)
      checkTargetBytes(target, bytes)
    }
    this.#artifacts.set(name, bytes)
  }

  #http: Step["http"] = []

  #source(step: Step): MetadataSource {
    this.#http = step.http
    return { read: async (name) => this.#answer(`metadata/${name}`) }
  }

  #answer(file: string): Uint8Array | null {
    if (this.#static !== null) {
      const at = path.join(this.#static, decodeURIComponent(file))
      return existsSync(at) ? readFileSync(at) : null
    }
    const answer = this.#http.find((each) => each.path === file)
    return answer?.status === 200 ? Buffer.from(answer.body_b64 ?? "", "base64") : null
  }
}

function matches(target: Parameters<typeof checkTargetBytes>[0], bytes: Uint8Array): boolean {
  try {
    checkTargetBytes(target, bytes)
    return true
  } catch {
    return false
  }
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}
