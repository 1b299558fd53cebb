import { AppError } from "../../contract/errors.ts"
import { MODEL } from "./schema.ts"
import { malformed, type WireReader } from "./wire.ts"

/**
 * True when the first bytes of a file (three are enough) look like a ModelProto: the IR version, then another of its
 * fields. A guess that never throws. Writers put fields in ascending order; `readModelIndex` also takes another order.
 */
export function match(head: Uint8Array): boolean {
  const [tag, version, next] = head
  if (tag !== IR_VERSION_TAG || version === undefined || !isIrVersion(version)) return false
  return next === undefined || NEXT_TAGS.has(next)
}

/**
 * Walks the top level alone, so that a file of another kind, or a cut one, is refused before anything is made of it.
 * Throws ONNX_EMPTY; ONNX_NOT_A_MODEL for bytes without an IR version and a graph, ONNX_TRUNCATED for a model that
 * continues behind the end of the file, ONNX_MALFORMED for one that is broken or imports no operator set.
 *
 * A ModelProto has no length of its own: one that is cut between two fields behind its graph and its first operator set
 * is a complete model with fewer functions, metadata or operator sets, and nobody can tell.
 */
export async function checkIsModel(reader: WireReader): Promise<void> {
  const scope = reader.open(MODEL)
  if (scope.end === 0) throw new AppError("ONNX_EMPTY", "the model file is empty")
  let [irVersion, graphs, operatorSets] = [0, 0, 0]
  try {
    while (reader.hasMore(scope)) {
      if (reader.isStarved(scope)) await reader.load(scope)
      const number = reader.next(scope)
      if (number === MODEL.field.irVersion) irVersion = reader.integer()
      if (number === MODEL.field.graph) graphs += 1
      if (number === MODEL.field.opsetImport) operatorSets += 1
    }
  } catch (error) {
    // A fault before the IR version says no more than that these bytes are something else.
    if (!isIrVersion(irVersion) && error instanceof AppError && FAULTS.has(error.code))
      throw new AppError("ONNX_NOT_A_MODEL", "the file does not start like an ONNX model", { cause: error })
    throw error
  }
  if (!isIrVersion(irVersion) || graphs === 0)
    throw new AppError("ONNX_NOT_A_MODEL", "the file holds no IR version and graph of an ONNX model")
  if (irVersion >= 3 && operatorSets === 0) throw malformed(scope.end, "it imports no operator set")
}

/** IR versions are counted from 1 and are at 13 now; a number far above is a field of another format. */
function isIrVersion(number: number): boolean {
  return number >= 1 && number <= 127
}

const IR_VERSION_TAG = 0x08
/** First tag bytes of the other fields of ModelProto. */
const NEXT_TAGS: ReadonlySet<number> = new Set([
  0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72, 0xa2, 0xca, 0xd2,
])

const FAULTS: ReadonlySet<string> = new Set(["ONNX_TRUNCATED", "ONNX_MALFORMED"])
