/** The loops of embedding at full speed: the addon's where it is built, plain JavaScript elsewhere; the bits are the same. */
import { nativeMark } from "../../../native/lib/mark.ts"
import { portableKernel, type MarkKernel } from "../../core/watermark/kernel.ts"
import { T8 } from "../../core/watermark/tardos.ts"

/** Below this many weights a call into the addon costs more than it saves. */
const WORTHWHILE = 64

export function markKernel(): MarkKernel {
  const native = nativeMark()
  if (native === null) return portableKernel
  return {
    name: "native",
    codes(owner, signs, skip, bias, word, codes) {
      if (codes.length < WORTHWHILE) portableKernel.codes(owner, signs, skip, bias, word, codes)
      else native.markCodes(owner, signs, skip, bias, word, T8, codes)
    },
    addFloats(values, place, codes, amounts) {
      if (codes.length < WORTHWHILE) portableKernel.addFloats(values, place, codes, amounts)
      else native.markFloats(values, place.first, place.inner, place.rows, codes, amounts)
    },
    addHalves(values, place, codes, amounts) {
      if (codes.length < WORTHWHILE) portableKernel.addHalves(values, place, codes, amounts)
      else native.markHalves(values, place.first, place.inner, place.rows, codes, amounts)
    },
    addBrains(values, place, codes, amounts) {
      if (codes.length < WORTHWHILE) portableKernel.addBrains(values, place, codes, amounts)
      else native.markBrains(values, place.first, place.inner, place.rows, codes, amounts)
    },
    step(values, place, codes, picks, rules) {
      if (codes.length < WORTHWHILE) portableKernel.step(values, place, codes, picks, rules)
      else {
        const { limits, zeroPoints, isSigned } = rules
        const { first, inner, rows } = place
        native.markSteps(values, first, inner, rows, codes, picks, limits, zeroPoints, isSigned)
      }
    },
  }
}
