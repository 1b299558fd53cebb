/** Workspaces of several people and devices in one folder, under one clock that the test moves. */
import { mkdirSync, writeFileSync } from "node:fs"
import path from "node:path"
import { onTestFinished } from "vitest"
import { followJob, type HostClient } from "../../main/contract/client.ts"
import type { DeploymentStatus, Install, Provisioned } from "../../main/contract/schema/deployment.ts"
import type { Place as RegistryPlace, Pushed } from "../../main/contract/schema/registry.ts"
import type { Published, Release } from "../../main/contract/schema/release.ts"
import { localEngine } from "../../main/contract/server.ts"
import type { RolesRequest, Signer, Trust } from "../../main/contract/schema/trust.ts"
import { signStatement } from "../../main/core/attest/attestation.ts"
import { attestationType, toStatementBytes, type JsonObject } from "../../main/core/attest/statement.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { createEngine } from "../../main/services/engine.ts"
import type { Ports } from "../../main/services/ports.ts"
import type { Prompter } from "../../main/services/ports/prompter.ts"
import { MODELS } from "./workspace.ts"

export interface Place {
  readonly engine: HostClient
  readonly ports: Ports
  readonly workspace: string
}

export class Shop {
  readonly folder: string
  now: Date

  /** `runtime`: the real one, or one that takes everything for healthy, where only slots and words are looked at. */
  readonly #runtime: "real" | "accepting"

  readonly #atEnd: (close: () => Promise<void>) => void

  constructor(
    folder: string,
    now = "2027-01-04T08:00:00Z",
    runtime: "real" | "accepting" = "real",
    atEnd: (close: () => Promise<void>) => void = onTestFinished,
  ) {
    this.#runtime = runtime
    this.#atEnd = atEnd
    this.folder = folder
    this.now = new Date(now)
  }

  /** A workspace that lives as long as the test, or as `atEnd` says. */
  place(name: string, more: Partial<Ports> = {}, prompter?: Prompter): Place {
    const workspace = path.join(this.folder, name)
    mkdirSync(workspace, { recursive: true })
    const { ports: local, close } = localPorts(workspace, prompter === undefined ? {} : { prompter })
    this.#atEnd(close)
    const runtime = this.#runtime === "real" ? local.runtime : ACCEPTING
    const ports: Ports = { ...local, ...more, runtime, now: () => this.now }
    return { engine: localEngine(createEngine(ports)), ports, workspace }
  }

  later({ days = 0, minutes = 0 }: { readonly days?: number; readonly minutes?: number }): void {
    this.now = new Date(this.now.getTime() + days * 86_400_000 + minutes * 60_000)
  }

  at(name: string): string {
    return path.join(this.folder, name)
  }
}

export const own = (name: string, person: string | null = null): Signer => ({ kind: "own", name, person })

export const role = (signers: readonly Signer[], threshold: number | null = null) => ({
  signers: [...signers],
  threshold,
  assurance: null,
})

/** The public half of a key of `from`, as a file that `to` can be given. */
export async function publicKeyOf(
  from: Place,
  key: string,
  to: Place,
  assurance: Extract<Signer, { readonly kind: "file" }>["assurance"] = "software",
): Promise<Signer> {
  const { publicKeyPem } = await from.engine.keys.show({ name: key })
  const file = path.join(to.workspace, `${key}.pem`)
  writeFileSync(file, publicKeyPem ?? "")
  return {
    kind: "file",
    file: await to.engine.files.refer({ path: file }),
    person: key,
    assurance,
  }
}

/** Keys `alice`, `press` and `desk`, and a trust root in which each does what its name says. */
export async function initShop(
  place: Place,
  roles: RolesRequest = {},
  gates: { readonly approvals: number; readonly validation: "all" | "any" | "none" } = {
    approvals: 1,
    validation: "any",
  },
): Promise<Trust> {
  for (const name of ["alice", "press", "desk"]) await place.engine.keys.create({ name, purpose: "signing" })
  return place.engine.trust.init({
    roles: {
      root: role([own("alice")]),
      "release-manager": role([own("alice")]),
      approver: role([own("alice")]),
      packager: role([own("press")]),
      online: role([own("desk")]),
      director: role([own("desk")]),
      ...roles,
    },
    gates,
    offlineDays: 30,
  })
}

export async function outputOf(place: Place, file: string) {
  return { file: await place.engine.files.refer({ path: file }), replace: true }
}

/** A fleet: a desk with a trust root, devices in workspaces of their own, one ring `pilot`. */
export class Fleet {
  readonly shop: Shop
  readonly desk: Place
  readonly devices = new Map<string, Place>()

  constructor(shop: Shop) {
    this.shop = shop
    this.desk = shop.place("desk")
  }

  static async open(
    folder: string,
    { names = ["press-07"], runtime = "accepting", now, atEnd }: FleetOptions = {},
  ): Promise<Fleet> {
    const fleet = new Fleet(new Shop(folder, now, runtime, atEnd))
    await initShop(fleet.desk, {}, { approvals: 1, validation: "none" })
    for (const name of names) await fleet.addDevice(name)
    await fleet.desk.engine.fleet.setRing({ name: "pilot", devices: [...names] })
    return fleet
  }

  /** `tcti`: the TPM its key is made in; a software key without. */
  async addDevice(name: string, more: Partial<Ports> = {}, tcti: string | null = null): Promise<Place> {
    const place = this.shop.place(name, more)
    if (tcti !== null)
      await place.engine.keys.create({
        name,
        purpose: "device",
        place: { provider: "tpm2", tcti, adopt: null, persistent: false, auth: false, pcrs: [] },
      })
    const key = tcti === null ? ({ kind: "software" } as const) : ({ kind: "key", name } as const)
    const { recipient } = await place.engine.devices.add({ name, key })
    await this.desk.engine.devices.add({ name, key: { kind: "recipient", recipient } })
    this.devices.set(name, place)
    return place
  }

  device(name = "press-07"): Place {
    const found = this.devices.get(name)
    if (found === undefined) throw new Error(`no device ${name}`)
    return found
  }

  /** Protects a small model for every device, and makes a release of it that is approved. */
  async release(
    name: string,
    options: {
      readonly hardwareIds?: readonly string[]
      /** For whom, where that is not all devices with a workspace. */
      readonly devices?: readonly string[]
      readonly mode?: "individual" | "fleet"
      /** Paths of arrays. */
      /** Path of a policy. */
      readonly policy?: string
      /** Path of a model; the same small one unless given. */
      readonly model?: string
      readonly signingKey?: string
      readonly golden?: { readonly input: string; readonly output: string; readonly tolerance: number }
    } = {},
  ): Promise<Release> {
    const { engine } = this.desk
    const seal = this.shop.at(`${name}.package.seal`)
    await followJob(
      await engine.protect({
        model: await engine.files.refer({ path: options.model ?? MODEL }),
        devices: [...(options.devices ?? this.devices.keys())],
        signingKey: options.signingKey ?? "press",
        policy: options.policy === undefined ? null : await engine.files.refer({ path: options.policy }),
        escrow: [],
        mode: options.mode ?? "fleet",
        // Too small to carry a mark; releases are what is tested here.
        mark: null,
        golden:
          options.golden === undefined
            ? null
            : {
                input: await engine.files.refer({ path: options.golden.input }),
                output: await engine.files.refer({ path: options.golden.output }),
                tolerance: options.golden.tolerance,
              },
        output: await outputOf(this.desk, seal),
      }),
    )
    const packages = [await engine.files.refer({ path: seal })]
    await followJob(
      await engine.release.create({ name, packages, hardwareIds: [...(options.hardwareIds ?? [])] }),
    )
    return engine.release.approve({ name, key: "alice" })
  }

  async publish(name: string, ring = "pilot"): Promise<Published> {
    return followJob(await this.desk.engine.release.publish({ name, ring }))
  }

  /** What is carried to the devices, as a file. */
  async export(file: string, ring = "pilot"): Promise<string> {
    const at = this.shop.at(file)
    const scope = { kind: "ring", ring } as const
    await followJob(await this.desk.engine.fleet.export({ scope, output: await outputOf(this.desk, at) }))
    return at
  }

  async provision(file: string, name = "press-07", hardwareId: string | null = null): Promise<Provisioned> {
    const { engine } = this.device(name)
    const from = await engine.files.refer({ path: file })
    const made = await engine.deployment.provision({ device: name, from, hardwareId })
    const pem = this.shop.at(`${name}-receipts.pem`)
    writeFileSync(pem, made.receiptKey.publicKeyPem)
    const key = await this.desk.engine.files.refer({ path: pem })
    await this.desk.engine.fleet.trustReceipts({ device: name, key })
    return made
  }

  /** `where`: a file, or a repository; a folder is given by its path. */
  async sync(where: string | RemotePlace, name = "press-07"): Promise<DeploymentStatus> {
    const { engine } = this.device(name)
    const from = typeof where === "string" ? await engine.files.refer({ path: where }) : where
    return followJob(await engine.deployment.sync({ device: name, from }))
  }

  /** An export of the ring into a repository, from the desk. */
  async push(file: string, to: RegistryPlace, tag: string): Promise<Pushed> {
    const { engine } = this.desk
    const ref = await engine.files.refer({ path: file })
    return followJob(await engine.registry.push({ file: ref, to, tag }))
  }

  async install(name = "press-07", golden: Install["golden"] = null): Promise<DeploymentStatus> {
    return followJob(await this.device(name).engine.deployment.install({ device: name, golden }))
  }

  async commit(name = "press-07"): Promise<DeploymentStatus> {
    return this.device(name).engine.deployment.commit({ device: name })
  }

  /** Release, ring, file, device: a device that runs `name`. */
  async deploy(name: string): Promise<string> {
    await this.release(name)
    await this.publish(name)
    const file = await this.export(`${name}.seal`)
    const isNew = !this.#provisioned
    this.#provisioned = true
    if (isNew) await this.provision(file)
    await this.sync(file)
    await this.install()
    await this.commit()
    return file
  }

  /** A statement about the release's first package, as validate makes it. */
  async attachValidation(
    name: string,
    { passed, signer = "press", measured = {} }: ValidationChoice,
  ): Promise<void> {
    const { engine, ports } = this.desk
    const { packages } = await engine.release.show({ name })
    const key = await ports.keys.find(signer, "signing")
    const statement = toStatementBytes({
      subjects: [{ name: "", digest: { sha256: (packages[0] ?? "").slice("sha256:".length) } }],
      predicateType: attestationType("validation"),
      predicate: { createdAt: this.shop.now.toISOString(), tool: "test", gate: { passed }, ...measured },
    })
    const bundle = await signStatement(statement, {
      publicKeyPem: () => key.publicKeyPem ?? "",
      sign: async (message) => ports.keys.sign(key, message),
    })
    const at = this.shop.at(`${name}.validation.json`)
    writeFileSync(at, bundle)
    await engine.release.attach({ name, bundles: [await engine.files.refer({ path: at })] })
  }

  #provisioned = false
}

type RemotePlace = Exclude<Parameters<HostClient["deployment"]["sync"]>[0]["from"], string>

export interface FleetOptions {
  readonly names?: readonly string[]
  readonly runtime?: "real" | "accepting"
  /** The clock's first time. */
  readonly now?: string
  /** Given what closes each workspace, for a fleet that several tests share. */
  readonly atEnd?: (close: () => Promise<void>) => void
}

const ACCEPTING: Ports["runtime"] = {
  start: async (_model, { level }) => ({
    level: { asked: level, reached: "R0", reason: "", steps: [] },
    model: { inputs: [], outputs: [], loadMs: { decrypt: 0, verify: 0, session: 0, total: 0 } },
    infer: async () => ({ outputs: [], sessionMs: 0 }),
    memory: async () => ({ peakBytes: 0, heap: null }),
    unload: async () => 0,
    close: async () => {},
  }),
  probe: async () => ({ asked: null, reached: "R0", reason: "", steps: [] }),
}

const MODEL = path.join(MODELS, "digits-mlp.onnx")

export interface ValidationChoice {
  readonly passed: boolean
  readonly signer?: string
  /** Accuracy and latency as the report of validate has them. */
  readonly measured?: JsonObject
}
