// The age payload STREAM (C2SP age.md, Payload) over whole batches: one call seals or opens many 64 KiB chunks into the
// caller's buffer. node:crypto needs three objects and an allocation per chunk, which costs more than the cipher itself.
#include <openssl/evp.h>

#include <cstring>
#include <memory>

#include "napi.h"

namespace sealwright {
namespace {

constexpr size_t kChunk = 65536;
constexpr size_t kTag = 16;
constexpr size_t kKey = 32;
constexpr size_t kNonce = 12;

struct ContextFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
struct CipherFree {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};

/** One per environment (a worker thread has its own), so no two threads share a context. */
struct Engine {
  std::unique_ptr<EVP_CIPHER_CTX, ContextFree> context{EVP_CIPHER_CTX_new()};
  std::unique_ptr<EVP_CIPHER, CipherFree> cipher{EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr)};
};

/** 11-byte big-endian chunk counter, then 1 on the last chunk of the file. Counters stay below 2^53: the top bytes are 0. */
void WriteNonce(uint8_t (&nonce)[kNonce], uint64_t counter, bool is_last) {
  std::memset(nonce, 0, kNonce);
  for (int i = 0; i < 8; i++) nonce[10 - i] = static_cast<uint8_t>(counter >> (8 * i));
  nonce[11] = is_last ? 1 : 0;
}

/** Forgets the key whatever happens. */
class KeyScope {
 public:
  explicit KeyScope(EVP_CIPHER_CTX* context) : context_(context) {}
  ~KeyScope() { EVP_CIPHER_CTX_reset(context_); }

 private:
  EVP_CIPHER_CTX* context_;
};

struct Call {
  Engine* engine = nullptr;
  Bytes key, input, output;
  uint64_t counter = 0;
  bool ends_file = false;
};

bool ReadCall(napi_env env, napi_callback_info info, Call* call) {
  napi_value arguments[5];
  void* data = nullptr;
  size_t count = 5;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, &data) != napi_ok || count < 5) {
    Throw(env, "too few arguments");
    return false;
  }
  call->engine = static_cast<Engine*>(data);
  if (!ReadBytes(env, arguments[0], &call->key) || !ReadCount(env, arguments[1], &call->counter) ||
      !ReadFlag(env, arguments[2], &call->ends_file) || !ReadBytes(env, arguments[3], &call->input) ||
      !ReadBytes(env, arguments[4], &call->output)) {
    return false;
  }
  if (call->key.size != kKey) {
    Throw(env, "the key must be 32 bytes");
    return false;
  }
  if (!call->engine->context || !call->engine->cipher) {
    Throw(env, "the cipher is unavailable");
    return false;
  }
  return true;
}

napi_value SealChunks(napi_env env, napi_callback_info info) {
  Call call;
  if (!ReadCall(env, info, &call)) return nullptr;
  const size_t chunks = call.input.size == 0 ? (call.ends_file ? 1 : 0) : (call.input.size + kChunk - 1) / kChunk;
  if (!call.ends_file && call.input.size % kChunk != 0) {
    Throw(env, "only the end of the file may be a partial chunk");
    return nullptr;
  }
  if (call.output.size < call.input.size + chunks * kTag) {
    Throw(env, "the output is too small");
    return nullptr;
  }
  EVP_CIPHER_CTX* context = call.engine->context.get();
  KeyScope scope(context);
  if (EVP_EncryptInit_ex2(context, call.engine->cipher.get(), call.key.data, nullptr, nullptr) != 1) {
    Throw(env, "the cipher refused the key");
    return nullptr;
  }
  const uint8_t* from = call.input.data;
  uint8_t* to = call.output.data;
  size_t left = call.input.size;
  for (size_t i = 0; i < chunks; i++) {
    const size_t size = left < kChunk ? left : kChunk;
    uint8_t nonce[kNonce];
    WriteNonce(nonce, call.counter + i, call.ends_file && i + 1 == chunks);
    int written = 0;
    uint8_t nothing[1];
    if (EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce, nullptr) != 1 ||
        (size > 0 && EVP_EncryptUpdate(context, to, &written, from, static_cast<int>(size)) != 1) ||
        EVP_EncryptFinal_ex(context, nothing, &written) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTag, to + size) != 1) {
      Throw(env, "encryption failed");
      return nullptr;
    }
    from += size;
    to += size + kTag;
    left -= size;
  }
  return ToNumber(env, static_cast<double>(to - call.output.data));
}

/** Bytes written; or, for the first chunk that is not authentic, -1 - its index. The output then holds nothing of it. */
napi_value OpenChunks(napi_env env, napi_callback_info info) {
  Call call;
  if (!ReadCall(env, info, &call)) return nullptr;
  constexpr size_t kSealed = kChunk + kTag;
  const size_t chunks = (call.input.size + kSealed - 1) / kSealed;
  if (!call.ends_file && call.input.size % kSealed != 0) {
    Throw(env, "only the end of the file may be a partial chunk");
    return nullptr;
  }
  const size_t last = call.input.size - (chunks == 0 ? 0 : (chunks - 1) * kSealed);
  if (chunks == 0 || last < kTag) {
    Throw(env, "a chunk is shorter than its tag");
    return nullptr;
  }
  if (call.output.size < call.input.size - chunks * kTag) {
    Throw(env, "the output is too small");
    return nullptr;
  }
  EVP_CIPHER_CTX* context = call.engine->context.get();
  KeyScope scope(context);
  if (EVP_DecryptInit_ex2(context, call.engine->cipher.get(), call.key.data, nullptr, nullptr) != 1) {
    Throw(env, "the cipher refused the key");
    return nullptr;
  }
  uint8_t* from = call.input.data;
  uint8_t* to = call.output.data;
  size_t left = call.input.size;
  for (size_t i = 0; i < chunks; i++) {
    const size_t sealed = left < kSealed ? left : kSealed;
    const size_t size = sealed - kTag;
    uint8_t nonce[kNonce];
    WriteNonce(nonce, call.counter + i, call.ends_file && i + 1 == chunks);
    int written = 0;
    uint8_t nothing[1];
    const bool authentic =
        EVP_DecryptInit_ex2(context, nullptr, nullptr, nonce, nullptr) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTag, from + size) == 1 &&
        (size == 0 || EVP_DecryptUpdate(context, to, &written, from, static_cast<int>(size)) == 1) &&
        EVP_DecryptFinal_ex(context, nothing, &written) == 1;
    if (!authentic) {
      // Unauthenticated plaintext must not outlive the failure, nor may what came before it look like a success.
      std::memset(call.output.data, 0, static_cast<size_t>(to - call.output.data) + size);
      return ToNumber(env, -1.0 - static_cast<double>(i));
    }
    from += sealed;
    to += size;
    left -= sealed;
  }
  return ToNumber(env, static_cast<double>(to - call.output.data));
}

}  // namespace

void AddPayload(napi_env env, napi_value exports) {
  auto* engine = new Engine();
  napi_add_env_cleanup_hook(
      env, [](void* data) { delete static_cast<Engine*>(data); }, engine);
  AddFunction(env, exports, "sealChunks", SealChunks, engine);
  AddFunction(env, exports, "openChunks", OpenChunks, engine);
}

}  // namespace sealwright
