// JavaScript's view of the chunk cipher: `sealChunks` and `openChunks` for short runs on the calling thread, and batches
// beside it that read a file, seal or open it and write the result in one go. What a batch could not write is a batch of its
// own: a file takes one writer at a time, and a thread that waits for its turn would rather seal. Digests are batches too,
// so the main thread only conducts.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <algorithm>
#include <mutex>
#include <vector>

#include "batch.h"
#include "chunks.h"
#include "napi.h"
#include "sha256.h"

namespace sealwright {
namespace {

/** A cipher per thread: contexts are costly to make and must not be shared. */
ChunkCipher& ThreadCipher() {
  thread_local ChunkCipher cipher;
  return cipher;
}

/** Read and sealed at a time, so that both sides stay in the cache nearest to a core that can hold them. */
constexpr size_t kStep = 4 * kChunk;
constexpr size_t kSealedStep = 4 * kSealedChunk;

/** Held while a batch writes: a file takes one writer at a time, and waiting for it in the kernel burns a core. */
std::mutex& WriteTurn() {
  static std::mutex turn;
  return turn;
}

/**
 * A batch that writes what it has made whenever nobody else is writing, while it is still in the cache. `detail` of one that
 * is done: how many bytes of the result are written, from its start.
 */
class WritingBatch : public Batch {
 public:
  int output = -1;
  uint64_t output_offset = 0;

 protected:
  /** The first `ready` bytes of `result` are there. False when writing failed; a turn that is taken is no failure. */
  bool WriteInTurn(Bytes result, size_t ready) {
    if (output < 0) return true;
    const std::unique_lock<std::mutex> turn(WriteTurn(), std::try_to_lock);
    if (!turn.owns_lock()) return true;
    if (!WriteAt(output, output_offset + written_, result.data + written_, ready - written_)) return false;
    written_ = ready;
    return true;
  }
  void Finish() { Done(static_cast<int64_t>(written_)); }

 private:
  size_t written_ = 0;
};

/** Reads pieces into `plain` and seals them. The result is `sealed`. */
class SealBatch final : public WritingBatch {
 public:
  void Run() override {
    const size_t whole = Contiguous() ? (plain.size - 1) / kStep * kStep : 0;
    if (whole == 0 && !ReadPieces(inputs, plain)) return;
    for (size_t at = 0; at < plain.size || at == 0; at += kStep) {
      const bool is_end = at >= whole;
      const size_t size = is_end ? plain.size - at : kStep;
      if (whole > 0 && !ReadAt(inputs[0].file, inputs[0].offset + at, plain.data + at, size)) return;
      if (!Seal(at, size, is_end && ends_file)) return;
      if (!WriteInTurn(sealed, at / kChunk * kSealedChunk + SealedSize(size, is_end && ends_file))) return;
      if (is_end) break;
    }
    Finish();
  }

  std::vector<Piece> inputs;
  Bytes plain, sealed;
  uint64_t first_chunk = 0;
  bool ends_file = false;

 private:
  /** All of `plain` comes from one place. */
  bool Contiguous() const { return inputs.size() == 1 && inputs[0].length == plain.size && plain.size > 0; }

  bool Seal(size_t at, size_t size, bool is_end) {
    const size_t chunk = at / kChunk;
    if (ThreadCipher().Seal(key_, first_chunk + chunk, is_end, plain.data + at, size, sealed.data + chunk * kSealedChunk)) {
      return true;
    }
    Fail(Status::kCipherFailed, 0);
    return false;
  }
};

/** Reads `sealed` from the input file and opens it. The result is `plain`, of which nothing forged is ever written. */
class OpenBatch final : public WritingBatch {
 public:
  void Run() override {
    for (size_t at = 0; at < sealed.size; at += kSealedStep) {
      const size_t size = std::min(kSealedStep, sealed.size - at);
      const bool is_end = at + size == sealed.size;
      const size_t chunk = at / kSealedChunk;
      if (!ReadAt(input, input_offset + at, sealed.data + at, size)) return;
      const int64_t forged = ThreadCipher().Open(key_, first_chunk + chunk, is_end && ends_file, sealed.data + at, size,
                                                 plain.data + chunk * kChunk);
      if (forged >= 0) {
        OPENSSL_cleanse(plain.data, plain.size);
        return Fail(Status::kForged, static_cast<int64_t>(first_chunk + chunk) + forged);
      }
      if (!WriteInTurn(plain, chunk * kChunk + size - (size + kSealedChunk - 1) / kSealedChunk * kTag)) return;
    }
    Finish();
  }

  Bytes plain, sealed;
  uint64_t first_chunk = 0, input_offset = 0;
  int input = -1;
  bool ends_file = false;
};

/** Reads or writes pieces of `plain`. */
class MoveBatch final : public Batch {
 public:
  void Run() override {
    if (!is_write) {
      ReadPieces(pieces, plain);
      return;
    }
    const std::lock_guard<std::mutex> turn(WriteTurn());
    WritePieces(pieces, plain);
  }

  std::vector<Piece> pieces;
  Bytes plain;
  bool is_write = false;
};

/** A SHA-256 in progress, owned by a JavaScript handle. One batch at a time may feed it. */
using Digest = SHA256_CTX;

class DigestBatch final : public Batch {
 public:
  void Run() override {
    if (!FeedDigests(feeds.data(), feeds.size())) Fail(Status::kCipherFailed, 0);
  }
  std::vector<DigestFeed> feeds;
};

bool ReadKey(napi_env env, napi_value value, Bytes* key) {
  if (!ReadBytes(env, value, key)) return false;
  if (key->size == kKey) return true;
  Throw(env, "the key must be 32 bytes");
  return false;
}

bool ReadFileNumber(napi_env env, napi_value value, int* file) {
  uint64_t number = 0;
  if (!ReadCount(env, value, &number)) return false;
  *file = static_cast<int>(number);
  return true;
}

/** A file number, or -1 for none. */
bool ReadOutput(napi_env env, napi_value value, int* file) {
  int64_t number = 0;
  if (napi_get_value_int64(env, value, &number) == napi_ok && number == -1) return true;
  return ReadFileNumber(env, value, file);
}

/** Pieces as a flat Float64Array [file, offset, at, length, …]; each must lie inside a buffer of `size` bytes. */
bool ReadPieceList(napi_env env, napi_value value, size_t size, std::vector<Piece>* pieces) {
  bool is_typed_array = false;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_float64_array || length % 4 != 0) {
    Throw(env, "expected pieces as a Float64Array");
    return false;
  }
  const auto* numbers = static_cast<const double*>(data);
  for (size_t i = 0; i < length; i += 4) {
    const Piece piece{static_cast<int>(numbers[i]), static_cast<uint64_t>(numbers[i + 1]),
                      static_cast<size_t>(numbers[i + 2]), static_cast<size_t>(numbers[i + 3])};
    if (piece.file < 0 || piece.at > size || piece.length > size - piece.at) {
      Throw(env, "a piece lies outside its buffer");
      return false;
    }
    pieces->push_back(piece);
  }
  return true;
}

/** sealBatch(key, firstChunk, endsFile, plain, pieces, sealed, output, outputOffset); output -1 writes nothing */
napi_value StartSeal(napi_env env, napi_callback_info info) {
  napi_value arguments[8];
  Bytes key;
  auto batch = std::make_unique<SealBatch>();
  if (!ReadArguments(env, info, arguments) || !ReadKey(env, arguments[0], &key) ||
      !ReadCount(env, arguments[1], &batch->first_chunk) || !ReadFlag(env, arguments[2], &batch->ends_file) ||
      !ReadBytes(env, arguments[3], &batch->plain) ||
      !ReadPieceList(env, arguments[4], batch->plain.size, &batch->inputs) ||
      !ReadBytes(env, arguments[5], &batch->sealed) || !ReadOutput(env, arguments[6], &batch->output) ||
      !ReadCount(env, arguments[7], &batch->output_offset)) {
    return nullptr;
  }
  const bool is_partial = batch->plain.size % kChunk != 0 || batch->plain.size == 0;
  if ((is_partial && !batch->ends_file) || batch->sealed.size < SealedSize(batch->plain.size, batch->ends_file)) {
    Throw(env, "the batch does not fit its buffers");
    return nullptr;
  }
  batch->SetKey(key);
  batch->Hold(env, arguments[3]);
  batch->Hold(env, arguments[5]);
  return Batch::Start(env, std::move(batch));
}

/** openBatch(key, firstChunk, endsFile, sealed, file, offset, plain, output, outputOffset); output -1 writes nothing */
napi_value StartOpen(napi_env env, napi_callback_info info) {
  napi_value arguments[9];
  Bytes key;
  auto batch = std::make_unique<OpenBatch>();
  if (!ReadArguments(env, info, arguments) || !ReadKey(env, arguments[0], &key) ||
      !ReadCount(env, arguments[1], &batch->first_chunk) || !ReadFlag(env, arguments[2], &batch->ends_file) ||
      !ReadBytes(env, arguments[3], &batch->sealed) || !ReadFileNumber(env, arguments[4], &batch->input) ||
      !ReadCount(env, arguments[5], &batch->input_offset) || !ReadBytes(env, arguments[6], &batch->plain) ||
      !ReadOutput(env, arguments[7], &batch->output) || !ReadCount(env, arguments[8], &batch->output_offset)) {
    return nullptr;
  }
  const size_t chunks = (batch->sealed.size + kSealedChunk - 1) / kSealedChunk;
  if (batch->sealed.size == 0 || !IsSealedSize(batch->sealed.size, batch->ends_file) ||
      batch->plain.size < batch->sealed.size - chunks * kTag) {
    Throw(env, "the batch does not fit its buffers");
    return nullptr;
  }
  batch->SetKey(key);
  batch->Hold(env, arguments[3]);
  batch->Hold(env, arguments[6]);
  return Batch::Start(env, std::move(batch));
}

/** moveBatch(isWrite, plain, pieces) */
napi_value StartMove(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  auto batch = std::make_unique<MoveBatch>();
  if (!ReadArguments(env, info, arguments) || !ReadFlag(env, arguments[0], &batch->is_write) ||
      !ReadBytes(env, arguments[1], &batch->plain) ||
      !ReadPieceList(env, arguments[2], batch->plain.size, &batch->pieces)) {
    return nullptr;
  }
  batch->Hold(env, arguments[1]);
  // A write is what is left of a batch whose buffers the next one waits for.
  const bool is_urgent = batch->is_write;
  return Batch::Start(env, std::move(batch), is_urgent);
}

bool ReadDigest(napi_env env, napi_value value, Digest** digest) {
  void* data = nullptr;
  if (napi_get_value_external(env, value, &data) != napi_ok) {
    Throw(env, "expected a digest");
    return false;
  }
  *digest = static_cast<Digest*>(data);
  return true;
}

/** digestBatch([digest, bytes, digest, bytes, …]): no digest twice. */
napi_value StartDigest(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  auto batch = std::make_unique<DigestBatch>();
  uint32_t length = 0;
  if (!ReadArguments(env, info, arguments)) return nullptr;
  if (napi_get_array_length(env, arguments[0], &length) != napi_ok || length % 2 != 0) {
    Throw(env, "expected pairs of digest and bytes");
    return nullptr;
  }
  for (uint32_t i = 0; i < length; i += 2) {
    napi_value handle = nullptr, value = nullptr;
    Digest* digest = nullptr;
    Bytes bytes;
    if (napi_get_element(env, arguments[0], i, &handle) != napi_ok ||
        napi_get_element(env, arguments[0], i + 1, &value) != napi_ok || !ReadDigest(env, handle, &digest) ||
        !ReadBytes(env, value, &bytes)) {
      return nullptr;
    }
    for (const DigestFeed& feed : batch->feeds) {
      if (feed.digest != digest) continue;
      Throw(env, "a digest appears twice");
      return nullptr;
    }
    batch->feeds.push_back({digest, bytes.data, bytes.size});
    batch->Hold(env, handle);
    batch->Hold(env, value);
  }
  return Batch::Start(env, std::move(batch));
}

/** pageOffset(bytes): how many bytes behind the start of a page (of 4 KiB) the memory of `bytes` starts. */
napi_value PageOffset(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  Bytes bytes;
  if (!ReadArguments(env, info, arguments) || !ReadBytes(env, arguments[0], &bytes)) return nullptr;
  return ToNumber(env, static_cast<double>(reinterpret_cast<uintptr_t>(bytes.data) % 4096));
}

/** createDigest() */
napi_value CreateDigest(napi_env env, napi_callback_info) {
  napi_value handle = nullptr;
  auto digest = std::make_unique<Digest>();
  if (SHA256_Init(digest.get()) != 1 ||
      napi_create_external(
          env, digest.get(), [](napi_env, void* data, void*) { delete static_cast<Digest*>(data); }, nullptr, &handle) !=
          napi_ok) {
    Throw(env, "the digest could not be made");
    return nullptr;
  }
  digest.release();
  return handle;
}

/** finishDigest(digest, out): writes 32 bytes and starts the digest anew. */
napi_value FinishDigest(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  Digest* digest = nullptr;
  Bytes out;
  if (!ReadArguments(env, info, arguments) || !ReadDigest(env, arguments[0], &digest) ||
      !ReadBytes(env, arguments[1], &out)) {
    return nullptr;
  }
  if (out.size != SHA256_DIGEST_LENGTH || SHA256_Final(out.data, digest) != 1 || SHA256_Init(digest) != 1) {
    Throw(env, "the digest failed");
  }
  return nullptr;
}

/** sealChunks(key, firstChunk, endsFile, plain, sealed): bytes written. */
napi_value SealChunks(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  Bytes key, plain, sealed;
  uint64_t first_chunk = 0;
  bool ends_file = false;
  if (!ReadArguments(env, info, arguments) || !ReadKey(env, arguments[0], &key) ||
      !ReadCount(env, arguments[1], &first_chunk) || !ReadFlag(env, arguments[2], &ends_file) ||
      !ReadBytes(env, arguments[3], &plain) || !ReadBytes(env, arguments[4], &sealed)) {
    return nullptr;
  }
  const size_t size = SealedSize(plain.size, ends_file);
  if ((!ends_file && plain.size % kChunk != 0) || sealed.size < size) {
    Throw(env, "the run does not fit its buffers");
    return nullptr;
  }
  if (!ThreadCipher().Seal(key.data, first_chunk, ends_file, plain.data, plain.size, sealed.data)) {
    Throw(env, "the cipher failed");
    return nullptr;
  }
  return ToNumber(env, static_cast<double>(size));
}

/** openChunks(key, firstChunk, endsFile, sealed, plain): bytes written, or -1 - i when chunk i of the run is forged. */
napi_value OpenChunks(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  Bytes key, sealed, plain;
  uint64_t first_chunk = 0;
  bool ends_file = false;
  if (!ReadArguments(env, info, arguments) || !ReadKey(env, arguments[0], &key) ||
      !ReadCount(env, arguments[1], &first_chunk) || !ReadFlag(env, arguments[2], &ends_file) ||
      !ReadBytes(env, arguments[3], &sealed) || !ReadBytes(env, arguments[4], &plain)) {
    return nullptr;
  }
  const size_t chunks = (sealed.size + kSealedChunk - 1) / kSealedChunk;
  if (!IsSealedSize(sealed.size, ends_file) || plain.size < sealed.size - chunks * kTag) {
    Throw(env, "the run does not fit its buffers");
    return nullptr;
  }
  if (sealed.size == 0) return ToNumber(env, 0);
  const int64_t forged = ThreadCipher().Open(key.data, first_chunk, ends_file, sealed.data, sealed.size, plain.data);
  if (forged >= 0) return ToNumber(env, -1.0 - static_cast<double>(forged));
  return ToNumber(env, static_cast<double>(sealed.size - chunks * kTag));
}

}  // namespace

void AddPayload(napi_env env, napi_value exports) {
  AddFunction(env, exports, "sealChunks", SealChunks);
  AddFunction(env, exports, "openChunks", OpenChunks);
  AddFunction(env, exports, "sealBatch", StartSeal);
  AddFunction(env, exports, "openBatch", StartOpen);
  AddFunction(env, exports, "moveBatch", StartMove);
  AddFunction(env, exports, "digestBatch", StartDigest);
  AddFunction(env, exports, "pageOffset", PageOffset);
  AddFunction(env, exports, "createDigest", CreateDigest);
  AddFunction(env, exports, "finishDigest", FinishDigest);
}

}  // namespace sealwright
