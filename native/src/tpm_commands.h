// What can be asked of a TPM. A command takes its arguments in the order native/lib/tpm.ts writes them, and either fills the
// response or records a failure in the connection; it leaves nothing of its own in the TPM.
#pragma once

#if SEALWRIGHT_TSS
#include <string>
#include <vector>

#include "tpm_connection.h"

namespace sealwright {

struct Request {
  std::string command;
  std::vector<uint32_t> numbers;
  std::vector<SecretBytes> bytes;
};

/** Reads a request's arguments in order; what is missing reads as 0 or empty. */
class Arguments {
 public:
  explicit Arguments(const Request& request) : request_(request) {}
  uint32_t Number() { return number_ < request_.numbers.size() ? request_.numbers[number_++] : 0; }
  SecretBytes Bytes() { return byte_ < request_.bytes.size() ? SecretBytes(request_.bytes[byte_++]) : SecretBytes(); }
  KeyReference Key() {
    KeyReference key;
    key.persistent = Number();
    key.pcrs = Number();
    key.public_blob = Bytes();
    key.private_blob = Bytes();
    key.name = Bytes();
    key.parent_name = Bytes();
    key.auth = Bytes();
    return key;
  }

 private:
  const Request& request_;
  size_t number_ = 0, byte_ = 0;
};

using Response = std::vector<SecretBytes>;
using Command = bool (*)(Connection&, Arguments, Response*);

/** Null for a name that stands for no command. */
Command FindCommand(const std::string& name);

// tpm_keys.cc
bool CreateKey(Connection&, Arguments, Response*);
bool DescribeKey(Connection&, Arguments, Response*);
bool RemovePersistent(Connection&, Arguments, Response*);
bool Ecdh(Connection&, Arguments, Response*);
bool SignDigest(Connection&, Arguments, Response*);
bool UnsealSecret(Connection&, Arguments, Response*);
// tpm_attest.cc
bool ReadEndorsement(Connection&, Arguments, Response*);
bool MakeCredential(Connection&, Arguments, Response*);
bool ActivateCredential(Connection&, Arguments, Response*);
bool CertifyKey(Connection&, Arguments, Response*);
bool QuotePcrs(Connection&, Arguments, Response*);
bool ReadPcrs(Connection&, Arguments, Response*);
// tpm_nv.cc
bool ReadProperties(Connection&, Arguments, Response*);
bool ListHandles(Connection&, Arguments, Response*);
bool DefineCounter(Connection&, Arguments, Response*);
bool IncrementCounter(Connection&, Arguments, Response*);
bool ReadCounter(Connection&, Arguments, Response*);
bool RemoveCounter(Connection&, Arguments, Response*);
/** The content of an NV index that can be read with its own, empty authorisation. */
bool ReadIndex(Connection&, TPM2_HANDLE index, std::vector<uint8_t>* content);

/** r and s of an ECDSA signature, 32 bytes each, left-padded. */
bool AppendSignature(Connection&, const TPMT_SIGNATURE&, Response*);
/** A number as the TPM writes it, right-aligned in 32 bytes; false when it is longer. */
bool AppendPadded(const BYTE* data, size_t size, Response*);
bool AppendPublic(Connection&, const TPM2B_PUBLIC&, Response*);
template <typename T>
T ToSized(const SecretBytes& bytes) {
  T out = {};
  if (bytes.size() > sizeof out.buffer) return out;
  out.size = static_cast<UINT16>(bytes.size());
  for (size_t i = 0; i < bytes.size(); i += 1) out.buffer[i] = bytes.data()[i];
  return out;
}

}  // namespace sealwright
#endif
