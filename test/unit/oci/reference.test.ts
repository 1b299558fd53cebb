import { expect, test } from "vitest"
import { parseReference } from "../../../main/core/oci/reference.ts"

const HEX = "0123456789abcdef".repeat(4)

test.each([
  ["registry.example/models/press:v1", "registry.example", "models/press", "v1", null],
  ["localhost:5000/press", "localhost:5000", "press", null, null],
  ["[::1]:5000/a/b:1.0-rc_2", "[::1]:5000", "a/b", "1.0-rc_2", null],
  [`10.0.0.7/a@sha256:${HEX}`, "10.0.0.7", "a", null, `sha256:${HEX}`],
  [`r.example/a:v1@sha256:${HEX}`, "r.example", "a", "v1", `sha256:${HEX}`],
  ["r.example/a__b.c--d/e:V", "r.example", "a__b.c--d/e", "V", null],
])("%s is read", (text, host, path, tag, digest) => {
  expect(parseReference(text)).toEqual({ host, path, tag, digest })
})

test.each([
  "",
  "press",
  "/press:v1",
  "registry.example/",
  "registry.example/Press:v1",
  "registry.example/a//b",
  "registry.example/../etc",
  "registry.example/a:",
  "registry.example/a:-x",
  `registry.example/a:${"x".repeat(129)}`,
  "registry.example/a@sha256:12",
  `registry.example/a@sha512:${HEX}`,
  "user:secret@registry.example/a:v1",
  "https://registry.example/a:v1",
  "registry.example:port/a",
  "registry.example/a:v1?x=1",
  "registry.example/a:v1\r\nHost: x",
  "regis try/a",
])("%j is refused", async (text) => {
  await expect(() => parseReference(text)).toFailWithCode("REGISTRY_REFERENCE_INVALID")
})
