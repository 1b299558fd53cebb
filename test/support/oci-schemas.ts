/** The JSON Schemas of the OCI image specification. */
import { readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import ajvDraft04 from "ajv-draft-04"
import { ROOT } from "./workspace.ts"

export type OciSchema = "image-layout-schema.json" | "image-index-schema.json" | "image-manifest-schema.json"

const folder = path.join(ROOT, "test", "vectors", "oci-schemas", "schema")
const ajv = new ajvDraft04.default({ strict: false, validateFormats: false })
// The schemas refer to each other by file name; their own identifiers name other addresses and would lead astray.
const base = "https://opencontainers.org/schema/image/"
for (const name of readdirSync(folder)) {
  const schema = JSON.parse(readFileSync(path.join(folder, name), "utf8"), (key, value: unknown) =>
    key === "id" && typeof value === "string" ? undefined : value,
  ) as object
  ajv.addSchema(schema, `${base}${name}`)
}

/** What a schema finds wrong with a document; nothing for a good one. */
export function ociFaults(schema: OciSchema, bytes: Uint8Array): readonly string[] {
  const validate = ajv.getSchema(`${base}${schema}`)
  if (validate === undefined) throw new Error(`there is no schema ${schema}`)
  if (validate(JSON.parse(Buffer.from(bytes).toString("utf8"))) === true) return []
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message ?? ""}`)
}
