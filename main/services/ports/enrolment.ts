/** What a workspace remembers of enrolments, on either side. */
export interface PendingChallenge {
  readonly id: string
  /** The request's file, as it was read. */
  readonly request: Uint8Array
  readonly nonce: Uint8Array
  readonly tokenDigest: Uint8Array
  readonly secretDigest: Uint8Array | null
  readonly expiresAt: string
  /** How the endorsement key was known: decides the level. */
  readonly endorsement: "certificate" | "approval" | "none"
  readonly evidence: string
}

export interface IssuedCertificates {
  readonly device: string
  readonly serials: readonly string[]
  readonly revokedAt: string | null
}

export interface AuthorityRecord {
  /** DER. */
  readonly certificate: Uint8Array
  /** Number of the last revocation list. */
  readonly listNumber: number
}

/** A device's own side: the request it sent. */
export interface OwnRequest {
  readonly device: string
  readonly request: Uint8Array
  readonly endorsementKind: "rsa-2048" | "p-256" | null
}

export interface Enrolments {
  /** Null until the first enrolment. */
  authority(): Promise<AuthorityRecord | null>
  saveAuthority(record: AuthorityRecord): Promise<void>
  addPending(challenge: PendingChallenge): Promise<void>
  /** Null when there is none, or it was used. */
  findPending(id: string): Promise<PendingChallenge | null>
  /** From now on the challenge is used. */
  removePending(id: string): Promise<void>
  saveIssued(issued: IssuedCertificates): Promise<void>
  listIssued(): Promise<readonly IssuedCertificates[]>
  saveOwn(own: OwnRequest): Promise<void>
  findOwn(device: string): Promise<OwnRequest | null>
  /** PEM texts a device was given, kept beside its keys. */
  saveCertificates(
    device: string,
    pems: Readonly<Record<"authority" | "signing" | "decryption", string | null>>,
  ): Promise<void>
}
