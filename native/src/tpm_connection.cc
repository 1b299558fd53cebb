#include "tpm_connection.h"

#if SEALWRIGHT_TSS
#include <cstring>

namespace sealwright {
namespace {

/** Where provisioning puts the storage root key (TCG TPM v2.0 Provisioning Guidance 7.8). */
constexpr TPM2_HANDLE kStorageRootKey = 0x81000001;

/** ECC P-256 storage primary: restricted, so that the TPM alone can read the salts of our sessions. */
TPM2B_PUBLIC PrimaryTemplate() {
  TPM2B_PUBLIC out = {};
  TPMT_PUBLIC& area = out.publicArea;
  area.type = TPM2_ALG_ECC;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                          TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
  area.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_AES;
  area.parameters.eccDetail.symmetric.keyBits.aes = 128;
  area.parameters.eccDetail.symmetric.mode.aes = TPM2_ALG_CFB;
  area.parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
  area.parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
  area.parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
  return out;
}

SecretBytes ToBytes(const TPM2B_NAME& name) { return SecretBytes(name.name, name.size); }

/** As deep as any command's frames reach. */
[[gnu::noinline]] void WipeStack() {
  uint8_t frames[64 << 10];
  OPENSSL_cleanse(frames, sizeof frames);
}

bool IsStorageKey(const TPMT_PUBLIC& area) {
  constexpr TPMA_OBJECT wanted =
      TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_USERWITHAUTH;
  return (area.objectAttributes & wanted) == wanted && (area.type == TPM2_ALG_ECC || area.type == TPM2_ALG_RSA);
}

}  // namespace

Guard::~Guard() {
  if (handle == ESYS_TR_NONE) return;
  if (kind_ == Kind::kFlush) connection_->tss.Esys_FlushContext(connection_->esys, handle);
  else connection_->tss.Esys_TR_Close(connection_->esys, &handle);
}

bool Connection::Open() {
  if (!Check("connect", tss.Tss2_TctiLdr_Initialize(tcti_name_.c_str(), &tcti_))) return false;
  return Check("connect", tss.Esys_Initialize(&esys, tcti_, nullptr));
}

Connection::~Connection() {
  if (esys != nullptr) {
    DropAll();
    tss.Esys_Finalize(&esys);
  }
  if (tcti_ != nullptr) tss.Tss2_TctiLdr_Finalize(&tcti_);
}

void Connection::Scrub() {
  // The longest answer there is to a question without secrets goes over the old one; if it fails, the next command says why.
  {
    TPMI_YES_NO more = TPM2_NO;
    Owned<TPMS_CAPABILITY_DATA> data(tss);
    tss.Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_FIXED,
                           TPM2_MAX_TPM_PROPERTIES, &more, &data.pointer);
  }
  WipeStack();
}

bool Connection::UsePrimary(const SecretBytes& expected_name) {
  const bool accepts_any = expected_name.size() == 0;
  if (primary_ != ESYS_TR_NONE && (accepts_any || primary_name_ == expected_name)) return true;
  DropAll();
  if (UsePersistentPrimary(expected_name)) return true;
  if (!CreatePrimary()) return false;
  if (accepts_any || primary_name_ == expected_name) return true;
  DropPrimary();
  return Check("compare the storage key", kForeignKey);
}

/** False without a failure recorded when there is no such key or it is another. */
bool Connection::UsePersistentPrimary(const SecretBytes& expected_name) {
  Guard object(this, Guard::Kind::kClose);
  if (tss.Esys_TR_FromTPMPublic(esys, kStorageRootKey, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &object.handle) !=
      TSS2_RC_SUCCESS) {
    object.handle = ESYS_TR_NONE;
    return false;
  }
  Owned<TPM2B_PUBLIC> area(tss);
  Owned<TPM2B_NAME> name(tss), qualified(tss);
  if (tss.Esys_ReadPublic(esys, object.handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &area.pointer, &name.pointer,
                          &qualified.pointer) != TSS2_RC_SUCCESS ||
      !IsStorageKey(area->publicArea)) {
    return false;
  }
  const SecretBytes found = ToBytes(*name.pointer);
  if (expected_name.size() > 0 && !(found == expected_name)) return false;
  primary_ = object.handle;
  object.handle = ESYS_TR_NONE;
  is_primary_persistent_ = true;
  primary_name_ = SecretBytes(found);
  return true;
}

bool Connection::CreatePrimary() {
  const TPM2B_PUBLIC area = PrimaryTemplate();
  const TPM2B_SENSITIVE_CREATE sensitive = {};
  const TPM2B_DATA outside = {};
  const TPML_PCR_SELECTION no_pcrs = {};
  Owned<TPM2B_PUBLIC> made(tss);
  Owned<TPM2B_CREATION_DATA> data(tss);
  Owned<TPM2B_DIGEST> hash(tss);
  Owned<TPMT_TK_CREATION> ticket(tss);
  if (!Check("make the storage key",
             tss.Esys_CreatePrimary(esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                                    &area, &outside, &no_pcrs, &primary_, &made.pointer, &data.pointer, &hash.pointer,
                                    &ticket.pointer))) {
    primary_ = ESYS_TR_NONE;
    return false;
  }
  is_primary_persistent_ = false;
  Owned<TPM2B_NAME> name(tss);
  if (!Check("name the storage key", tss.Esys_TR_GetName(esys, primary_, &name.pointer))) {
    DropPrimary();
    return false;
  }
  primary_name_ = ToBytes(*name.pointer);
  return true;
}

bool Connection::UseSession(TPMA_SESSION encryption, ESYS_TR* session) {
  if (session_ == ESYS_TR_NONE && !StartSession(this, TPM2_SE_HMAC, &session_)) return false;
  constexpr TPMA_SESSION mask = TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;
  if (!Check("set the session", tss.Esys_TRSess_SetAttributes(esys, session_,
                                                              TPMA_SESSION_CONTINUESESSION | encryption, mask))) {
    return false;
  }
  *session = session_;
  return true;
}

bool Connection::UseKey(const KeyReference& key, ESYS_TR* handle) {
  if (!UsePrimary(key.parent_name)) return false;
  const bool is_loaded = key_ != ESYS_TR_NONE && key.name.size() > 0 && key_name_ == key.name;
  if (!is_loaded) {
    DropKey();
    ESYS_TR loaded = ESYS_TR_NONE;
    if (key.persistent != 0) {
      if (!Check("find the key", tss.Esys_TR_FromTPMPublic(esys, key.persistent, ESYS_TR_NONE, ESYS_TR_NONE,
                                                           ESYS_TR_NONE, &loaded))) {
        return false;
      }
    } else {
      TPM2B_PUBLIC public_blob = {};
      TPM2B_PRIVATE private_blob = {};
      size_t public_end = 0, private_end = 0;
      if (tss.Tss2_MU_TPM2B_PUBLIC_Unmarshal(key.public_blob.data(), key.public_blob.size(), &public_end,
                                             &public_blob) != TSS2_RC_SUCCESS ||
          tss.Tss2_MU_TPM2B_PRIVATE_Unmarshal(key.private_blob.data(), key.private_blob.size(), &private_end,
                                              &private_blob) != TSS2_RC_SUCCESS ||
          public_end != key.public_blob.size() || private_end != key.private_blob.size()) {
        return Check("read the key blob", kBadArgument);
      }
      ESYS_TR session = ESYS_TR_NONE;
      if (!UseSession(TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT, &session) ||
          !Check("load the key", tss.Esys_Load(esys, primary_, session, ESYS_TR_NONE, ESYS_TR_NONE, &private_blob,
                                               &public_blob, &loaded))) {
        return false;
      }
    }
    key_ = loaded;
    is_key_persistent_ = key.persistent != 0;
    Owned<TPM2B_NAME> name(tss);
    if (!Check("name the key", tss.Esys_TR_GetName(esys, key_, &name.pointer))) return false;
    key_name_ = ToBytes(*name.pointer);
    if (key.name.size() > 0 && !(key_name_ == key.name)) {
      DropKey();
      return Check("compare the key", kForeignKey);
    }
  }
  TPM2B_AUTH auth = {};
  if (key.auth.size() > sizeof auth.buffer) return Check("set the authorisation", kBadArgument);
  auth.size = static_cast<UINT16>(key.auth.size());
  std::memcpy(auth.buffer, key.auth.data(), key.auth.size());
  const bool is_set = Check("set the authorisation", tss.Esys_TR_SetAuth(esys, key_, &auth));
  OPENSSL_cleanse(&auth, sizeof auth);
  *handle = key_;
  return is_set;
}

void Connection::DropAll() {
  DropKey();
  DropSession();
  DropPrimary();
}

void Connection::DropSession() {
  if (session_ != ESYS_TR_NONE) tss.Esys_FlushContext(esys, session_);
  session_ = ESYS_TR_NONE;
}

void Connection::DropKey() {
  if (key_ != ESYS_TR_NONE) {
    if (is_key_persistent_) tss.Esys_TR_Close(esys, &key_);
    else tss.Esys_FlushContext(esys, key_);
  }
  key_ = ESYS_TR_NONE;
}

void Connection::DropPrimary() {
  if (primary_ != ESYS_TR_NONE) {
    if (is_primary_persistent_) tss.Esys_TR_Close(esys, &primary_);
    else tss.Esys_FlushContext(esys, primary_);
  }
  primary_ = ESYS_TR_NONE;
}

bool Authorisation::Start(const KeyReference& key, TPMA_SESSION encryption) {
  if (key.pcrs == 0) return connection_->UseSession(encryption, &session);
  if (!StartSession(connection_, TPM2_SE_POLICY, &policy_.handle) ||
      !ExtendPolicy(connection_, policy_.handle, key.pcrs, key.auth.size() > 0)) {
    return false;
  }
  // Ended by the guard, so that it is gone after a refusal too.
  constexpr TPMA_SESSION mask = TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;
  session = policy_.handle;
  return connection_->Check(
      "set the session", connection_->tss.Esys_TRSess_SetAttributes(
                             connection_->esys, session, TPMA_SESSION_CONTINUESESSION | encryption, mask));
}

bool StartSession(Connection* connection, TPM2_SE type, ESYS_TR* session) {
  TPMT_SYM_DEF symmetric = {};
  symmetric.algorithm = TPM2_ALG_AES;
  symmetric.keyBits.aes = 128;
  symmetric.mode.aes = TPM2_ALG_CFB;
  if (connection->Check("start a session",
                        connection->tss.Esys_StartAuthSession(connection->esys, connection->primary(), ESYS_TR_NONE,
                                                              ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, type,
                                                              &symmetric, TPM2_ALG_SHA256, session))) {
    return true;
  }
  *session = ESYS_TR_NONE;
  return false;
}

bool ExtendPolicy(Connection* connection, ESYS_TR session, uint32_t pcrs, bool has_auth) {
  const TPML_PCR_SELECTION selection = ToSelection(pcrs);
  const TPM2B_DIGEST present = {};
  if (!connection->Check("bind to PCRs",
                         connection->tss.Esys_PolicyPCR(connection->esys, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                                        ESYS_TR_NONE, &present, &selection))) {
    return false;
  }
  return !has_auth || connection->Check("bind to the authorisation",
                                        connection->tss.Esys_PolicyAuthValue(connection->esys, session, ESYS_TR_NONE,
                                                                             ESYS_TR_NONE, ESYS_TR_NONE));
}

TPML_PCR_SELECTION ToSelection(uint32_t pcrs) {
  TPML_PCR_SELECTION out = {};
  out.count = 1;
  out.pcrSelections[0].hash = TPM2_ALG_SHA256;
  out.pcrSelections[0].sizeofSelect = 3;
  for (int i = 0; i < 3; i += 1) out.pcrSelections[0].pcrSelect[i] = static_cast<BYTE>(pcrs >> (8 * i));
  return out;
}

}  // namespace sealwright
#endif
