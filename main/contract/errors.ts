/**
 * Every way Sealwright can refuse, in one closed table: code → exit status and the advice a person gets.
 * The code is for programs and never changes its meaning; the message states the fact; the hint says what to do.
 */

/** Process exit statuses by kind of failure. 0 is full success only; 130 is the shell's convention for Ctrl-C. */
const EXIT = {
  internal: 1,
  usage: 2,
  refused: 3,
  input: 4,
  missing: 5,
  key: 6,
  io: 7,
  exists: 8,
  unavailable: 9,
  cancelled: 130,
} as const

const TABLE = {
  INTERNAL: [EXIT.internal, "This is a fault in Sealwright: report it with the command you ran."],
  USAGE: [EXIT.usage, "Run the command with --help to see its arguments and an example."],
  CANCELLED: [EXIT.cancelled, "Nothing was written. Run the command again to start over."],
  ENGINE_GONE: [EXIT.unavailable, "The engine process ended. Start it again; finished files are intact."],

  FILE_NOT_FOUND: [EXIT.missing, "Check the path. Relative paths start at the current folder."],
  FILE_UNREADABLE: [EXIT.io, "Check the permissions of the file and of its folder."],
  FILE_CHANGED: [EXIT.io, "The file changed while it was read. Stop what writes to it and try again."],
  FILE_NOT_REGULAR: [EXIT.input, "Give a regular file, not a folder, device or pipe."],
  PATH_NOT_UTF8: [EXIT.input, "Rename the file to a name that is valid UTF-8."],
  FILE_NAME_UNSAFE: [
    EXIT.input,
    "Rename the file: every file of a model needs its own relative name, without backslash, . or .. parts.",
  ],
  OUTPUT_EXISTS: [EXIT.exists, "Choose another name, or pass --force to replace the file."],
  OUTPUT_UNWRITABLE: [EXIT.io, "Choose a folder you may write to."],
  NO_SPACE: [EXIT.io, "Free some space or write to another volume. Nothing was left behind."],

  ONNX_EMPTY: [EXIT.input, "The file holds no bytes: export the model again."],
  ONNX_NOT_A_MODEL: [EXIT.input, "Give an ONNX model file (usually ending in .onnx)."],
  ONNX_TRUNCATED: [EXIT.input, "The file ends too early: copy or export it again and compare its size."],
  ONNX_MALFORMED: [
    EXIT.input,
    "The file is damaged or uses an encoding ONNX forbids: export the model again.",
  ],
  ONNX_EXTERNAL_MISSING: [
    EXIT.input,
    "Put the external data file beside the model, under the name the model gives.",
  ],
  ONNX_EXTERNAL_OUTSIDE: [
    EXIT.input,
    "External data must be regular files inside the model's folder. Save the model again with relative names.",
  ],
  ONNX_EXTERNAL_SHORT: [EXIT.input, "The external data file is shorter than the model needs: copy it again."],
  MODEL_UNSUPPORTED: [
    EXIT.input,
    "The inference engine cannot run this model. It can still be protected and opened; only run and validate need the engine.",
  ],
  NPY_MALFORMED: [EXIT.input, "Save the array with numpy.save (format 1.0 to 3.0, C order)."],
  NPY_UNSUPPORTED: [EXIT.input, "Convert the array to a plain numeric type and C order, then save it again."],
  INPUT_MISMATCH: [
    EXIT.input,
    "Run `sealwright inspect` on the model to see the names, types and shapes of its inputs.",
  ],

  AGE_MALFORMED: [EXIT.input, "The file is not a valid age file: copy it again from its source."],
  AGE_TRUNCATED: [EXIT.input, "The file ends too early: copy it again and compare its size."],
  AGE_HEADER_FORGED: [
    EXIT.input,
    "The header was altered: do not use this file; fetch it again from its source.",
  ],
  AGE_PAYLOAD_FORGED: [
    EXIT.input,
    "The content was altered: do not use this file; fetch it again from its source.",
  ],
  AGE_WORK_FACTOR: [
    EXIT.input,
    "The passphrase work factor is above the limit; such a file can only waste time.",
  ],
  RECIPIENT_INVALID: [
    EXIT.input,
    "A recipient looks like age1…, age1pq1…, age1tag1… or age1tagpq1…; copy it whole.",
  ],
  RECIPIENTS_MIXED: [
    EXIT.input,
    "Use post-quantum recipients for all (age1pq1…, age1tagpq1…) or for none: the weakest one decides.",
  ],
  IDENTITY_INVALID: [
    EXIT.key,
    "The identity file is damaged or of an unknown type: restore it from its backup.",
  ],
  WRONG_KEY: [
    EXIT.key,
    "This was not encrypted to that key. Check the device name, or ask for a package made for it.",
  ],

  // Overlays of fleet mode (FORMAT 6).
  OVERLAY_MALFORMED: [
    EXIT.input,
    "The grant is damaged or was made by a program this version does not understand: ask for a new one.",
  ],
  OVERLAY_MISMATCH: [EXIT.refused, "The grant belongs to another package or device: ask for the right one."],

  JSON_MALFORMED: [EXIT.input, "The document is not strict JSON: fetch it again from its source."],
  SEAL_MALFORMED: [EXIT.input, "This is not a .seal file, or it is damaged: fetch it again from its source."],
  SEAL_TRUNCATED: [EXIT.input, "The .seal file ends too early: copy it again and compare its size."],
  SEAL_UNSAFE_NAME: [EXIT.input, "The .seal file holds names that point outside of it: do not use it."],
  SEAL_DIGEST_MISMATCH: [
    EXIT.input,
    "A part does not have the content its name promises: fetch the file again.",
  ],
  SEAL_INCOMPLETE: [EXIT.input, "A part the package refers to is missing: fetch the file again."],
  SIGNATURE_MISSING: [EXIT.refused, "Ask the sender for a signed package."],
  SIGNATURE_MALFORMED: [EXIT.refused, "The signature cannot be read: ask the sender to sign again."],
  SIGNATURE_UNSUPPORTED: [
    EXIT.unavailable,
    "This version cannot check that kind of signature: ask for one made with a P-256 key and SHA-256 digests.",
  ],
  SIGNATURE_INVALID: [EXIT.refused, "The signature does not belong to this content: do not use it."],
  SIGNER_UNTRUSTED: [
    EXIT.refused,
    "If you know this signer, pass its public key with --trust; otherwise do not use it.",
  ],
  SIGNATURE_MISMATCH: [EXIT.refused, "The signed file list differs from the files: do not use them."],
  PACKAGE_NOT_FOR_DEVICE: [EXIT.refused, "Ask for a package made for this device, or check the device name."],
  POLICY_EXPIRED: [
    EXIT.refused,
    "The grant is outside its validity window: ask for a new one, or check the clock.",
  ],
  VERDICT_REFUSED: [EXIT.refused, "Run `sealwright verify` on the file to see every check."],
  GATE_MALFORMED: [EXIT.input, "docs/FORMAT.md lists what a gate may hold; every field may be left out."],
  GATE_FAILED: [EXIT.refused, "Open the report to see which figure is outside its limit."],

  KEY_NOT_FOUND: [EXIT.missing, "Run `sealwright keys list` to see the keys of this workspace."],
  KEY_EXISTS: [EXIT.exists, "Choose another name, or remove the old key first."],
  KEY_UNREADABLE: [EXIT.key, "The key file is damaged or locked: restore it from its backup."],
  KEY_PURPOSE: [EXIT.key, "Signing keys sign and device keys decrypt: choose a key made for this purpose."],
  DEVICE_NOT_FOUND: [EXIT.missing, "Run `sealwright device list` to see the devices, or add it first."],
  DEVICE_EXISTS: [EXIT.exists, "Choose another name, or remove the old device first."],
  DEVICE_KEY_ABSENT: [EXIT.key, "Only the device's public key is known here: do this on the device itself."],
  NAME_INVALID: [
    EXIT.usage,
    "Use 1 to 64 letters, digits, dots, dashes or underscores, starting with a letter or digit.",
  ],
  WORKSPACE_UNUSABLE: [EXIT.io, "Choose another folder with --workspace, or repair its permissions."],

  // Tracing a suspect to the copy it came from.
  MARK_ORIGINAL_DIFFERS: [
    EXIT.input,
    "Give the very model that was protected: the ledger holds the digests of its weights.",
  ],
  MARK_ORIGINAL_MISSING: [
    EXIT.missing,
    "Pass the model as it was before it was protected with --original: the mark is read by comparing with it.",
  ],
  MARK_UNKNOWN: [
    EXIT.missing,
    "This ledger never marked that model: use the ledger it was protected with, or check --original.",
  ],
  SUSPECT_ANSWERS: [
    EXIT.input,
    'The command must read one JSON line a batch and answer it with one JSON line: {"labels": [class, …]}.',
  ],

  // Enrolment and certificates
  ATTESTATION_MALFORMED: [
    EXIT.input,
    "The device's answer cannot be read: run `sealwright device init` on the device again.",
  ],
  ATTESTATION_REFUSED: [
    EXIT.refused,
    "The evidence does not prove what it should: enrol the device again from its own computer, or enrol it at a lower level.",
  ],
  CERTIFICATE_MALFORMED: [EXIT.input, "Give a certificate, request or revocation list in PEM or DER form."],
  CERTIFICATE_FOREIGN: [
    EXIT.refused,
    "Give the certificate that was issued for this key's own request: `sealwright keys certificate request`.",
  ],
  CREDENTIAL_PASSPHRASE: [EXIT.key, "Check the passphrase of the file; nothing was imported."],

  // Inference firewall
  POLICY_MALFORMED: [EXIT.input, "docs/FORMAT.md lists what a policy may hold; every field may be left out."],
  RUNTIME_NOT_FOUND: [EXIT.missing, "Run `sealwright runtime status` to see the runtimes of this workspace."],
  RUNTIME_BUSY: [EXIT.unavailable, "Stop the other runtime with `sealwright runtime stop`, or use it."],
  PEER_REFUSED: [EXIT.refused, "Connect as the user who started the runtime."],
  CLIENT_UNKNOWN: [EXIT.refused, "Use the token that `sealwright runtime start` gave for this client."],
  RATE_LIMITED: [
    EXIT.unavailable,
    "Wait as long as the message says, or ask for a grant with a higher rate.",
  ],
  BUDGET_SPENT: [EXIT.refused, "The number of rows the grant allows is used up: ask for a new grant."],
  INPUT_REFUSED: [
    EXIT.refused,
    "The grant's policy does not allow such values: check the data and its scale.",
  ],
  EXTRACTION_SUSPECTED: [
    EXIT.refused,
    "The client's questions look like an attempt to copy the model. Its operator can clear it with `sealwright runtime clear`.",
  ],

  // Trust metadata (TUF), releases and deployments.
  METADATA_MALFORMED: [EXIT.input, "The trust metadata is damaged: fetch it again from its source."],
  METADATA_MISSING: [EXIT.missing, "A piece of the trust metadata is missing: ask for a complete export."],
  METADATA_TOO_LARGE: [
    EXIT.refused,
    "The source sends more than trust metadata can be (endless data): do not use it.",
  ],
  METADATA_UNSIGNED: [
    EXIT.refused,
    "Too few valid signatures for the role: do not use it, and tell whoever keeps the trust root.",
  ],
  METADATA_EXPIRED: [
    EXIT.refused,
    "The metadata has expired (or newer one is withheld): fetch a fresh export, or check the clock.",
  ],
  METADATA_ROLLBACK: [EXIT.refused, "This is older than what was seen before (rollback): do not use it."],
  METADATA_MISMATCH: [
    EXIT.refused,
    "The pieces do not belong together (mix-and-match): fetch all of them again from one source.",
  ],
  DEPLOYMENT_MISMATCH: [
    EXIT.refused,
    "The director and the release managers do not say the same: do not install, and tell both.",
  ],
  DEPLOYMENT_NOT_FOR_DEVICE: [EXIT.refused, "This was made for another device or another kind of hardware."],
  DEPLOYMENT_NONE: [
    EXIT.refused,
    "The director has nothing for this device: ask for a release to be published to it.",
  ],
  DEPLOYMENT_REPLAYED: [
    EXIT.refused,
    "The counter of this device is past this manifest: it is a replay. Fetch a fresh export.",
  ],
  LOG_MALFORMED: [EXIT.input, "This is no checkpoint, proof or entry of a log: copy the file again."],
  LOG_UNSIGNED: [EXIT.refused, "No key that is known signed the log's checkpoint: do not believe the log."],
  LOG_INCONSISTENT: [
    EXIT.refused,
    "Entries of the log were changed or are missing: restore it from a copy, and find out who did it.",
  ],
  WORKSPACE_BUSY: [EXIT.unavailable, "Wait for the other process to end, or stop it, and do this again."],
  FLOOR_TOO_FAR: [
    EXIT.refused,
    "The counter jumps further than releases ever do: do not commit it, and tell whoever keeps the director's key.",
  ],
  PACKAGE_REVOKED: [EXIT.refused, "The release managers withdrew this package: ask for its successor."],
  HEALTH_FAILED: [
    EXIT.refused,
    "The new package did not pass its health check; the last good one stays in use. Run `sealwright device status`.",
  ],
  SLOT_EMPTY: [EXIT.missing, "Run `sealwright device sync` and `sealwright device install` first."],
  DEVICE_NOT_PROVISIONED: [
    EXIT.missing,
    "Pin the trust root first: `sealwright device provision NAME --from FILE`.",
  ],
  DEVICE_PROVISIONED: [EXIT.exists, "The device has a trust root; newer roots reach it by `device sync`."],
  TRUST_ABSENT: [EXIT.missing, "Make a trust root first: `sealwright trust init --help`."],
  TRUST_EXISTS: [EXIT.exists, "This workspace has a trust root. Change it with `sealwright trust rotate`."],
  TRUST_INCOMPLETE: [
    EXIT.refused,
    "Signatures are missing: `sealwright trust request` writes a file for the other signers.",
  ],
  DRAFT_ABSENT: [EXIT.missing, "Run `sealwright trust show` to see what is in force and what waits."],
  TRUST_CHANGED: [
    EXIT.refused,
    "The signatures are for another draft: write a new request and have that signed.",
  ],
  TRUST_INVALID: [
    EXIT.usage,
    "Every role needs as many keys as its threshold: `sealwright trust rotate --ROLE KEY` replaces its keys, --threshold sets how many sign.",
  ],
  ROLE_ASSURANCE: [
    EXIT.refused,
    "The role demands better protected keys: use a key in a TPM or token, or change the role's level.",
  ],
  ROLE_MISSING: [EXIT.refused, "The key has no such role in the trust root: run `sealwright trust show`."],
  REQUEST_MALFORMED: [EXIT.input, "This is not a signing request or its answer: copy the file again."],
  RELEASE_NOT_FOUND: [EXIT.missing, "Run `sealwright release list` to see the releases."],
  RELEASE_EXISTS: [EXIT.exists, "Choose another name: a release never changes."],
  RELEASE_CHANGED: [EXIT.refused, "Look at it again with `sealwright release show` before you approve it."],
  RELEASE_GATE: [EXIT.refused, "Run `sealwright release show` to see which gates are still closed."],
  RING_NOT_FOUND: [
    EXIT.missing,
    "Run `sealwright fleet rings`, or make it with `sealwright fleet ring NAME DEVICE`.",
  ],

  // Keys in files, TPMs and tokens.
  PROMPT_UNAVAILABLE: [
    EXIT.key,
    "Run the command in a terminal, or hand the answer over with --passphrase-fd N or --pin-fd N.",
  ],
  PROMPT_MISMATCH: [EXIT.usage, "Type the same passphrase twice."],
  PASSPHRASE_WRONG: [
    EXIT.key,
    "Check the keyboard layout and try again. A lost passphrase cannot be recovered.",
  ],
  KEY_PROVIDER_UNAVAILABLE: [EXIT.unavailable, "Run `sealwright keys doctor` to see what is missing."],
  KEYRING_ABSENT: [
    EXIT.unavailable,
    "Start one (Debian: gnome-keyring in a session with D-Bus), or choose another --provider.",
  ],
  KEYRING_LOCKED: [
    EXIT.key,
    "Unlock the secret store, which a login at a desktop does, and create its default collection if it has none.",
  ],
  TPM_UNAVAILABLE: [
    EXIT.unavailable,
    "Install tpm2-tss (Debian: libtss2-dev), then run `npm run build:native`.",
  ],
  TPM_ABSENT: [
    EXIT.unavailable,
    "Check --tcti, that /dev/tpmrm0 exists, and that you may open it (group tss).",
  ],
  TPM_BUSY: [EXIT.unavailable, "Close other programs that use the TPM, or reach it through /dev/tpmrm0."],
  TPM_LOCKED: [EXIT.key, "Wait for the lockout to end, or reset it with the lockout authorisation."],
  TPM_AUTH_WRONG: [
    EXIT.key,
    "Check the value and type it again: every wrong one counts towards the TPM's lockout.",
  ],
  TPM_POLICY_REFUSED: [
    EXIT.key,
    "The machine started differently from when the key was made: start it as before, or make a new key.",
  ],
  TPM_KEY_FOREIGN: [
    EXIT.key,
    "Use the TPM that made the key. If it was cleared, make a new key and enrol again.",
  ],
  FLOOR_LOST: [
    EXIT.refused,
    "Somebody removed the counters or made them anew. Make new keys with `sealwright device init` and enrol again.",
  ],
  TPM_UNSUITABLE: [EXIT.key, "Choose another key, handle or index."],
  TPM_HANDLE_EMPTY: [EXIT.missing, "List what the TPM holds: tpm2_getcap handles-persistent."],
  TPM_FULL: [EXIT.unavailable, "Remove a persistent object, or leave out --persistent."],
  TPM_EXISTS: [EXIT.exists, "Choose another handle or index, or remove what is there."],
  TPM_FAILED: [EXIT.unavailable, "Try again; if it stays, run `sealwright keys doctor`."],
  TOKEN_URI_INVALID: [
    EXIT.usage,
    "Write it as pkcs11:token=NAME;object=KEY?module-path=/usr/lib/…so (RFC 7512).",
  ],
  TOKEN_ABSENT: [EXIT.unavailable, "Insert the token, or check its name and the module's path."],
  TOKEN_REMOVED: [
    EXIT.unavailable,
    "Insert the token again and repeat the command: what was finished stays.",
  ],
  TOKEN_GONE: [EXIT.unavailable, "The module crashed: try again, or install a newer one."],
  TOKEN_BUSY: [
    EXIT.unavailable,
    "Touch the token if it waits for that, or close other programs that use it.",
  ],
  TOKEN_PIN_WRONG: [EXIT.key, "Check the PIN before you try again: tokens lock after a few wrong ones."],
  TOKEN_PIN_LOCKED: [EXIT.key, "Unlock the PIN with the token's own tool and its PUK or SO PIN."],
  TOKEN_READ_ONLY: [EXIT.key, "Make the key with the token's own tool, then take it over with --adopt."],
  TOKEN_UNSUITABLE: [
    EXIT.key,
    "Choose another token or key: P-256 with ECDH to decrypt, ECDSA or RSA-PSS to sign.",
  ],
  TOKEN_KEY_MISSING: [EXIT.missing, "List the token's keys: pkcs11-tool --list-objects."],
  TOKEN_FAILED: [EXIT.unavailable, "Try again; if it stays, run `sealwright keys doctor`."],
  ASSURANCE_TOO_LOW: [
    EXIT.refused,
    "Enrol the device with a key in hardware, or ask whoever wrote the policy for a lower level.",
  ],

  RUNTIME_FAILED: [
    EXIT.internal,
    "The sealed runtime ended unexpectedly: check free memory, then run `sealwright doctor`.",
  ],
  // Levels of the sealed runtime.
  RUNTIME_LEVEL: [
    EXIT.refused,
    "Run `sealwright doctor` to see which level this machine reaches and what would raise it.",
  ],
  NATIVE_MISSING: [
    EXIT.unavailable,
    "Build it with `npm run build:native` (needs python3 and a C++ compiler).",
  ],

  // Hosts and windows
  PORT_TAKEN: [EXIT.unavailable, "Choose another port with --port, or leave it out to get one that is free."],
  UI_NOT_BUILT: [EXIT.unavailable, "Build the user interface with `npm run build:ui`."],
  WINDOW_NOT_ADMITTED: [
    EXIT.refused,
    "Open the newest link that `sealwright serve` printed: each one opens one window.",
  ],
  // Registries and the folders that stand in for them.
  REGISTRY_REFERENCE_INVALID: [
    EXIT.usage,
    "Write HOST[:PORT]/NAME:TAG in lower case, or oci:FOLDER:TAG for a folder.",
  ],
  REGISTRY_UNREACHABLE: [
    EXIT.unavailable,
    "Check the name, the network and the proxy settings; `sealwright sync` keeps the push until it succeeds.",
  ],
  REGISTRY_TLS: [
    EXIT.unavailable,
    "The registry's certificate is not trusted: give its authority's (--ca, or with the connection), or --plain-http for a registry without TLS.",
  ],
  REGISTRY_UNAUTHORIZED: [EXIT.key, "Log in with `sealwright registry login`, or check the stored password."],
  REGISTRY_DENIED: [EXIT.key, "This account may not do that: ask the registry's owner for access."],
  REGISTRY_NOT_FOUND: [EXIT.missing, "Check name and tag with `sealwright registry list`."],
  REGISTRY_BUSY: [EXIT.unavailable, "The registry is overloaded or somebody else holds it: try again later."],
  REGISTRY_REFUSED: [
    EXIT.unavailable,
    "The registry did not accept the request: its owner finds it in its log.",
  ],
  REGISTRY_UNSUPPORTED: [EXIT.unavailable, "This registry does not offer that."],
  REGISTRY_MISBEHAVED: [
    EXIT.unavailable,
    "The answer breaks the registry protocol: check that the address is a registry's and no proxy is in between.",
  ],
  REGISTRY_TRUNCATED: [EXIT.unavailable, "The transfer ended too early again and again: check the network."],
  REGISTRY_TOO_LARGE: [EXIT.input, "The registry sent more than such a document can be: do not use it."],
  REGISTRY_DIGEST_MISMATCH: [
    EXIT.refused,
    "The registry sent something else than was asked for: do not trust it; nothing was kept.",
  ],
  REGISTRY_REDIRECT: [EXIT.refused, "The registry sends requests where they must not go: ask its owner."],
  CREDENTIALS_UNREADABLE: [
    EXIT.key,
    "Repair or remove the credential file, or log in again with `sealwright registry login`.",
  ],

  // The mark and the ledger.
  MARK_NOTHING: [
    EXIT.input,
    "Run `sealwright inspect` on the model to see why; pass --no-mark to protect it without a mark.",
  ],
  MARK_TOO_WEAK: [
    EXIT.input,
    "Give calibration data with --calibration, allow a larger change with --mark-budget, or pass --no-mark.",
  ],
  LEDGER_NOT_FOUND: [EXIT.missing, "Run `sealwright ledger init`, or protect a model: that makes one."],
  LEDGER_EXISTS: [EXIT.exists, "Use the ledger that is there, or another workspace with --workspace."],
  LEDGER_DAMAGED: [EXIT.io, "Restore the ledger from its newest export with `sealwright ledger import`."],
  LEDGER_BUSY: [EXIT.io, "Another process adds to this ledger: try again when it is done."],
  LEDGER_FULL: [EXIT.input, "Make a new ledger in a workspace of its own."],
} as const satisfies Record<string, readonly [exit: number, hint: string]>

export type ErrorCode = keyof typeof TABLE

export const errorCodes = Object.keys(TABLE) as readonly ErrorCode[] // keys of a literal: exactly ErrorCode

/** A refusal: `code` for programs, `message` the fact for people (lower case, no secret, no stack), hint and exit from the table. */
export class AppError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "AppError"
    this.code = code
  }

  /** Advice for a person. */
  get hint(): string {
    return TABLE[this.code][1]
  }

  /** Process exit status. */
  get exitCode(): number {
    return TABLE[this.code][0]
  }
}

export function hintFor(code: ErrorCode): string {
  return TABLE[code][1]
}

export function exitCodeFor(code: ErrorCode): number {
  return TABLE[code][0]
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(TABLE, text)
}

/** Any thrown value as an AppError. What is not ours becomes INTERNAL without its text: that may hold a path or a secret. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown
  if (thrown instanceof Error && thrown.name === "AbortError") {
    return new AppError("CANCELLED", "the operation was cancelled", { cause: thrown })
  }
  const kind = thrown instanceof Error ? thrown.name : typeof thrown
  return new AppError("INTERNAL", `unexpected failure (${kind})`, { cause: thrown })
}
