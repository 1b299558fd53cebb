/** The null hypotheses, tried many times: nobody is accused more often than the bounds say (WATERMARK 11.2). */
import { beforeAll, describe, expect, it } from "vitest"
import { resync } from "../../../main/core/watermark/align/resync.ts"
import { streamKey, tensorKey } from "../../../main/core/watermark/keys.ts"
import { readNetwork } from "../../../main/core/watermark/network/network.ts"
import { measureOriginal, readWholeCanonical } from "../../../main/core/watermark/original.ts"
import { KeyStream } from "../../../main/core/watermark/prf.ts"
import { runThrough } from "../../../main/core/watermark/work.ts"
import { lnQ, log10SignTail } from "../../../main/core/watermark/tails.ts"
import { collude, STRATEGIES } from "../../support/attacks/collusion.ts"
import { quantise } from "../../support/attacks/formats.ts"
import { putTogether, takeApart } from "../../support/attacks/onnx-editor.ts"
import { Dice } from "../../support/attacks/random.ts"
import { addNoise, pruneGlobally } from "../../support/attacks/weights.ts"
import { readable } from "../../support/embedding.ts"
import {
  drawOwnerScores,
  exceedances,
  innocents,
  ownerTestsOfStrangers,
  type TensorPair,
} from "../../support/null-laws.ts"
import { corpusFile } from "../../support/onnx-models.ts"
import { uniformityP } from "../../support/statistics.ts"
import { accused, TestOwner } from "../../support/suspects.ts"

const LEVELS = [1e-1, 1e-2, 1e-3, 1e-4]

/** All tensors of a small model: 2,000 weights, so that very many keys can be tried. */
async function pairsOf(owner: TestOwner, suspect: Uint8Array): Promise<readonly TensorPair[]> {
  const other = await readable(suspect)
  const { tensors } = await measureOriginal(owner.original.graph, owner.original.files)
  const layers = runThrough(
    resync(
      await readNetwork(owner.original.graph, owner.original.files),
      await readNetwork(other.graph, other.files),
    ),
  )
  return Promise.all(
    owner.plan.tensors.map(async (planned) => {
      const tensor = tensors.find(({ hash }) => hash === planned.hash)
      if (tensor === undefined) throw new Error("a plan for another model")
      const aligned = layers.find(({ layer }) => layer.tensor?.name === planned.name)
      const suspectValues = new Float32Array(tensor.elementCount).fill(Number.NaN)
      aligned?.layer.places?.forEach((place, i) => (suspectValues[place] = aligned.weights[i] ?? Number.NaN))
      return {
        planned,
        tensor,
        original: await readWholeCanonical(tensor, owner.original.files),
        suspect: suspectValues,
      }
    }),
  )
}

function expectBelowBounds(log10p: Float64Array | readonly number[]): void {
  for (const { seen, allowed } of exceedances(log10p, LEVELS)) expect(seen).toBeLessThanOrEqual(allowed)
}

describe("the owner test of strangers", () => {
  let owner: TestOwner
  beforeAll(async () => {
    owner = await TestOwner.of("digits-mlp.onnx", { strength: 0.02 })
  })

  it("follows its law over 100,000 keys on original, marked, attacked and unrelated weights", async () => {
    const dice = new Dice("unrelated weights")
    const suspects = {
      marked: await owner.copyOf(1),
      noisy: await owner.attacked(1, (model) => addNoise(model, 0.1, dice)),
      pruned: await owner.attacked(1, (model) => pruneGlobally(model, 0.5)),
      coarse: await owner.attacked(1, (model) => quantise(model, 4, true)),
      unrelated: await owner.attacked(1, (model) => addNoise(model, 3, dice)),
    }
    for (const [index, suspect] of Object.values(suspects).entries()) {
      const scores = await scoresOf(owner, suspect)
      const z = drawOwnerScores(scores, 100_000, index + 1)
      expect(uniformityP(z.map((value) => Math.exp(lnQ(value))))).toBeGreaterThan(0.01)
      expectBelowBounds(z.map(log10SignTail))
    }
  })

  it("follows it through key derivation and streams", async () => {
    const [pair] = await pairsOf(owner, await owner.copyOf(1))
    if (pair === undefined) throw new Error("no tensor")
    const tests = ownerTestsOfStrangers(pair, 20_000)
    expect(uniformityP(tests.map(({ z }) => Math.exp(lnQ(z))))).toBeGreaterThan(0.01)
    expectBelowBounds(tests.map(({ log10p }) => log10p))
  })

  async function scoresOf(of: TestOwner, suspect: Uint8Array): Promise<Float64Array> {
    const { scoreResiduals } = await import("../../../main/core/watermark/residual.ts")
    const { sigmaOf } = await import("../../../main/core/watermark/trace-carriers.ts")
    const [pair] = await pairsOf(of, suspect)
    if (pair === undefined) throw new Error("no tensor")
    const { tensor, original, suspect: other } = pair
    const out = new Float64Array(tensor.elementCount)
    const amplitude = new Float32Array(tensor.elementCount).fill(0.02)
    scoreResiduals(
      { original, suspect: other, sigma: sigmaOf(tensor), amplitude, known: null, stratum: null },
      1,
      out,
    )
    return out
  }
})

describe("innocent devices", () => {
  it("stay below the bounds, 4,000 on each of clean, noisy and colluding copies", async () => {
    const owner = await TestOwner.of("digits-mlp.onnx", { strength: 0.02 })
    const copies = await Promise.all([0, 1, 2].map(async (device) => owner.copyOf(device)))
    const suspects = [
      await owner.copyOf(0),
      await owner.attacked(0, (model) => addNoise(model, 0.1, new Dice("innocents"))),
      ...STRATEGIES.map((strategy) =>
        putTogether(collude(copies.map(takeApart), strategy, new Dice(`innocents ${strategy}`))),
      ),
    ]
    for (const suspect of suspects) {
      const log10p = innocents(await pairsOf(owner, suspect), owner.masterKey, 1000, 4000)
      expectBelowBounds(log10p)
    }
  })
})

describe("unrelated models", () => {
  it("are never traced: 30 strangers of the same architecture, other trained models, copies of another owner", async () => {
    const owner = await TestOwner.of("fashion-cnn.onnx", { devices: 32 })
    const other = await TestOwner.of("fashion-cnn.onnx", { key: 9, devices: 32 })
    const suspects = [
      ...Array.from({ length: 20 }, (_, seed) => shuffled(owner.bytes, seed)),
      ...(await Promise.all(Array.from({ length: 5 }, async (_, device) => other.copyOf(device)))),
      ...[
        "fashion-mlp.onnx",
        "fashion-vit.onnx",
        "mnist-ms.onnx",
        "digits-mlp.onnx",
        "yunet_n_320_320.onnx",
      ].map(corpusFile),
    ]
    expect(suspects.length).toBe(30)
    for (const suspect of suspects) {
      const traced = await owner.trace(suspect)
      expect(accused(traced)).toEqual([])
      expect(traced.owner.log10pCorrected).toBeGreaterThan(-4)
      for (const copy of traced.copies) expect(copy.log10pCorrected).toBeGreaterThan(-3)
    }
  })

  /** A network that never saw this one: every tensor holds the same numbers in any order. */
  function shuffled(bytes: Uint8Array, seed: number): Uint8Array {
    const model = takeApart(bytes)
    const dice = new Dice(`stranger ${seed}`)
    for (const tensor of model.tensors) {
      const old = tensor.values
      if (tensor.dims.length < 2 || old === null) continue
      const order = dice.permutation(old.length)
      const mixed = new Float32Array(old.length)
      for (let i = 0; i < mixed.length; i += 1) mixed[i] = old[order[i] ?? 0] ?? 0
      tensor.values = mixed
    }
    return putTogether(model)
  }
})

describe("streams", () => {
  const labels = ["owner-sign", "code-sign", "code-bias", "subset", "base-fill", "lsb-pick"] as const

  it("of different labels, tensors and devices are uncorrelated", () => {
    const master = new Uint8Array(32).fill(3)
    const digest = new Uint8Array(32)
    const keys = [1, 2].map((fill) => tensorKey(master, new Uint8Array(32).fill(fill), digest))
    const streams = keys.flatMap((key) =>
      labels
        .map((label) => streamKey(key, label))
        .concat([0, 1, 2].map((device) => streamKey(key, "code-word", Uint8Array.of(0, 0, 0, device, 0)))),
    )
    const bits = streams.map((key) => new KeyStream(key).readBits(0, 100_000))
    for (let a = 0; a < bits.length; a += 1) {
      for (let b = a + 1; b < bits.length; b += 1)
        expect(Math.abs(agreement(bits[a], bits[b]))).toBeLessThan(5)
    }
  })

  it("change half of their bits when one byte of the content hash, or the label, changes", () => {
    const base = new Uint8Array(32).fill(5)
    const changed = base.with(31, 4)
    const stream = (hash: Uint8Array, label: (typeof labels)[number]) =>
      new KeyStream(streamKey(tensorKey(new Uint8Array(32), hash, base), label)).readBits(0, 100_000)
    const plain = stream(base, "owner-sign")
    expect(Math.abs(agreement(plain, stream(changed, "owner-sign")))).toBeLessThan(5)
    expect(Math.abs(agreement(plain, stream(base, "code-sign")))).toBeLessThan(5)
  })

  /** Deviations of the number of equal bits from one half. */
  function agreement(a: Uint8Array | undefined, b: Uint8Array | undefined): number {
    if (a === undefined || b === undefined) throw new Error("no stream")
    let equal = 0
    a.forEach((bit, i) => (equal += bit === b[i] ? 1 : 0))
    return (2 * equal - a.length) / Math.sqrt(a.length)
  }
})
