/** Marking a model for devices: measure it, find or recall its plan, and make the copies of one run of protect. */
import { AppError } from "../../contract/errors.ts"
import type { Mark, Measured, MarkRequest } from "../../contract/schema/mark.ts"
import type { Mode } from "../../contract/schema/base.ts"
import { predictStrength } from "../../core/watermark/budget.ts"
import { closeCarriers, openCarriers } from "../../core/watermark/carriers.ts"
import type { Carrier, Edition } from "../../core/watermark/embed.ts"
import { nextDeviceNumber, type IssuedEntry, type LedgerEntry } from "../../core/watermark/ledger.ts"
import { ModelMarker, type MarkedFile } from "../../core/watermark/marker.ts"
import type { OriginalTensor } from "../../core/watermark/original.ts"
import { OverlayMaker } from "../../core/watermark/overlay-maker.ts"
import { MAX_TRIES } from "../../core/watermark/plan.ts"
import type { CodeWord } from "../../core/watermark/streams.ts"
import { toBase64 } from "../../core/bytes/bytes.ts"
import type { JobContext } from "../jobs.ts"
import { OpenLedger } from "../ledger/open-ledger.ts"
import type { OpenModel } from "../model-input.ts"
import type { Ports } from "../ports.ts"
import { Certificate } from "./certificate.ts"
import { checksumsOf, locationsOf, measureModel, modelFiles, summariseSkipped } from "./model-weights.ts"
import { planModel, type PlannedModel } from "./plan-model.ts"

/** One run of protect over a marked model. `close` wipes its keys. */
export class Marking {
  readonly #ports: Ports
  readonly #ledger: OpenLedger
  readonly #model: OpenModel
  readonly #mode: Mode
  readonly #tensors: readonly OriginalTensor[]
  readonly #planned: PlannedModel
  readonly #carriers: readonly Carrier[]
  readonly #files: readonly MarkedFile[]
  readonly #marker: ModelMarker
  readonly #certificate: Certificate | null
  #overlayBytes = 0

  /**
   * `starts`: where each file of the model begins in the payload's plaintext. Throws MARK_NOTHING for a model without
   * weights that can carry the mark, MARK_TOO_WEAK, INPUT_MISMATCH for calibration data the model does not take, and what
   * opening the ledger throws.
   */
  static async prepare(
    ports: Ports,
    request: MarkRequest,
    model: OpenModel,
    mode: Mode,
    starts: readonly number[],
    job: JobContext,
  ): Promise<Marking> {
    job.step("measure weights", model.bytes)
    const { tensors, skipped } = await measureModel(model, job.signal)
    if (tensors.length === 0)
      throw new AppError("MARK_NOTHING", `no weight can carry a mark: ${summariseSkipped(skipped)}`)
    const { ledger } = await OpenLedger.openOrCreate(ports)
    try {
      const planned = await planModel(ports, ledger, request, model, mode, tensors, job)
      try {
        const carriers = openCarriers(ledger.masterKey, tensors, planned.tensors)
        const files = locationsOf(model).map((location, index) => ({
          location,
          start: starts[index] ?? 0,
          size: model.files[index]?.file.size ?? 0,
        }))
        const marker = await ModelMarker.prepare(
          carriers,
          files,
          modelFiles(model, job.signal),
          // What a fleet's external files hash to differs by device, so no digits in the shared payload could be right.
          mode === "fleet" ? [] : checksumsOf(model.index),
          ports.markKernel,
        )
        return new Marking(ports, ledger, model, mode, tensors, planned, carriers, files, marker)
      } catch (error) {
        await planned.desk?.close()
        throw error
      }
    } catch (error) {
      ledger.close()
      throw error
    }
  }

  private constructor(
    ports: Ports,
    ledger: OpenLedger,
    model: OpenModel,
    mode: Mode,
    tensors: readonly OriginalTensor[],
    planned: PlannedModel,
    carriers: readonly Carrier[],
    files: readonly MarkedFile[],
    marker: ModelMarker,
  ) {
    this.#ports = ports
    this.#ledger = ledger
    this.#model = model
    this.#mode = mode
    this.#tensors = tensors
    this.#planned = planned
    this.#carriers = carriers
    this.#files = files
    this.#marker = marker
    this.#certificate =
      planned.desk === null ? null : new Certificate(planned.desk, planned.budget, model.bytes)
  }

  /** Gives numbers to devices that have none and writes them down before anything carries them. */
  async enrol(devices: readonly string[]): Promise<void> {
    await this.#ledger.append((state) => {
      const at = this.#ports.now().toISOString()
      let next = nextDeviceNumber(state)
      return devices
        .filter((name) => !state.devices.has(name))
        .map((name): LedgerEntry => ({ kind: "device", name, number: next++, at }))
    })
  }

  /**
   * The code word of a device's copy: the one it already has in this model, or the first whose copy keeps the budget on the
   * held-out inputs. Throws MARK_TOO_WEAK when none does.
   */
  async wordFor(name: string): Promise<CodeWord> {
    const device = this.#ledger.state.devices.get(name)
    if (device === undefined) throw new AppError("INTERNAL", "a device without a number")
    const earlier = this.#ledger.state.issued.findLast(
      (entry) => entry.device === device && entry.modelHash === this.#planned.entry.plan.modelHash,
    )
    const certificate = this.#certificate
    const first = earlier?.attempt ?? 0
    for (let attempt = first; attempt < MAX_TRIES; attempt += 1) {
      const word = { device, attempt }
      if (certificate === null || !certificate.isWanted) return word
      // A copy that is out already is not drawn again: two copies of one device would be two colluders.
      const isOut = earlier !== undefined
      const edition = { kind: this.#mode, word } as const
      const { masterKey } = this.#ledger
      const holds = await certificate.check(masterKey, this.#tensors, this.#planned.tensors, edition, isOut)
      if (holds || isOut) return word
    }
    throw new AppError(
      "MARK_TOO_WEAK",
      `${MAX_TRIES} marks for ${name} changed the outputs more than allowed on inputs that were held out`,
    )
  }

  /** The payload engine's `transform` for one edition. */
  async transform(edition: Edition): Promise<(offset: number, plain: Uint8Array) => void> {
    const marker = await this.#marker.edition(edition)
    return (offset, plain) => marker.apply(offset, plain)
  }

  /** Fleet mode: what every device gets in place of the filler. */
  async overlays(): Promise<FleetCopies> {
    const sources = modelFiles(this.#model)
    const maker = await OverlayMaker.prepare(this.#carriers, this.#files, sources, this.#ports.markKernel)
    const base = await this.#marker.edition({ kind: "base" })
    return {
      values: (word) => maker.values(word),
      digests: async (copies, progress) => maker.digests(copies, base, this.#files, sources, progress),
      overlay: (values, binding) => {
        const overlay = maker.overlay(values, binding)
        this.#overlayBytes = Math.max(this.#overlayBytes, overlay?.length ?? 0)
        return overlay
      },
    }
  }

  /**
   * Writes down what leaves, before it can leave. `receipt`: the signed statement about the commitment (a bundle); the first
   * one of a plan stands in the ledger in front of its first copy.
   */
  async issue(
    copies: readonly { readonly word: CodeWord; readonly modelRoot: string }[],
    receipt: Uint8Array,
  ): Promise<void> {
    const at = this.#ports.now().toISOString()
    const { commitment, plan } = this.#planned.entry
    await this.#ledger.append(({ receipts }) => [
      ...(receipts.has(commitment)
        ? []
        : [{ kind: "receipt" as const, commitment, bundle: toBase64(receipt), at }]),
      ...copies.map(({ word, modelRoot }): IssuedEntry => ({
        kind: "issued",
        modelHash: plan.modelHash,
        ...word,
        mode: this.#mode,
        modelRoot,
        at,
      })),
    ])
  }

  /** When a backup of the ledger was last written; null when there never was one. */
  get exportedAt(): string | null {
    return this.#ledger.state.exportedAt
  }

  /** What this run promises. */
  describe(): Mark {
    const strength = predictStrength(this.#tensors, this.#planned.tensors, this.#mode)
    const measured: Measured | null = this.#certificate?.measured ?? null
    return {
      commitment: this.#planned.entry.commitment,
      tensors: this.#tensors.length,
      carriers: strength.ownerCarriers,
      parameters: this.#model.index.parameterCount,
      deviceCarriers: strength.deviceCarriers,
      ownerEnergy: strength.ownerEnergy,
      deviceEnergy: strength.deviceEnergy,
      deviceScore: strength.deviceScore,
      knownSubsetFactor: strength.knownSubsetFactor,
      overlayBytes: this.#mode === "fleet" ? this.#overlayBytes : null,
      measured,
      notMeasured: this.#planned.notMeasured,
      isKnownModel: this.#planned.isKnown,
    }
  }

  async close(): Promise<void> {
    closeCarriers(this.#carriers)
    this.#ledger.close()
    await this.#planned.desk?.close()
  }
}

/** Overlays of one model, device by device. */
export interface FleetCopies {
  /** A secret; its owner wipes it. */
  values(word: CodeWord): Uint8Array
  digests(
    copies: readonly Uint8Array[],
    progress: (doneBytes: number) => void,
  ): Promise<readonly (readonly Uint8Array[])[]>
  overlay(values: Uint8Array, binding: Parameters<OverlayMaker["overlay"]>[1]): Uint8Array | null
}
