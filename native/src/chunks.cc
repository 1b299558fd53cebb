#include "chunks.h"

#include <openssl/crypto.h>

namespace sealwright {
namespace {

constexpr size_t kNonce = 12;

/** 11-byte big-endian chunk counter, then 1 on the last chunk of the file. Counters stay below 2^53: the top bytes are 0. */
void WriteNonce(uint8_t (&nonce)[kNonce], uint64_t chunk, bool is_last) {
  for (uint8_t& byte : nonce) byte = 0;
  for (int i = 0; i < 8; i++) nonce[10 - i] = static_cast<uint8_t>(chunk >> (8 * i));
  nonce[11] = is_last ? 1 : 0;
}

/** Makes the context forget the key whatever happens. */
class KeyScope {
 public:
  explicit KeyScope(EVP_CIPHER_CTX* context) : context_(context) {}
  ~KeyScope() { EVP_CIPHER_CTX_reset(context_); }

 private:
  EVP_CIPHER_CTX* context_;
};

size_t ChunkCount(size_t size, size_t stride, bool ends_file) {
  const size_t count = (size + stride - 1) / stride;
  return count == 0 && ends_file ? 1 : count;
}

}  // namespace

size_t SealedSize(size_t plain, bool ends_file) { return plain + ChunkCount(plain, kChunk, ends_file) * kTag; }

bool IsSealedSize(size_t size, bool ends_file) {
  if (!ends_file) return size % kSealedChunk == 0;
  const size_t last = size % kSealedChunk;
  return size > 0 && (last == 0 || last >= kTag);
}

ChunkCipher::ChunkCipher()
    : context_(EVP_CIPHER_CTX_new()), cipher_(EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr)) {}

bool ChunkCipher::Seal(const uint8_t* key, uint64_t first_chunk, bool ends_file, const uint8_t* plain, size_t size,
                       uint8_t* sealed) {
  EVP_CIPHER_CTX* context = context_.get();
  if (context == nullptr || cipher_ == nullptr) return false;
  KeyScope scope(context);
  if (EVP_EncryptInit_ex2(context, cipher_.get(), key, nullptr, nullptr) != 1) return false;
  const size_t count = ChunkCount(size, kChunk, ends_file);
  for (size_t i = 0; i < count; i++) {
    const size_t part = size < kChunk ? size : kChunk;
    uint8_t nonce[kNonce];
    WriteNonce(nonce, first_chunk + i, ends_file && i + 1 == count);
    int written = 0;
    uint8_t nothing[1];
    if (EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce, nullptr) != 1 ||
        (part > 0 && EVP_EncryptUpdate(context, sealed, &written, plain, static_cast<int>(part)) != 1) ||
        EVP_EncryptFinal_ex(context, nothing, &written) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTag, sealed + part) != 1) {
      return false;
    }
    plain += part;
    sealed += part + kTag;
    size -= part;
  }
  return true;
}

int64_t ChunkCipher::Open(const uint8_t* key, uint64_t first_chunk, bool ends_file, const uint8_t* sealed, size_t size,
                          uint8_t* plain) {
  EVP_CIPHER_CTX* context = context_.get();
  if (context == nullptr || cipher_ == nullptr) return 0;
  KeyScope scope(context);
  if (EVP_DecryptInit_ex2(context, cipher_.get(), key, nullptr, nullptr) != 1) return 0;
  const size_t count = ChunkCount(size, kSealedChunk, ends_file);
  uint8_t* to = plain;
  for (size_t i = 0; i < count; i++) {
    const size_t part = size < kSealedChunk ? size : kSealedChunk;
    const size_t text = part - kTag;
    uint8_t nonce[kNonce];
    WriteNonce(nonce, first_chunk + i, ends_file && i + 1 == count);
    int written = 0;
    uint8_t nothing[1];
    // OpenSSL only reads the tag through this pointer.
    auto* tag = const_cast<uint8_t*>(sealed + text);
    const bool authentic = EVP_DecryptInit_ex2(context, nullptr, nullptr, nonce, nullptr) == 1 &&
                           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTag, tag) == 1 &&
                           (text == 0 || EVP_DecryptUpdate(context, to, &written, sealed, static_cast<int>(text)) == 1) &&
                           EVP_DecryptFinal_ex(context, nothing, &written) == 1;
    if (!authentic) {
      OPENSSL_cleanse(plain, static_cast<size_t>(to - plain) + text);
      return static_cast<int64_t>(i);
    }
    sealed += part;
    to += text;
    size -= part;
  }
  return -1;
}

}  // namespace sealwright
