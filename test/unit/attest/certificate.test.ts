import { describe, expect, it } from "vitest"
import { PURPOSE, readCertificate } from "../../../main/core/attest/certificate.ts"
import { CA, issue, SIGNER } from "../../support/certificates.ts"

const read = (extensions: readonly string[]) => readCertificate(issue({ name: "a", extensions }).der)

describe("a certificate", () => {
  it("without extensions may sign, and is no authority", () => {
    expect(read([])).toMatchObject({ isAuthority: false, maySign: true, purposes: null, unknownCritical: [] })
  })

  it("of an authority says how deep it reaches", () => {
    expect(read(CA)).toMatchObject({
      isAuthority: true,
      maxIntermediates: null,
      mayIssue: true,
      maySign: false,
    })
    expect(read(["basicConstraints=CA:TRUE,pathlen:3"])).toMatchObject({
      isAuthority: true,
      maxIntermediates: 3,
    })
    expect(read(["basicConstraints=critical,CA:FALSE"])).toMatchObject({ isAuthority: false })
  })

  it("of a signer says what for", () => {
    expect(read(SIGNER)).toMatchObject({ mayIssue: false, maySign: true, purposes: [PURPOSE.codeSigning] })
    expect(read(["extendedKeyUsage=anyExtendedKeyUsage"])).toMatchObject({ purposes: [PURPOSE.any] })
  })

  it("names critical extensions that are not understood, and no others", () => {
    expect(read(["1.2.3.4=critical,ASN1:NULL"])).toMatchObject({ unknownCritical: ["2a0304"] })
    expect(read(["1.2.3.4=ASN1:NULL"])).toMatchObject({ unknownCritical: [] })
    expect(read(["subjectAltName=critical,email:a@example.com"])).toMatchObject({ unknownCritical: [] })
  })

  it.each([
    ["basicConstraints holds more than it should", "2.5.29.19=DER:30090101ff020101020101"],
    ["its path length is negative", "2.5.29.19=DER:30060101ff0201ff"],
    ["its path length is not preceded by a boolean", "2.5.29.19=DER:3003020101"],
    ["its boolean is neither 00 nor ff", "2.5.29.19=DER:3003010101"],
    ["keyUsage is no bit string", "2.5.29.15=DER:04020780"],
    ["extKeyUsage is empty", "2.5.29.37=DER:3000"],
    ["extKeyUsage holds something else", "2.5.29.37=DER:3003020101"],
    ["an extension is no DER", "1.2.3.4=DER:0205"],
  ])("is not read when %s", (_, extension) => {
    expect(read([extension])).toBeNull()
  })

  it("is not read from PEM, from a part, or from more than itself", () => {
    const { der, pem } = issue({ name: "a", extensions: SIGNER })
    expect(readCertificate(der)).not.toBeNull()
    expect(readCertificate(Buffer.from(pem))).toBeNull()
    expect(readCertificate(der.subarray(0, -1))).toBeNull()
    expect(readCertificate(Buffer.concat([der, der]))).toBeNull()
    expect(readCertificate(new Uint8Array())).toBeNull()
  })

  it("is not read when an extension stands twice", () => {
    const { der } = issue({ name: "a", extensions: ["1.2.3.4=ASN1:NULL", "1.2.3.5=ASN1:NULL"] })
    const at = Buffer.from(der).indexOf(Buffer.from("06032a0305", "hex"))
    const doubled = Buffer.from(der)
    doubled[at + 4] = 4
    expect(readCertificate(doubled)).toBeNull()
  })
})
