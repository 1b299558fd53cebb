/** Options that say where a new key is to live. */
import type { Command } from "commander"
import { AppError } from "../contract/errors.ts"
import type { KeyPlace } from "../contract/schema/keys.ts"

export interface PlaceOptions {
  readonly provider: string
  readonly passphrase?: boolean
  readonly tcti?: string
  readonly handle?: string
  readonly persistent?: boolean
  readonly auth?: boolean
  readonly pcrs?: string
  readonly uri?: string
  readonly adopt?: boolean
}

export function addPlaceOptions(command: Command): Command {
  return command
    .option("--provider <provider>", "where it lives: software, keyring, tpm2 or pkcs11", "software")
    .option("--passphrase", "software: ask for a passphrase, now and at every use")
    .option("--tcti <tcti>", "tpm2: how to reach the TPM, as device:/dev/tpmrm0 (default: SEALWRIGHT_TCTI)")
    .option("--handle <handle>", "tpm2: take over the key at this persistent handle, as 0x81000010")
    .option("--persistent", "tpm2: keep the key inside the TPM")
    .option("--auth", "tpm2: ask for an authorisation value, now and at every use")
    .option("--pcrs <list>", "tpm2: bind the key to the present values of these PCRs, as 0,2,7")
    .option("--uri <uri>", "pkcs11: module and token, as pkcs11:token=desk?module-path=/usr/lib/…so")
    .option("--adopt", "pkcs11: take over the key the URI names")
}

export function choosePlace(options: PlaceOptions): KeyPlace {
  switch (options.provider) {
    case "software":
      return { provider: "software", passphrase: options.passphrase === true }
    case "keyring":
      return { provider: "keyring" }
    case "tpm2":
      return {
        provider: "tpm2",
        tcti: options.tcti ?? null,
        adopt: options.handle === undefined ? null : parseHandle(options.handle),
        persistent: options.persistent === true,
        auth: options.auth === true,
        pcrs: parsePcrs(options.pcrs),
      }
    case "pkcs11":
      if (options.uri === undefined) throw new AppError("USAGE", "provider pkcs11 needs --uri pkcs11:…")
      return { provider: "pkcs11", uri: options.uri, adopt: options.adopt === true }
    default:
      throw new AppError(
        "USAGE",
        `the provider is software, keyring, tpm2 or pkcs11, not ${options.provider.slice(0, 40)}`,
      )
  }
}

function parseHandle(text: string): number {
  if (!/^0x81[0-7][0-9a-f]{5}$/i.test(text))
    throw new AppError("USAGE", "--handle takes a persistent handle from 0x81000000 to 0x817fffff")
  return Number(text)
}

function parsePcrs(text: string | undefined): number[] {
  if (text === undefined) return []
  const pcrs = text.split(",").map(Number)
  if (pcrs.some((pcr) => !Number.isInteger(pcr) || pcr < 0 || pcr > 23))
    throw new AppError("USAGE", "--pcrs takes numbers from 0 to 23, separated by commas")
  return [...new Set(pcrs)].sort((a, b) => a - b)
}
