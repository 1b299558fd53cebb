import { randomBytes } from "node:crypto"
import { describe, expect, it } from "vitest"
import { MessageKey, sealOnce } from "../../../main/platform/keys/pkcs11/sealed-message.ts"

describe("a secret on its way between our processes", () => {
  it.each([0, 1, 32, 1024])("arrives whole and is wiped where it came from: %i bytes", (size) => {
    const secret = new Uint8Array(randomBytes(size))
    const copy = Uint8Array.from(secret)
    const key = new MessageKey()
    const sealed = sealOnce(secret, key.publicKey)
    expect(secret).toEqual(new Uint8Array(size))
    if (size >= 32) expect(Buffer.from(sealed).includes(Buffer.from(copy))).toBe(false)
    expect(key.open(sealed)).toEqual(copy)
  })

  it("opens once, and not when it was changed, cut or meant for another key", async () => {
    const key = new MessageKey()
    const sealed = sealOnce(randomBytes(32), key.publicKey)
    const damaged = sealed.map((byte, at) => (at === 50 ? byte ^ 1 : byte))
    await expect(() => new MessageKey().open(sealed)).toFailWithCode("TOKEN_FAILED")
    await expect(() => key.open(damaged)).toFailWithCode("TOKEN_FAILED")
    await expect(() => key.open(sealed)).toFailWithCode("TOKEN_FAILED")
    await expect(() => new MessageKey().open(sealed.subarray(0, 20))).toFailWithCode("TOKEN_FAILED")
  })
})
