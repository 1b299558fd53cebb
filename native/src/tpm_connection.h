// One conversation with a TPM: the storage key every session is salted with, sessions, loaded keys. All of it belongs to one
// thread. Whatever a command leaves in the TPM is flushed when its guard goes, after failures too: a chip without a resource
// manager has three slots for objects and three for sessions.
#pragma once

#if SEALWRIGHT_TSS
#include <openssl/crypto.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tss.h"

namespace sealwright {

/** Bytes that may be secret: wiped when they go. */
class SecretBytes {
 public:
  SecretBytes() = default;
  SecretBytes(const uint8_t* data, size_t size) : bytes_(data, data + size) {}
  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::move(other.bytes_)) {}
  SecretBytes(const SecretBytes&) = default;
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    bytes_.swap(other.bytes_);
    return *this;
  }
  ~SecretBytes() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
  const uint8_t* data() const { return bytes_.data(); }
  size_t size() const { return bytes_.size(); }
  bool operator==(const SecretBytes& other) const { return bytes_ == other.bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

/** Refusals of our own, in a layer tpm2-tss leaves to applications. Kept in step with native/lib/tpm.ts. */
constexpr TSS2_RC kForeignKey = 0xff0001;    // the key or its parent is not the one that was recorded
constexpr TSS2_RC kBadArgument = 0xff0002;   // a blob or point that does not parse
constexpr TSS2_RC kUnsuitable = 0xff0003;    // an object of another kind than the operation needs
constexpr TSS2_RC kBadResponse = 0xff0004;   // the TPM answered with something of the wrong form

/** Where a key is and what its use needs. */
struct KeyReference {
  uint32_t persistent = 0;  // a handle; 0 means the two blobs below
  SecretBytes public_blob, private_blob;
  SecretBytes name;         // expected; empty accepts what is there (taking over a key)
  SecretBytes parent_name;  // of the storage key sessions are salted with; empty accepts the TPM's present one
  SecretBytes auth;
  uint32_t pcrs = 0;  // bit n stands for PCR n of the SHA-256 bank; 0 means no policy
};

class Connection {
 public:
  Connection(const Tss* tss, std::string tcti) : tss(*tss), tcti_name_(std::move(tcti)) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool Open();

  /** Records a failure; returns whether there was none. */
  bool Check(const char* step, TSS2_RC rc) {
    if (rc == TSS2_RC_SUCCESS) return true;
    failure = rc;
    failed_step = step;
    return false;
  }

  /** Makes the storage key available: the persistent SRK or a primary made from the TPM's seed. */
  bool UsePrimary(const SecretBytes& expected_name);
  ESYS_TR primary() const { return primary_; }
  const SecretBytes& primary_name() const { return primary_name_; }

  /** The salted HMAC session, set to encrypt the first parameter of the command or of the response. */
  bool UseSession(TPMA_SESSION encryption, ESYS_TR* session);
  /** After a failure: the next command gets a new session. */
  void DropSession();
  /** Frees the slot of the key that was kept loaded for the next use. */
  void DropKey();
  /** Forgets whatever it put into the TPM. */
  void DropAll();
  /** Overwrites what the last command's answer left in tpm2-tss's buffer and on this thread's stack. */
  void Scrub();
  /** Gives that key up to the caller. */
  void ForgetKey() { key_ = ESYS_TR_NONE; }

  /** Loads a key, checks its name and sets its authorisation. It stays loaded until another one is used. */
  bool UseKey(const KeyReference& key, ESYS_TR* handle);

  ESYS_CONTEXT* esys = nullptr;
  const Tss& tss;
  TSS2_RC failure = TSS2_RC_SUCCESS;
  const char* failed_step = "";

 private:
  bool UsePersistentPrimary(const SecretBytes& expected_name);
  bool CreatePrimary();
  void DropPrimary();

  std::string tcti_name_;
  TSS2_TCTI_CONTEXT* tcti_ = nullptr;
  ESYS_TR primary_ = ESYS_TR_NONE;
  bool is_primary_persistent_ = false;
  SecretBytes primary_name_;
  ESYS_TR session_ = ESYS_TR_NONE;
  ESYS_TR key_ = ESYS_TR_NONE;
  bool is_key_persistent_ = false;
  SecretBytes key_name_;
};

/** A transient object, session or ESYS reference for the length of one command. */
class Guard {
 public:
  enum class Kind { kFlush, kClose };
  explicit Guard(Connection* connection, Kind kind = Kind::kFlush) : connection_(connection), kind_(kind) {}
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ESYS_TR handle = ESYS_TR_NONE;

 private:
  Connection* connection_;
  Kind kind_;
};

/** What authorises the use of a key: the HMAC session, or a policy session of its own for a key bound to PCRs. */
class Authorisation {
 public:
  explicit Authorisation(Connection* connection) : connection_(connection), policy_(connection) {}
  bool Start(const KeyReference& key, TPMA_SESSION encryption);
  ESYS_TR session = ESYS_TR_NONE;

 private:
  Connection* connection_;
  Guard policy_;
};

/** Something ESYS allocated; wiped and freed. */
template <typename T>
class Owned {
 public:
  explicit Owned(const Tss& tss) : tss_(tss) {}
  ~Owned() {
    if (pointer != nullptr) OPENSSL_cleanse(pointer, sizeof(T));
    tss_.Esys_Free(pointer);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  T* operator->() const { return pointer; }
  T* pointer = nullptr;

 private:
  const Tss& tss_;
};

TPML_PCR_SELECTION ToSelection(uint32_t pcrs);
/** Starts a salted session of any type with AES-128-CFB parameter encryption. */
bool StartSession(Connection* connection, TPM2_SE type, ESYS_TR* session);
/** PolicyPCR over present values, then PolicyAuthValue when the key has an authorisation value. */
bool ExtendPolicy(Connection* connection, ESYS_TR session, uint32_t pcrs, bool has_auth);

}  // namespace sealwright
#endif
