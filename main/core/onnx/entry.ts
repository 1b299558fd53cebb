import { ENTRY } from "./schema.ts"
import type { Scope, Span, WireReader } from "./wire.ts"

/** A StringStringEntryProto. */
export interface Entry {
  readonly key: string
  /** `null` when it is not UTF-8 or longer than 32 KiB. */
  readonly value: string | null
  /** Where the value stands in the model file. */
  readonly valueSpan: Span
}

/** Reads the current field as an entry. Throws ONNX_MALFORMED when the key is not short UTF-8. */
export async function readEntry(reader: WireReader, parent: Scope): Promise<Entry> {
  const scope = reader.enter(parent, ENTRY)
  let key = ""
  let value: string | null = ""
  let valueSpan: Span = { offset: scope.end, length: 0 }
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case ENTRY.field.key:
        key = await reader.text()
        break
      case ENTRY.field.value:
        valueSpan = reader.span
        value = await reader.textIfShort()
        break
    }
  }
  return { key, value, valueSpan }
}
