/** Media types of everything in a package (docs/FORMAT.md 3; OCI image-spec 1.1.1). */
export const MEDIA = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  empty: "application/vnd.oci.empty.v1+json",
  package: "application/vnd.sealwright.package.v1+json",
  grant: "application/vnd.sealwright.grant.v1+json",
  seal: "application/vnd.sealwright.seal.v1+json",
  payloadLayer: "application/vnd.sealwright.payload.v1+age",
  grantLayer: "application/vnd.sealwright.grant.v1+age",
  release: "application/vnd.sealwright.release.v1+json",
  trust: "application/vnd.sealwright.trust.v1+json",
  trustLayer: "application/vnd.sealwright.trust.metadata.v1+json",
  bundle: "application/vnd.dev.sigstore.bundle.v0.3+json",
} as const

/** The empty configuration blob: `{}`. */
export const EMPTY_CONFIG = {
  mediaType: MEDIA.empty,
  digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
  size: 2,
  data: "e30=",
} as const

export const EMPTY_CONFIG_BYTES = Uint8Array.of(0x7b, 0x7d)
