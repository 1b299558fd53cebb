// The age payload STREAM (C2SP age.md, Payload) over runs of chunks: one call seals or opens many 64 KiB chunks between
// buffers of the caller. node:crypto needs three objects and an allocation a chunk, which costs more than the cipher.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace sealwright {

constexpr size_t kChunk = 65536;
constexpr size_t kTag = 16;
constexpr size_t kSealedChunk = kChunk + kTag;
constexpr size_t kKey = 32;

/** Sealed length of a run; an empty run that ends the file is one empty chunk. */
size_t SealedSize(size_t plain, bool ends_file);

/** True when `size` is the sealed length of some run. */
bool IsSealedSize(size_t size, bool ends_file);

/** ChaCha20-Poly1305 with one reusable context. Not for two threads at once. */
class ChunkCipher {
 public:
  ChunkCipher();

  /** `sealed` holds SealedSize(size) bytes. False when OpenSSL fails. */
  bool Seal(const uint8_t* key, uint64_t first_chunk, bool ends_file, const uint8_t* plain, size_t size, uint8_t* sealed);

  /**
   * The number of chunks in front of the first that is not authentic, or -1 when all are. After a failure `plain` is
   * zeroed: unauthenticated plaintext must not outlive it, nor may what came before look like a success.
   */
  int64_t Open(const uint8_t* key, uint64_t first_chunk, bool ends_file, const uint8_t* sealed, size_t size, uint8_t* plain);

 private:
  struct ContextFree {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  struct CipherFree {
    void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  };
  std::unique_ptr<EVP_CIPHER_CTX, ContextFree> context_;
  std::unique_ptr<EVP_CIPHER, CipherFree> cipher_;
};

}  // namespace sealwright
