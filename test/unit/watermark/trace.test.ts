import { beforeAll, describe, expect, it } from "vitest"
import {
  foldNormalisations,
  quantise,
  rename,
  reorder,
  storeKernelsLast,
  toBfloat16,
  toHalf,
  transposeMatrices,
} from "../../support/attacks/formats.ts"
import { collude, STRATEGIES } from "../../support/attacks/collusion.ts"
import { addNeurons, permuteChannels } from "../../support/attacks/neurons.ts"
import { putTogether, takeApart } from "../../support/attacks/onnx-editor.ts"
import { Dice } from "../../support/attacks/random.ts"
import {
  addNoise,
  clipWeights,
  overwrite,
  pruneByChance,
  pruneGlobally,
  reduceRank,
} from "../../support/attacks/weights.ts"
import { fashionLogits } from "../../support/inference.ts"
import { corpusFile } from "../../support/onnx-models.ts"
import { accused, TestOwner, type Attack } from "../../support/suspects.ts"

const GUILTY = 17

/** Attacks that leave the function as it is: outputs must agree, or the attack itself is wrong. */
const FAITHFUL: readonly (readonly [name: string, models: readonly string[], attack: Attack])[] = [
  ["reordering", ["resnet", "vit"], (model) => reorder(model, new Dice("reorder"))],
  ["transposed matrices", ["cnn", "vit", "mlp"], transposeMatrices],
  ["kernels stored last", ["cnn", "vit"], storeKernelsLast],
  ["folded normalisations", ["cnn", "resnet"], foldNormalisations],
  ["exchanged channels", ["cnn", "vit"], (model) => void permuteChannels(model, new Dice("exchange"))],
  [
    "exchanged and scaled channels",
    ["cnn", "resnet", "vit", "mlp"],
    (model) => {
      foldNormalisations(model)
      permuteChannels(model, new Dice("scale"), 1)
    },
  ],
  [
    "useless and split neurons",
    ["cnn", "resnet", "vit", "mlp"],
    (model) => {
      foldNormalisations(model)
      addNeurons(model, 0.2, new Dice("neurons"))
      permuteChannels(model, new Dice("neurons moved"))
    },
  ],
]

/** Attacks on the numbers, with the least lg p a device must still reach on the small CNN. */
const LOSSY: readonly (readonly [name: string, limit: number, attack: Attack])[] = [
  ["half precision", -100, toHalf],
  ["bfloat16", -100, toBfloat16],
  ["8 bits a row", -100, (model) => quantise(model, 8, true)],
  ["8 bits a tensor", -100, (model) => quantise(model, 8, false)],
  ["4 bits a row", -10, (model) => quantise(model, 4, true)],
  ["noise of a tenth", -20, (model) => addNoise(model, 0.1, new Dice("noise"))],
  ["pruning of half", -100, (model) => pruneGlobally(model, 0.5)],
  ["pruning by chance", -100, (model) => pruneByChance(model, 0.3, new Dice("chance"))],
  ["clipping", -100, (model) => clipWeights(model, 2)],
  ["overwriting five times as strong", -100, (model) => overwrite(model, 0.05, new Dice("overwrite"))],
  ["three quarters of the rank", -10, (model) => reduceRank(model, 0.75)],
]

describe.each(["cnn", "resnet", "vit", "mlp"])("tracing a copy of fashion-%s", (name) => {
  let owner: TestOwner
  let logits: Float32Array
  beforeAll(async () => {
    owner = await TestOwner.of(`fashion-${name}.onnx`)
    logits = await fashionLogits(await owner.copyOf(GUILTY), 50)
  })

  it("names its device and nobody else, under other names", async () => {
    const traced = await owner.trace(
      await owner.attacked(GUILTY, (model) => rename(model, owner.interface, new Dice("names"))),
    )
    expect(accused(traced)).toEqual([GUILTY])
    expect(traced.copies[0]?.log10p).toBeLessThan(-1000)
    expect(traced.owner.log10p).toBeLessThan(-1000)
    expect(traced.cosine).toBeGreaterThan(0.999)
  })

  it.each(FAITHFUL.filter(([, models]) => models.includes(name)))(
    "is not misled by %s",
    async (_, __, attack) => {
      const suspect = await owner.attacked(GUILTY, attack)
      const changed = await fashionLogits(suspect, 50)
      changed.forEach((value, i) => expect(value).toBeCloseTo(logits[i] ?? Number.NaN, 2))
      const traced = await owner.trace(suspect)
      expect(accused(traced)).toEqual([GUILTY])
      expect(traced.copies[0]?.log10p).toBeLessThan(-1000)
    },
  )
})

describe("tracing a damaged copy", () => {
  let owner: TestOwner
  beforeAll(async () => {
    owner = await TestOwner.of("fashion-cnn.onnx")
  })

  it.each(LOSSY)("holds out against %s", async (_, limit, attack) => {
    const traced = await owner.trace(await owner.attacked(GUILTY, attack))
    expect(accused(traced)).toEqual([GUILTY])
    expect(traced.copies[0]?.log10p).toBeLessThan(limit)
    expect(traced.owner.log10p).toBeLessThan(limit)
  })

  it("still finds the owner's mark where 8 bits follow exchanged and scaled channels", async () => {
    const traced = await owner.trace(
      await owner.attacked(
        GUILTY,
        foldNormalisations,
        (model) => void permuteChannels(model, new Dice("both"), 1),
        (model) => quantise(model, 8, true),
      ),
    )
    expect(accused(traced)).toEqual([GUILTY])
    expect(traced.copies[0]?.log10p).toBeLessThan(-100)
  })

  it.each(STRATEGIES)("names colluders and no innocent after %s", async (strategy) => {
    for (const size of [3, 10]) {
      const guilty = Array.from({ length: size }, (_, i) => i * 5)
      const copies = await Promise.all(guilty.map(async (device) => takeApart(await owner.copyOf(device))))
      const merged = putTogether(collude(copies, strategy, new Dice(`${strategy} ${size}`)))
      const named = accused(await owner.trace(merged))
      expect(named.length).toBeGreaterThan(0)
      expect(named.filter((device) => !guilty.includes(device))).toEqual([])
    }
  })
})

describe("tracing what is no copy", () => {
  it("names nobody for the original, for copies of other owners and for other architectures", async () => {
    const owner = await TestOwner.of("fashion-cnn.onnx")
    const other = await TestOwner.of("fashion-cnn.onnx", { key: 8 })
    for (const suspect of [
      owner.bytes,
      await other.copyOf(3),
      corpusFile("mnist-ms.onnx"),
      corpusFile("cancer-forest.onnx"),
    ]) {
      const traced = await owner.trace(suspect)
      expect(accused(traced)).toEqual([])
      expect(traced.owner.log10p).toBeGreaterThan(-3)
    }
  })

  it("sees that another architecture, and another network of the same one, is not derived", async () => {
    const owner = await TestOwner.of("fashion-cnn.onnx")
    const stranger = takeApart(owner.bytes)
    const dice = new Dice("stranger")
    for (const tensor of stranger.tensors) {
      const old = tensor.values?.slice()
      if (tensor.dims.length < 2 || old === undefined) continue
      dice.permutation(old.length).forEach((from, to) => tensor.values?.fill(old[from] ?? 0, to, to + 1))
    }
    for (const suspect of [
      putTogether(stranger),
      corpusFile("fashion-mlp.onnx"),
      corpusFile("fashion-vit.onnx"),
    ]) {
      const traced = await owner.trace(suspect)
      expect(traced.cosine).toBeLessThan(0.3)
      expect(accused(traced)).toEqual([])
    }
  })

  it("refuses an original that is not the one of the plan", async () => {
    const owner = await TestOwner.of("fashion-cnn.onnx")
    const other = await TestOwner.of("fashion-mlp.onnx")
    Object.assign(owner, { original: other.original })
    await expect(owner.trace(other.bytes)).toFailWithCode("MARK_ORIGINAL_DIFFERS")
  })
})

describe("tracing other kinds of copies", () => {
  it("names the device of a quantised model, also after colluding", async () => {
    const owner = await TestOwner.of("fashion-cnn-int8-qdq.onnx")
    const traced = await owner.trace(await owner.copyOf(GUILTY))
    expect(accused(traced)).toEqual([GUILTY])
    expect(traced.copies[0]?.log10p).toBeLessThan(-1000)
    const copies = await Promise.all([3, 4, 5].map(async (device) => takeApart(await owner.copyOf(device))))
    const named = accused(await owner.trace(putTogether(collude(copies, "mosaic", new Dice("steps")))))
    expect(named.length).toBeGreaterThan(0)
    expect(named.every((device) => [3, 4, 5].includes(device))).toBe(true)
  })

  it("names the device of a fleet's copy, whose code stands in a tenth of the weights", async () => {
    const owner = await TestOwner.of("fashion-resnet.onnx", { mode: "fleet" })
    for (const attack of [
      (model) => quantise(model, 8, false),
      (model) => addNoise(model, 0.1, new Dice("fleet")),
    ] satisfies readonly Attack[]) {
      const traced = await owner.trace(await owner.attacked(GUILTY, attack))
      expect(accused(traced)).toEqual([GUILTY])
      expect(traced.copies[0]?.log10p).toBeLessThan(-100)
    }
  })
})
