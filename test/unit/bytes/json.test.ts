import * as fc from "fast-check"
import { expect, test } from "vitest"
import { parseJson } from "../../../main/core/bytes/json.ts"
import { toUtf8 } from "../../../main/core/bytes/bytes.ts"

const parse = (text: string) => parseJson(toUtf8(text), "a document")

test("agrees with JSON.parse on everything JSON.stringify writes", () => {
  fc.assert(
    fc.property(fc.jsonValue({ depthSize: "medium", maxDepth: 8 }), (value) => {
      const text = JSON.stringify(value, null, 1)
      fc.pre(!/\d{16}/.test(text)) // integers beyond 2^53 are refused on purpose
      expect(JSON.stringify(parse(text))).toBe(JSON.stringify(JSON.parse(text)))
    }),
    { seed: 7, numRuns: 500 },
  )
})

test("accepts only what JSON.parse accepts", () => {
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.constantFrom(...Array.from('{}[]",:0123456789.-+eE truefalsn\\u\n')),
        maxLength: 24,
      }),
      (text) => {
        let ours: unknown
        try {
          ours = parse(text)
        } catch {
          return
        }
        expect(JSON.stringify(ours)).toBe(JSON.stringify(JSON.parse(text)))
      },
    ),
    { seed: 11, numRuns: 20_000 },
  )
})

test.each([
  ["a key that stands twice", '{"a":1,"a":2}'],
  ["a key that stands twice, once escaped", String.raw`{"a":1,"\u0061":2}`],
  ["a key that stands twice deep inside", '[{"b":{"a":1,"c":[],"a":2}}]'],
  ["an integer beyond 2^53", "[9007199254740993]"],
  ["a number beyond every double", "[1e999]"],
  ["a leading zero", "[01]"],
  ["a plus sign", "[+1]"],
  ["a bare fraction", "[.5]"],
  ["a trailing comma", "[1,]"],
  ["a comment", "[1]//"],
  ["a control character in a string", '["\u0001"]'],
  ["a lone surrogate", String.raw`["\ud800"]`],
  ["a bad escape", String.raw`["\x41"]`],
  ["a string that does not end", '["abc'],
  ["text after the end", "{} {}"],
  ["nothing", ""],
  ["nesting deeper than 64", "[".repeat(66) + "]".repeat(66)],
  ["NaN", "[NaN]"],
])("refuses %s", async (_name, text) => {
  await expect(() => parse(text)).toFailWithCode("JSON_MALFORMED")
})

test("refuses bytes that are not UTF-8 and a byte order mark", async () => {
  await expect(() => parseJson(Uint8Array.of(0x22, 0xe9, 0x22), "a document")).toFailWithCode(
    "JSON_MALFORMED",
  )
  await expect(() => parse("\ufeff{}")).toFailWithCode("JSON_MALFORMED")
})

test("keys named like parts of an object's prototype are plain data", () => {
  const value = parse('{"__proto__":1,"constructor":2,"toString":3}')
  expect(Object.keys(value as object)).toEqual(["__proto__", "constructor", "toString"])
})

test("allows nesting of 64 and integers up to 2^53 - 1", () => {
  expect(parse("[".repeat(64) + "9007199254740991" + "]".repeat(64))).toBeDefined()
})
