// Work beside JavaScript on threads of our own, one a core. Not on libuv's four: where they outnumber the cores they take
// turns, a batch that is stopped while it writes stops all others, and its bytes leave the cache before they are written.
#pragma once

#include <openssl/crypto.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "chunks.h"
#include "napi.h"

namespace sealwright {

/** What a batch came to; `detail` is an errno, or the index of a chunk. Kept in step with native/lib/payload.ts. */
enum class Status { kDone = 0, kReadFailed = 1, kShortRead = 2, kWriteFailed = 3, kForged = 4, kCipherFailed = 5 };

/** `length` bytes at `offset` of a file stand at `at` of a buffer. */
struct Piece {
  int file = -1;
  uint64_t offset = 0;
  size_t at = 0;
  size_t length = 0;
};

/** One piece of work. Its buffers belong to the caller and must stay untouched until its promise settles. */
class Batch {
 public:
  virtual ~Batch() { OPENSSL_cleanse(key_, sizeof key_); }
  virtual void Run() = 0;

  /**
   * Queues `batch`, before all others when `is_urgent`; returns a promise of [status, detail]. A batch that waits when its
   * environment ends never runs, and the environment ends after the last one that runs has ended.
   */
  static napi_value Start(napi_env env, std::unique_ptr<Batch> batch, bool is_urgent = false);

  /** A copy, wiped with the batch. `key` is 32 bytes. */
  void SetKey(Bytes key) { std::memcpy(key_, key.data, kKey); }

  /** Keeps a JavaScript value (a buffer this batch works on) alive until the batch has settled. */
  void Hold(napi_env env, napi_value value);

 protected:
  void Fail(Status status, int64_t detail) {
    status_ = status;
    detail_ = detail;
  }
  void Done(int64_t detail) { detail_ = detail; }
  bool ReadAt(int file, uint64_t offset, uint8_t* to, size_t size);
  bool WriteAt(int file, uint64_t offset, const uint8_t* from, size_t size);
  bool ReadPieces(const std::vector<Piece>& pieces, Bytes buffer);
  bool WritePieces(const std::vector<Piece>& pieces, Bytes buffer);

  uint8_t key_[kKey] = {};
  Status status_ = Status::kDone;
  int64_t detail_ = 0;

 private:
  friend class Environment;
  void Settle(napi_env env);

  napi_deferred deferred_ = nullptr;
  std::vector<napi_ref> held_;
};

}  // namespace sealwright
