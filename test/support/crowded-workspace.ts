/** A workspace with very many devices and packages, written as its records are. */
import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import path from "node:path"

const RECIPIENT = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa"

export function crowdWorkspace(
  workspace: string,
  counts: { readonly devices: number; readonly packages: number },
): void {
  for (const folder of ["devices", "library", "packages"])
    mkdirSync(path.join(workspace, folder), { recursive: true })
  for (let index = 0; index < counts.devices; index += 1) {
    const name = `press-${String(index).padStart(5, "0")}`
    write(path.join(workspace, "devices", `${name}.json`), {
      name,
      recipient: RECIPIENT,
      recipientType: "X25519",
      assurance: "software",
      holdsKey: false,
      addedAt: "2026-01-01T00:00:00.000Z",
    })
  }
  for (let index = 0; index < counts.packages; index += 1) {
    const file = path.join(workspace, "packages", `model-${String(index).padStart(4, "0")}.seal`)
    writeFileSync(file, "")
    write(
      path.join(workspace, "library", `${createHash("sha256").update(file).digest("hex").slice(0, 32)}.json`),
      {
        origin: "made",
        model: `model-${index % 40}.onnx`,
        devices: [`press-${String(index).padStart(5, "0")}`],
        mode: "individual",
        signedBy: "release-1",
        digests: [],
        addedAt: new Date(1_767_225_600_000 + index * 60_000).toISOString(),
        path: file,
      },
    )
  }
}

function write(file: string, record: unknown): void {
  writeFileSync(file, JSON.stringify(record), { mode: 0o600 })
}
