/** The attacks of the table, each with what must be reached. `damage` is made of the copy's number, so that runs repeat. */
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
import { addNeurons, permuteChannels } from "../../support/attacks/neurons.ts"
import type { EditorModel } from "../../support/attacks/onnx-editor.ts"
import type { Dice } from "../../support/attacks/random.ts"
import { addNoise, clipWeights, overwrite, pruneGlobally } from "../../support/attacks/weights.ts"

export interface Row {
  readonly name: string
  /** lg p that every copy should reach. */
  readonly aim: number | null
  /** Whether the table demands that every copy is named; other rows are for information. */
  readonly isDemanded: boolean
  /** Which models the attack means something for: all, those of floats, or those with convolutions. */
  readonly on: "all" | "floats" | "convolutions"
  readonly attack: (model: EditorModel, context: AttackContext) => void
}

export interface AttackContext {
  readonly dice: Dice
  readonly keep: ReadonlySet<string>
  /** Mean strength of the mark, σ. */
  readonly strength: number
}

const first = { aim: -100, isDemanded: true } as const
const second = { aim: -20, isDemanded: true } as const
const extra = { aim: null, isDemanded: false } as const

export const ROWS: readonly Row[] = [
  { ...first, name: "unattacked", on: "all", attack: () => {} },
  { ...first, name: "fp16", on: "floats", attack: toHalf },
  { ...first, name: "bf16", on: "floats", attack: toBfloat16 },
  { ...first, name: "int8 per channel", on: "floats", attack: (model) => quantise(model, 8, true) },
  { ...first, name: "int8 per tensor", on: "floats", attack: (model) => quantise(model, 8, false) },
  {
    ...first,
    name: "rename + reorder",
    on: "all",
    attack: (model, { dice, keep }) => {
      rename(model, keep, dice)
      reorder(model, dice)
    },
  },
  {
    ...first,
    name: "transpose + kernels last",
    on: "floats",
    attack: (model) => {
      transposeMatrices(model)
      storeKernelsLast(model)
    },
  },
  { ...first, name: "BN fold", on: "convolutions", attack: foldNormalisations },
  { ...second, name: "int4 per channel", on: "floats", attack: (model) => quantise(model, 4, true) },
  { ...second, name: "noise 0.1 σ", on: "floats", attack: (model, { dice }) => addNoise(model, 0.1, dice) },
  { ...second, name: "global pruning 50 %", on: "floats", attack: (model) => pruneGlobally(model, 0.5) },
  {
    ...second,
    name: "permutation + scaling + int8",
    on: "floats",
    attack: (model, { dice }) => {
      foldNormalisations(model)
      permuteChannels(model, dice, 1)
      quantise(model, 8, true)
    },
  },
  {
    ...second,
    name: "overwrite 5x",
    on: "floats",
    attack: (model, { dice, strength }) => overwrite(model, 5 * strength, dice),
  },
  {
    ...extra,
    name: "20 % useless and split neurons + permutation",
    on: "floats",
    attack: (model, { dice }) => {
      foldNormalisations(model)
      addNeurons(model, 0.2, dice)
      permuteChannels(model, dice)
    },
  },
  { ...extra, name: "clipping at 2 σ", on: "floats", attack: (model) => clipWeights(model, 2) },
]
