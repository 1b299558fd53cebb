// Sums over code words: for each copy, the weights of every tensor at the positions where the copy's code word is 1. Whole
// numbers throughout, so the sums are those of main/core/watermark/code-words.ts, bit for bit. One batch of copies runs on
// one of libuv's threads; its keys and keystream are wiped.
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "napi.h"

namespace sealwright {
namespace {

constexpr size_t kKey = 32;
/** Bytes of keystream at once. Sums of so many weights of 16 bits fit into 32 bits. */
constexpr size_t kBlock = 32768;
/** A copy: device number (u32 big-endian) and try. It is the context of its code word as it stands. */
constexpr size_t kCopy = 5;
constexpr char kLabel[] = "sealwright/wm/v1/code-word";

/** HKDF-Expand (RFC 5869, 2.3; one block): HMAC(K_t, label || 00 || copy || 01). */
bool CodeWordKey(const uint8_t* tensor_key, const uint8_t* copy, uint8_t* out) {
  uint8_t info[sizeof kLabel + kCopy + 1];
  std::memcpy(info, kLabel, sizeof kLabel);  // with its terminating zero, which is the separator
  std::memcpy(info + sizeof kLabel, copy, kCopy);
  info[sizeof info - 1] = 1;
  unsigned int length = 0;
  return HMAC(EVP_sha256(), tensor_key, kKey, info, sizeof info, out, &length) != nullptr && length == kKey;
}

int32_t SumBlock(const int16_t* weights, const uint8_t* bias, const uint8_t* word, size_t count) {
  int32_t sum = 0;
  for (size_t i = 0; i < count; i += 1) {
    const int16_t mask = word[i] < bias[i] ? -1 : 0;
    sum += static_cast<int16_t>(weights[i] & mask);
  }
  return sum;
}

struct Tensor {
  const int16_t* weights = nullptr;
  const uint8_t* bias = nullptr;
  size_t count = 0;
};

class SumBatch {
 public:
  ~SumBatch() {
    OPENSSL_cleanse(keys.data(), keys.size());
    OPENSSL_cleanse(word_, sizeof word_);
    EVP_CIPHER_CTX_free(cipher_);
  }

  void Run() {
    for (size_t copy = 0; copy < copies.size() / kCopy; copy += 1) {
      int64_t total = 0;
      for (size_t t = 0; t < tensors.size(); t += 1) {
        if (!AddTensor(t, copies.data() + copy * kCopy, &total)) return;
      }
      sums[copy] = static_cast<double>(total);
    }
    is_done = true;
  }

  std::vector<uint8_t> keys;
  std::vector<uint8_t> copies;
  std::vector<Tensor> tensors;
  std::vector<double> sums;
  std::vector<napi_ref> held;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  bool is_done = false;

 private:
  bool AddTensor(size_t index, const uint8_t* copy, int64_t* total) {
    static const uint8_t kZeros[kBlock] = {};
    static const uint8_t kCounter[16] = {};
    uint8_t key[kKey];
    const bool is_ready = CodeWordKey(keys.data() + index * kKey, copy, key) &&
                          EVP_EncryptInit_ex(cipher_, EVP_aes_256_ctr(), nullptr, key, kCounter) == 1;
    OPENSSL_cleanse(key, sizeof key);
    if (!is_ready) return false;
    const Tensor& tensor = tensors[index];
    for (size_t at = 0; at < tensor.count; at += kBlock) {
      const size_t count = std::min(kBlock, tensor.count - at);
      int written = 0;
      if (EVP_EncryptUpdate(cipher_, word_, &written, kZeros, static_cast<int>(count)) != 1) return false;
      *total += SumBlock(tensor.weights + at, tensor.bias + at, word_, count);
    }
    return true;
  }

  EVP_CIPHER_CTX* cipher_ = EVP_CIPHER_CTX_new();
  uint8_t word_[kBlock] = {};
};

void Execute(napi_env, void* data) { static_cast<SumBatch*>(data)->Run(); }

void Complete(napi_env env, napi_status, void* data) {
  std::unique_ptr<SumBatch> batch(static_cast<SumBatch*>(data));
  napi_value sums = nullptr;
  napi_create_array_with_length(env, batch->sums.size(), &sums);
  for (size_t i = 0; i < batch->sums.size(); i += 1) napi_set_element(env, sums, i, ToNumber(env, batch->sums[i]));
  if (batch->is_done) {
    napi_resolve_deferred(env, batch->deferred, sums);
  } else {
    napi_value message = nullptr, error = nullptr;
    napi_create_string_utf8(env, "the keystream failed", NAPI_AUTO_LENGTH, &message);
    napi_create_error(env, nullptr, message, &error);
    napi_reject_deferred(env, batch->deferred, error);
  }
  for (napi_ref reference : batch->held) napi_delete_reference(env, reference);
  napi_delete_async_work(env, batch->work);
}

/** An Int16Array's memory; it must stay where it is until the batch has settled. */
bool ReadWeights(napi_env env, napi_value value, const int16_t** data, size_t* count) {
  bool is_typed_array = false;
  napi_typedarray_type type;
  void* memory = nullptr;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(env, value, &type, count, &memory, nullptr, nullptr) != napi_ok || type != napi_int16_array) {
    Throw(env, "expected an Int16Array");
    return false;
  }
  *data = static_cast<const int16_t*>(memory);
  return true;
}

bool AddTensors(napi_env env, napi_value weights, napi_value bias, uint32_t count, SumBatch* batch) {
  for (uint32_t i = 0; i < count; i += 1) {
    napi_value one_weights = nullptr, one_bias = nullptr;
    Tensor tensor;
    Bytes bytes;
    if (napi_get_element(env, weights, i, &one_weights) != napi_ok || napi_get_element(env, bias, i, &one_bias) != napi_ok) {
      Throw(env, "expected lists of arrays");
      return false;
    }
    if (!ReadWeights(env, one_weights, &tensor.weights, &tensor.count) || !ReadBytes(env, one_bias, &bytes)) return false;
    if (bytes.size != tensor.count) {
      Throw(env, "weights and biases of different length");
      return false;
    }
    tensor.bias = bytes.data;
    batch->tensors.push_back(tensor);
    for (napi_value value : {one_weights, one_bias}) {
      napi_ref reference = nullptr;
      if (napi_create_reference(env, value, 1, &reference) == napi_ok) batch->held.push_back(reference);
    }
  }
  return true;
}

/** sumCodeWords(keys, weights[], bias[], copies): a promise of one sum a copy. */
napi_value SumCodeWords(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  Bytes keys, copies;
  uint32_t count = 0, biases = 0;
  if (!ReadArguments(env, info, arguments) || !ReadBytes(env, arguments[0], &keys) || !ReadBytes(env, arguments[3], &copies)) {
    return nullptr;
  }
  if (napi_get_array_length(env, arguments[1], &count) != napi_ok || napi_get_array_length(env, arguments[2], &biases) != napi_ok ||
      count != biases || keys.size != count * kKey || copies.size % kCopy != 0) {
    Throw(env, "keys, weights, biases and copies do not fit together");
    return nullptr;
  }
  auto batch = std::make_unique<SumBatch>();
  batch->keys.assign(keys.data, keys.data + keys.size);
  batch->copies.assign(copies.data, copies.data + copies.size);
  batch->sums.resize(copies.size / kCopy);
  napi_value promise = nullptr, name = nullptr;
  napi_create_string_utf8(env, "sealwright:trace", NAPI_AUTO_LENGTH, &name);
  SumBatch* raw = batch.get();
  const bool is_queued = AddTensors(env, arguments[1], arguments[2], count, raw) &&
                         napi_create_promise(env, &raw->deferred, &promise) == napi_ok &&
                         napi_create_async_work(env, nullptr, name, Execute, Complete, raw, &raw->work) == napi_ok &&
                         napi_queue_async_work(env, raw->work) == napi_ok;
  if (!is_queued) {
    bool is_thrown = false;
    napi_is_exception_pending(env, &is_thrown);
    for (napi_ref reference : raw->held) napi_delete_reference(env, reference);
    if (!is_thrown) Throw(env, "the batch could not be queued");
    return nullptr;
  }
  batch.release();
  return promise;
}

}  // namespace

void AddTrace(napi_env env, napi_value exports) { AddFunction(env, exports, "sumCodeWords", SumCodeWords); }

}  // namespace sealwright
