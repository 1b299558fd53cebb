// Keys: made, described, kept, and the two operations they exist for.
#include "tpm_commands.h"

#if SEALWRIGHT_TSS
#include <cstring>

namespace sealwright {
namespace {

/** Kept in step with native/lib/tpm.ts. */
enum Kind : uint32_t { kDevice = 0, kSigning = 1, kAttestation = 2, kSealed = 3 };

bool MakeTemplate(uint32_t kind, bool has_policy, TPM2B_PUBLIC* out) {
  TPMT_PUBLIC& area = out->publicArea;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT;
  if (!has_policy) area.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
  if (kind == kSealed) {
    area.type = TPM2_ALG_KEYEDHASH;
    area.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
    return true;
  }
  area.type = TPM2_ALG_ECC;
  area.objectAttributes |= TPMA_OBJECT_SENSITIVEDATAORIGIN;
  TPMS_ECC_PARMS& ecc = area.parameters.eccDetail;
  ecc.symmetric.algorithm = TPM2_ALG_NULL;
  ecc.curveID = TPM2_ECC_NIST_P256;
  ecc.kdf.scheme = TPM2_ALG_NULL;
  if (kind == kDevice) {
    area.objectAttributes |= TPMA_OBJECT_DECRYPT;
    ecc.scheme.scheme = TPM2_ALG_NULL;
    return true;
  }
  area.objectAttributes |= TPMA_OBJECT_SIGN_ENCRYPT;
  // Restricted: it signs what the TPM itself composed and nothing that only looks like it.
  if (kind == kAttestation) area.objectAttributes |= TPMA_OBJECT_RESTRICTED;
  ecc.scheme.scheme = TPM2_ALG_ECDSA;
  ecc.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  return kind == kSigning || kind == kAttestation;
}

bool ComputePolicy(Connection& connection, uint32_t pcrs, bool has_auth, TPM2B_DIGEST* out) {
  Guard trial(&connection);
  Owned<TPM2B_DIGEST> digest(connection.tss);
  if (!StartSession(&connection, TPM2_SE_TRIAL, &trial.handle) ||
      !ExtendPolicy(&connection, trial.handle, pcrs, has_auth) ||
      !connection.Check("compute the policy",
                        connection.tss.Esys_PolicyGetDigest(connection.esys, trial.handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                                            ESYS_TR_NONE, &digest.pointer))) {
    return false;
  }
  *out = *digest.pointer;
  return true;
}

bool Persist(Connection& connection, ESYS_TR object, uint32_t persistent) {
  Guard kept(&connection, Guard::Kind::kClose);
  ESYS_TR session = ESYS_TR_NONE;
  return connection.UseSession(0, &session) &&
         connection.Check("keep the key in the TPM",
                          connection.tss.Esys_EvictControl(connection.esys, ESYS_TR_RH_OWNER, object, session,
                                                           ESYS_TR_NONE, ESYS_TR_NONE, persistent, &kept.handle));
}

void Append(const TPM2B_NAME& name, Response* response) { response->emplace_back(name.name, name.size); }

/** TPMA_OBJECT, 4 bytes, big-endian; for a key on P-256 then x and y, 32 bytes each. */
bool AppendFacts(Connection& connection, const TPMT_PUBLIC& area, Response* response) {
  uint8_t facts[4 + 64] = {};
  for (int i = 0; i < 4; i += 1) facts[i] = static_cast<uint8_t>(area.objectAttributes >> (24 - 8 * i));
  const bool is_p256 = area.type == TPM2_ALG_ECC && area.parameters.eccDetail.curveID == TPM2_ECC_NIST_P256;
  if (is_p256) {
    const TPM2B_ECC_PARAMETER& x = area.unique.ecc.x;
    const TPM2B_ECC_PARAMETER& y = area.unique.ecc.y;
    if (x.size > 32 || y.size > 32) return connection.Check("read the public key", kBadResponse);
    std::memcpy(facts + 4 + 32 - x.size, x.buffer, x.size);
    std::memcpy(facts + 36 + 32 - y.size, y.buffer, y.size);
  }
  response->emplace_back(facts, is_p256 ? sizeof facts : 4);
  return true;
}

}  // namespace

/** kind, pcrs, persistent; auth, parent name, sealed data → public blob, private blob, name, parent name, facts */
bool CreateKey(Connection& connection, Arguments arguments, Response* response) {
  const Tss& tss = connection.tss;
  const uint32_t kind = arguments.Number(), pcrs = arguments.Number(), persistent = arguments.Number();
  const SecretBytes auth = arguments.Bytes(), parent_name = arguments.Bytes(), data = arguments.Bytes();
  TPM2B_PUBLIC area = {};
  if (!MakeTemplate(kind, pcrs != 0, &area) || auth.size() > 32 || data.size() > 128) {
    return connection.Check("describe the new key", kBadArgument);
  }
  if (!connection.UsePrimary(parent_name)) return false;
  connection.DropKey();
  if (pcrs != 0 && !ComputePolicy(connection, pcrs, auth.size() > 0, &area.publicArea.authPolicy)) return false;

  TPM2B_SENSITIVE_CREATE sensitive = {};
  sensitive.sensitive.userAuth = ToSized<TPM2B_AUTH>(auth);
  sensitive.sensitive.data = ToSized<TPM2B_SENSITIVE_DATA>(data);
  const TPM2B_DATA outside = {};
  const TPML_PCR_SELECTION no_pcrs = {};
  Owned<TPM2B_PRIVATE> private_blob(tss);
  Owned<TPM2B_PUBLIC> public_blob(tss);
  Owned<TPM2B_CREATION_DATA> creation(tss);
  Owned<TPM2B_DIGEST> hash(tss);
  Owned<TPMT_TK_CREATION> ticket(tss);
  ESYS_TR session = ESYS_TR_NONE;
  const bool is_made =
      connection.UseSession(TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT, &session) &&
      connection.Check("make the key",
                       tss.Esys_Create(connection.esys, connection.primary(), session, ESYS_TR_NONE, ESYS_TR_NONE,
                                       &sensitive, &area, &outside, &no_pcrs, &private_blob.pointer,
                                       &public_blob.pointer, &creation.pointer, &hash.pointer, &ticket.pointer));
  OPENSSL_cleanse(&sensitive, sizeof sensitive);
  if (!is_made) return false;

  Guard object(&connection);
  Owned<TPM2B_NAME> name(tss);
  if (!connection.UseSession(TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT, &session) ||
      !connection.Check("load the new key",
                        tss.Esys_Load(connection.esys, connection.primary(), session, ESYS_TR_NONE, ESYS_TR_NONE,
                                      private_blob.pointer, public_blob.pointer, &object.handle)) ||
      !connection.Check("name the new key", tss.Esys_TR_GetName(connection.esys, object.handle, &name.pointer)) ||
      (persistent != 0 && !Persist(connection, object.handle, persistent))) {
    return false;
  }
  uint8_t marshalled[sizeof(TPM2B_PRIVATE)];
  size_t size = 0;
  if (!AppendPublic(connection, *public_blob.pointer, response) ||
      !connection.Check("write the key blob", tss.Tss2_MU_TPM2B_PRIVATE_Marshal(private_blob.pointer, marshalled,
                                                                               sizeof marshalled, &size))) {
    return false;
  }
  response->emplace_back(marshalled, size);
  Append(*name.pointer, response);
  response->push_back(connection.primary_name());
  return AppendFacts(connection, public_blob->publicArea, response);
}

/** key → public blob, name, qualified name, parent name, facts */
bool DescribeKey(Connection& connection, Arguments arguments, Response* response) {
  const Tss& tss = connection.tss;
  const KeyReference key = arguments.Key();
  ESYS_TR handle = ESYS_TR_NONE, session = ESYS_TR_NONE;
  Owned<TPM2B_PUBLIC> area(tss);
  Owned<TPM2B_NAME> name(tss), qualified(tss);
  if (!connection.UseKey(key, &handle) || !connection.UseSession(TPMA_SESSION_ENCRYPT, &session) ||
      !connection.Check("describe the key",
                        tss.Esys_ReadPublic(connection.esys, handle, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                            &area.pointer, &name.pointer, &qualified.pointer)) ||
      !AppendPublic(connection, *area.pointer, response)) {
    return false;
  }
  Append(*name.pointer, response);
  Append(*qualified.pointer, response);
  response->push_back(connection.primary_name());
  return AppendFacts(connection, area->publicArea, response);
}

/** key → nothing; the object is gone from the TPM */
bool RemovePersistent(Connection& connection, Arguments arguments, Response*) {
  const KeyReference key = arguments.Key();
  ESYS_TR handle = ESYS_TR_NONE, session = ESYS_TR_NONE, gone = ESYS_TR_NONE;
  if (!connection.UseKey(key, &handle) || !connection.UseSession(0, &session)) return false;
  if (!connection.Check("remove the key",
                        connection.tss.Esys_EvictControl(connection.esys, ESYS_TR_RH_OWNER, handle, session,
                                                         ESYS_TR_NONE, ESYS_TR_NONE, key.persistent, &gone))) {
    return false;
  }
  connection.ForgetKey();
  return true;
}

/** key; x, y → the x-coordinate of the shared point */
bool Ecdh(Connection& connection, Arguments arguments, Response* response) {
  const KeyReference key = arguments.Key();
  const SecretBytes x = arguments.Bytes(), y = arguments.Bytes();
  if (x.size() != 32 || y.size() != 32) return connection.Check("read the point", kBadArgument);
  TPM2B_ECC_POINT point = {};
  point.point.x = ToSized<TPM2B_ECC_PARAMETER>(x);
  point.point.y = ToSized<TPM2B_ECC_PARAMETER>(y);
  ESYS_TR handle = ESYS_TR_NONE;
  Owned<TPM2B_ECC_POINT> shared(connection.tss);
  if (!connection.UseKey(key, &handle)) return false;
  Authorisation authorisation(&connection);
  if (!authorisation.Start(key, TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT) ||
      !connection.Check("agree on a secret",
                        connection.tss.Esys_ECDH_ZGen(connection.esys, handle, authorisation.session, ESYS_TR_NONE,
                                                      ESYS_TR_NONE, &point, &shared.pointer))) {
    return false;
  }
  const TPM2B_ECC_PARAMETER& secret = shared->point.x;
  return AppendPadded(secret.buffer, secret.size, response) ||
         connection.Check("read the secret", kBadResponse);
}

/** key; SHA-256 digest → r, s */
bool SignDigest(Connection& connection, Arguments arguments, Response* response) {
  const KeyReference key = arguments.Key();
  const SecretBytes digest = arguments.Bytes();
  if (digest.size() != 32) return connection.Check("read the digest", kBadArgument);
  const TPM2B_DIGEST sized = ToSized<TPM2B_DIGEST>(digest);
  TPMT_SIG_SCHEME scheme = {};
  scheme.scheme = TPM2_ALG_ECDSA;
  scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  TPMT_TK_HASHCHECK no_ticket = {};
  no_ticket.tag = TPM2_ST_HASHCHECK;
  no_ticket.hierarchy = TPM2_RH_NULL;
  ESYS_TR handle = ESYS_TR_NONE;
  Owned<TPMT_SIGNATURE> signature(connection.tss);
  if (!connection.UseKey(key, &handle)) return false;
  Authorisation authorisation(&connection);
  return authorisation.Start(key, TPMA_SESSION_DECRYPT) &&
         connection.Check("sign", connection.tss.Esys_Sign(connection.esys, handle, authorisation.session,
                                                           ESYS_TR_NONE, ESYS_TR_NONE, &sized, &scheme, &no_ticket,
                                                           &signature.pointer)) &&
         AppendSignature(connection, *signature.pointer, response);
}

/** key of sealed data → the data */
bool UnsealSecret(Connection& connection, Arguments arguments, Response* response) {
  const KeyReference key = arguments.Key();
  ESYS_TR handle = ESYS_TR_NONE;
  Owned<TPM2B_SENSITIVE_DATA> data(connection.tss);
  if (!connection.UseKey(key, &handle)) return false;
  Authorisation authorisation(&connection);
  if (!authorisation.Start(key, TPMA_SESSION_ENCRYPT) ||
      !connection.Check("unseal", connection.tss.Esys_Unseal(connection.esys, handle, authorisation.session,
                                                             ESYS_TR_NONE, ESYS_TR_NONE, &data.pointer))) {
    return false;
  }
  response->emplace_back(data->buffer, data->size);
  return true;
}

bool AppendPadded(const BYTE* data, size_t size, Response* response) {
  uint8_t padded[32] = {};
  if (size > sizeof padded) return false;
  std::memcpy(padded + sizeof padded - size, data, size);
  response->emplace_back(padded, sizeof padded);
  OPENSSL_cleanse(padded, sizeof padded);
  return true;
}

bool AppendSignature(Connection& connection, const TPMT_SIGNATURE& signature, Response* response) {
  const TPMS_SIGNATURE_ECC& ecdsa = signature.signature.ecdsa;
  const bool is_read = signature.sigAlg == TPM2_ALG_ECDSA && ecdsa.hash == TPM2_ALG_SHA256 &&
                       AppendPadded(ecdsa.signatureR.buffer, ecdsa.signatureR.size, response) &&
                       AppendPadded(ecdsa.signatureS.buffer, ecdsa.signatureS.size, response);
  return is_read || connection.Check("read the signature", kBadResponse);
}

bool AppendPublic(Connection& connection, const TPM2B_PUBLIC& area, Response* response) {
  uint8_t marshalled[sizeof(TPM2B_PUBLIC)];
  size_t size = 0;
  if (!connection.Check("write the public area", connection.tss.Tss2_MU_TPM2B_PUBLIC_Marshal(
                                                     &area, marshalled, sizeof marshalled, &size))) {
    return false;
  }
  response->emplace_back(marshalled, size);
  return true;
}

}  // namespace sealwright
#endif
