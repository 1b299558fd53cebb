// What a TPM can prove about itself: that two keys share it (credentials), what a key is (certify), what booted (quote).
#include "tpm_commands.h"

#if SEALWRIGHT_TSS
#include <cstring>

namespace sealwright {
namespace {

/** Kept in step with native/lib/tpm.ts: the two templates of the TCG EK Credential Profile 2.5, B.3.3 and B.3.4. */
enum Endorsement : uint32_t { kRsa2048 = 0, kP256 = 1 };

/** Indices where the maker's certificates lie (TCG EK Credential Profile 2.5, table 2). */
constexpr TPM2_HANDLE kCertificateIndex[] = {0x01c00002, 0x01c0000a};

/** PolicySecret(endorsement hierarchy), SHA-256: policy A of the profile. */
constexpr BYTE kEndorsementPolicy[] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
                                       0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
                                       0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};

TPM2B_PUBLIC EndorsementTemplate(uint32_t kind) {
  TPM2B_PUBLIC out = {};
  TPMT_PUBLIC& area = out.publicArea;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                          TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
  area.authPolicy.size = sizeof kEndorsementPolicy;
  std::memcpy(area.authPolicy.buffer, kEndorsementPolicy, sizeof kEndorsementPolicy);
  if (kind == kRsa2048) {
    area.type = TPM2_ALG_RSA;
    TPMS_RSA_PARMS& rsa = area.parameters.rsaDetail;
    rsa.symmetric.algorithm = TPM2_ALG_AES;
    rsa.symmetric.keyBits.aes = 128;
    rsa.symmetric.mode.aes = TPM2_ALG_CFB;
    rsa.scheme.scheme = TPM2_ALG_NULL;
    rsa.keyBits = 2048;
    area.unique.rsa.size = 256;
  } else {
    area.type = TPM2_ALG_ECC;
    TPMS_ECC_PARMS& ecc = area.parameters.eccDetail;
    ecc.symmetric.algorithm = TPM2_ALG_AES;
    ecc.symmetric.keyBits.aes = 128;
    ecc.symmetric.mode.aes = TPM2_ALG_CFB;
    ecc.scheme.scheme = TPM2_ALG_NULL;
    ecc.curveID = TPM2_ECC_NIST_P256;
    ecc.kdf.scheme = TPM2_ALG_NULL;
    area.unique.ecc.x.size = 32;
    area.unique.ecc.y.size = 32;
  }
  return out;
}

bool CreateEndorsement(Connection& connection, uint32_t kind, ESYS_TR* handle, TPM2B_PUBLIC* made_area) {
  const Tss& tss = connection.tss;
  if (kind != kRsa2048 && kind != kP256) return connection.Check("choose an endorsement key", kBadArgument);
  const TPM2B_PUBLIC area = EndorsementTemplate(kind);
  const TPM2B_SENSITIVE_CREATE sensitive = {};
  const TPM2B_DATA outside = {};
  const TPML_PCR_SELECTION no_pcrs = {};
  Owned<TPM2B_PUBLIC> made(tss);
  Owned<TPM2B_CREATION_DATA> data(tss);
  Owned<TPM2B_DIGEST> hash(tss);
  Owned<TPMT_TK_CREATION> ticket(tss);
  if (!connection.Check("make the endorsement key",
                        tss.Esys_CreatePrimary(connection.esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
                                               ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &area, &outside, &no_pcrs,
                                               handle, &made.pointer, &data.pointer, &hash.pointer,
                                               &ticket.pointer))) {
    *handle = ESYS_TR_NONE;
    return false;
  }
  *made_area = *made.pointer;
  return true;
}

TPMT_SIG_SCHEME AttestationScheme() {
  TPMT_SIG_SCHEME scheme = {};
  scheme.scheme = TPM2_ALG_ECDSA;
  scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  return scheme;
}

bool AppendAttestation(Connection& connection, const TPM2B_ATTEST& attest, const TPMT_SIGNATURE& signature,
                       Response* response) {
  response->emplace_back(attest.attestationData, attest.size);
  return AppendSignature(connection, signature, response);
}

}  // namespace

/** kind → public blob, certificate (DER, empty when the TPM holds none) */
bool ReadEndorsement(Connection& connection, Arguments arguments, Response* response) {
  const uint32_t kind = arguments.Number();
  Guard endorsement(&connection);
  TPM2B_PUBLIC area = {};
  connection.DropKey();
  if (!CreateEndorsement(connection, kind, &endorsement.handle, &area) ||
      !AppendPublic(connection, area, response)) {
    return false;
  }
  std::vector<uint8_t> certificate;
  if (!ReadIndex(connection, kCertificateIndex[kind], &certificate)) return false;
  response->emplace_back(certificate.data(), certificate.size());
  return true;
}

/** public blob of an endorsement key, name of the other key, secret → credential blob, encrypted seed */
bool MakeCredential(Connection& connection, Arguments arguments, Response* response) {
  const Tss& tss = connection.tss;
  const SecretBytes area = arguments.Bytes(), name = arguments.Bytes(), secret = arguments.Bytes();
  TPM2B_PUBLIC public_area = {};
  TPM2B_NAME sized_name = {};
  size_t end = 0;
  if (tss.Tss2_MU_TPM2B_PUBLIC_Unmarshal(area.data(), area.size(), &end, &public_area) != TSS2_RC_SUCCESS ||
      end != area.size() || name.size() > sizeof sized_name.name || secret.size() > 32) {
    return connection.Check("read the endorsement key", kBadArgument);
  }
  sized_name.size = static_cast<UINT16>(name.size());
  std::memcpy(sized_name.name, name.data(), name.size());
  TPM2B_DIGEST credential = ToSized<TPM2B_DIGEST>(secret);
  connection.DropKey();
  Guard endorsement(&connection);
  Owned<TPM2B_ID_OBJECT> blob(tss);
  Owned<TPM2B_ENCRYPTED_SECRET> seed(tss);
  const bool is_made =
      connection.Check("load the endorsement key",
                       tss.Esys_LoadExternal(connection.esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr,
                                             &public_area, ESYS_TR_RH_NULL, &endorsement.handle)) &&
      connection.Check("make the credential",
                       tss.Esys_MakeCredential(connection.esys, endorsement.handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                               ESYS_TR_NONE, &credential, &sized_name, &blob.pointer,
                                               &seed.pointer));
  OPENSSL_cleanse(&credential, sizeof credential);
  if (!is_made) return false;
  response->emplace_back(blob->credential, blob->size);
  response->emplace_back(seed->secret, seed->size);
  return true;
}

/** endorsement kind, attestation key; credential blob, encrypted seed → the secret */
bool ActivateCredential(Connection& connection, Arguments arguments, Response* response) {
  const Tss& tss = connection.tss;
  const uint32_t kind = arguments.Number();
  const KeyReference key = arguments.Key();
  const SecretBytes blob_bytes = arguments.Bytes(), seed_bytes = arguments.Bytes();
  TPM2B_ID_OBJECT blob = {};
  TPM2B_ENCRYPTED_SECRET seed = {};
  if (blob_bytes.size() > sizeof blob.credential || seed_bytes.size() > sizeof seed.secret) {
    return connection.Check("read the credential", kBadArgument);
  }
  blob.size = static_cast<UINT16>(blob_bytes.size());
  std::memcpy(blob.credential, blob_bytes.data(), blob_bytes.size());
  seed.size = static_cast<UINT16>(seed_bytes.size());
  std::memcpy(seed.secret, seed_bytes.data(), seed_bytes.size());

  ESYS_TR handle = ESYS_TR_NONE, session = ESYS_TR_NONE;
  Guard endorsement(&connection), policy(&connection);
  TPM2B_PUBLIC area = {};
  Owned<TPM2B_TIMEOUT> timeout(tss);
  Owned<TPMT_TK_AUTH> ticket(tss);
  Owned<TPM2B_DIGEST> secret(tss);
  const TPM2B_NONCE none = {};
  const TPM2B_DIGEST no_digest = {};
  if (!connection.UseKey(key, &handle) ||
      !CreateEndorsement(connection, kind, &endorsement.handle, &area) ||
      !StartSession(&connection, TPM2_SE_POLICY, &policy.handle) ||
      !connection.Check("authorise the endorsement key",
                        tss.Esys_PolicySecret(connection.esys, ESYS_TR_RH_ENDORSEMENT, policy.handle,
                                              ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &none, &no_digest, &none,
                                              0, &timeout.pointer, &ticket.pointer)) ||
      !connection.UseSession(TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT, &session) ||
      !connection.Check("activate the credential",
                        tss.Esys_ActivateCredential(connection.esys, handle, endorsement.handle, session,
                                                    policy.handle, ESYS_TR_NONE, &blob, &seed, &secret.pointer))) {
    return false;
  }
  response->emplace_back(secret->buffer, secret->size);
  return true;
}

/** key, attestation key; nonce → attestation structure, r, s */
bool CertifyKey(Connection& connection, Arguments arguments, Response* response) {
  const Tss& tss = connection.tss;
  const KeyReference key = arguments.Key(), attestation = arguments.Key();
  const SecretBytes nonce = arguments.Bytes();
  if (nonce.size() > 32) return connection.Check("read the nonce", kBadArgument);
  const TPM2B_DATA qualifying = ToSized<TPM2B_DATA>(nonce);
  const TPMT_SIG_SCHEME scheme = AttestationScheme();
  Guard object(&connection, key.persistent == 0 ? Guard::Kind::kFlush : Guard::Kind::kClose);
  Guard session(&connection);
  ESYS_TR signer = ESYS_TR_NONE;
  Owned<TPM2B_ATTEST> attest(tss);
  Owned<TPMT_SIGNATURE> signature(tss);
  // The key to certify leaves the connection's care: the attestation key takes its place there.
  if (!connection.UseKey(key, &object.handle)) {
    object.handle = ESYS_TR_NONE;
    return false;
  }
  connection.ForgetKey();
  if (!connection.UseKey(attestation, &signer)) return false;
  // Its authorisation value is enough, PCRs or not: certifying is an act of administration (part 1, 19.3.3.2).
  Authorisation authorisation(&connection);
  return StartSession(&connection, TPM2_SE_HMAC, &session.handle) &&
         authorisation.Start(attestation, TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT) &&
         connection.Check("certify the key", tss.Esys_Certify(connection.esys, object.handle, signer, session.handle,
                                                              authorisation.session, ESYS_TR_NONE, &qualifying,
                                                              &scheme, &attest.pointer, &signature.pointer)) &&
         AppendAttestation(connection, *attest.pointer, *signature.pointer, response);
}

/** pcrs, attestation key; nonce → attestation structure, r, s */
bool QuotePcrs(Connection& connection, Arguments arguments, Response* response) {
  const uint32_t pcrs = arguments.Number();
  const KeyReference key = arguments.Key();
  const SecretBytes nonce = arguments.Bytes();
  if (nonce.size() > 32) return connection.Check("read the nonce", kBadArgument);
  const TPM2B_DATA qualifying = ToSized<TPM2B_DATA>(nonce);
  const TPMT_SIG_SCHEME scheme = AttestationScheme();
  const TPML_PCR_SELECTION selection = ToSelection(pcrs);
  ESYS_TR handle = ESYS_TR_NONE;
  Owned<TPM2B_ATTEST> attest(connection.tss);
  Owned<TPMT_SIGNATURE> signature(connection.tss);
  if (!connection.UseKey(key, &handle)) return false;
  Authorisation authorisation(&connection);
  return authorisation.Start(key, TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT) &&
         connection.Check("quote", connection.tss.Esys_Quote(connection.esys, handle, authorisation.session,
                                                             ESYS_TR_NONE, ESYS_TR_NONE, &qualifying, &scheme,
                                                             &selection, &attest.pointer, &signature.pointer)) &&
         AppendAttestation(connection, *attest.pointer, *signature.pointer, response);
}

/** pcrs → their SHA-256 values, ascending */
bool ReadPcrs(Connection& connection, Arguments arguments, Response* response) {
  uint32_t wanted = arguments.Number();
  while (wanted != 0) {
    const TPML_PCR_SELECTION selection = ToSelection(wanted);
    UINT32 counter = 0;
    Owned<TPML_PCR_SELECTION> got(connection.tss);
    Owned<TPML_DIGEST> values(connection.tss);
    if (!connection.Check("read PCRs", connection.tss.Esys_PCR_Read(connection.esys, ESYS_TR_NONE, ESYS_TR_NONE,
                                                                    ESYS_TR_NONE, &selection, &counter, &got.pointer,
                                                                    &values.pointer))) {
      return false;
    }
    // A TPM answers with as many as fit, lowest first.
    uint32_t read = 0;
    for (int i = 0; i < 3; i += 1) read |= static_cast<uint32_t>(got->pcrSelections[0].pcrSelect[i]) << (8 * i);
    if (got->count != 1 || (read & wanted) == 0 || values->count == 0) {
      return connection.Check("read PCRs", kUnsuitable);
    }
    for (UINT32 i = 0; i < values->count; i += 1) {
      response->emplace_back(values->digests[i].buffer, values->digests[i].size);
    }
    wanted &= ~read;
  }
  return true;
}

}  // namespace sealwright
#endif
