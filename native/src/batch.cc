#include "batch.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "file_io.h"

namespace sealwright {

/** What the batches of one JavaScript environment share. Owned by the environment. */
class Environment {
 public:
  static Environment* Of(napi_env env);
  void Queue(std::unique_ptr<Batch> batch, bool is_urgent);

 private:
  friend class Crew;
  static void Settle(napi_env env, napi_value, void* context, void* data);
  static void End(void* data);

  napi_env env_ = nullptr;
  napi_threadsafe_function settle_ = nullptr;
  /** Batches without an answer yet; touched by the environment's thread only. */
  size_t pending_ = 0;
  /** Batches that run at this moment; guarded by the crew. */
  size_t running_ = 0;
};

namespace {

struct Job {
  Environment* environment = nullptr;
  std::unique_ptr<Batch> batch;
};

/** Fewer would leave a core idle whenever a disk is waited for; more would need more buffers than a ring has. */
size_t CrewSize() { return std::clamp<size_t>(std::thread::hardware_concurrency(), 2, 4); }

}  // namespace

/** The threads, started as they are needed and kept. They outlive every environment, so nothing here is ever destroyed. */
class Crew {
 public:
  static Crew& Get() {
    static Crew* crew = new Crew;
    return *crew;
  }

  void Queue(Environment* environment, std::unique_ptr<Batch> batch, bool is_urgent) {
    const std::lock_guard lock(mutex_);
    Job job{environment, std::move(batch)};
    if (is_urgent) {
      queue_.push_front(std::move(job));
    } else {
      queue_.push_back(std::move(job));
    }
    if (idle_ < queue_.size() && threads_ < CrewSize()) {
      std::thread([this] { Work(); }).detach();
      threads_ += 1;
    }
    wake_.notify_one();
  }

  /** Drops what waits for `environment` and waits for what runs. */
  void Leave(Environment* environment) {
    std::unique_lock lock(mutex_);
    std::erase_if(queue_, [&](const Job& job) { return job.environment == environment; });
    ended_.wait(lock, [&] { return environment->running_ == 0; });
  }

 private:
  [[noreturn]] void Work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      idle_ += 1;
      wake_.wait(lock, [&] { return !queue_.empty(); });
      idle_ -= 1;
      Job job = std::move(queue_.front());
      queue_.pop_front();
      job.environment->running_ += 1;
      lock.unlock();
      job.batch->Run();
      Batch* settled = job.batch.release();
      if (napi_call_threadsafe_function(job.environment->settle_, settled, napi_tsfn_nonblocking) != napi_ok) {
        delete settled;  // the environment is going: nobody waits for an answer
      }
      lock.lock();
      job.environment->running_ -= 1;
      ended_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, ended_;
  std::deque<Job> queue_;
  size_t threads_ = 0, idle_ = 0;
};

/** The environment's share, made at its first batch; null when Node-API fails. */
Environment* Environment::Of(napi_env env) {
  void* known = nullptr;
  if (napi_get_instance_data(env, &known) == napi_ok && known != nullptr) return static_cast<Environment*>(known);
  auto made = std::make_unique<Environment>();
  made->env_ = env;
  napi_value name = nullptr;
  if (napi_create_string_utf8(env, "sealwright:batch", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, made.get(), Settle,
                                      &made->settle_) != napi_ok ||
      napi_unref_threadsafe_function(env, made->settle_) != napi_ok ||
      napi_add_env_cleanup_hook(env, End, made.get()) != napi_ok ||
      napi_set_instance_data(
          env, made.get(), [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); }, nullptr) !=
          napi_ok) {
    return nullptr;
  }
  return made.release();
}

void Environment::Queue(std::unique_ptr<Batch> batch, bool is_urgent) {
  // A program with work under way does not end.
  if (pending_ == 0) napi_ref_threadsafe_function(env_, settle_);
  pending_ += 1;
  Crew::Get().Queue(this, std::move(batch), is_urgent);
}

void Environment::End(void* data) { Crew::Get().Leave(static_cast<Environment*>(data)); }

/** On the environment's thread. */
void Environment::Settle(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<Batch> batch(static_cast<Batch*>(data));
  if (env == nullptr) return;
  auto* environment = static_cast<Environment*>(context);
  environment->pending_ -= 1;
  if (environment->pending_ == 0) napi_unref_threadsafe_function(env, environment->settle_);
  batch->Settle(env);
}

void Batch::Settle(napi_env env) {
  napi_handle_scope scope = nullptr;
  napi_open_handle_scope(env, &scope);
  napi_value result = nullptr;
  napi_create_array_with_length(env, 2, &result);
  napi_set_element(env, result, 0, ToNumber(env, static_cast<double>(status_)));
  napi_set_element(env, result, 1, ToNumber(env, static_cast<double>(detail_)));
  napi_resolve_deferred(env, deferred_, result);
  for (napi_ref reference : held_) napi_delete_reference(env, reference);
  napi_close_handle_scope(env, scope);
}

napi_value Batch::Start(napi_env env, std::unique_ptr<Batch> batch, bool is_urgent) {
  Environment* environment = Environment::Of(env);
  napi_value promise = nullptr;
  if (environment == nullptr || napi_create_promise(env, &batch->deferred_, &promise) != napi_ok) {
    Throw(env, "the batch could not be queued");
    return nullptr;
  }
  environment->Queue(std::move(batch), is_urgent);
  return promise;
}

void Batch::Hold(napi_env env, napi_value value) {
  napi_ref reference = nullptr;
  if (napi_create_reference(env, value, 1, &reference) == napi_ok) held_.push_back(reference);
}

bool Batch::ReadAt(int file, uint64_t offset, uint8_t* to, size_t size) {
  while (size > 0) {
    const int64_t got = ReadFile(file, offset, to, size);
    if (got < 0) return Fail(Status::kReadFailed, -got), false;
    if (got == 0) return Fail(Status::kShortRead, 0), false;
    offset += static_cast<uint64_t>(got);
    to += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool Batch::WriteAt(int file, uint64_t offset, const uint8_t* from, size_t size) {
  while (size > 0) {
    const int64_t put = WriteFile(file, offset, from, size);
    if (put <= 0) return Fail(Status::kWriteFailed, -put), false;
    offset += static_cast<uint64_t>(put);
    from += put;
    size -= static_cast<size_t>(put);
  }
  return true;
}

bool Batch::ReadPieces(const std::vector<Piece>& pieces, Bytes buffer) {
  for (const Piece& piece : pieces) {
    if (!ReadAt(piece.file, piece.offset, buffer.data + piece.at, piece.length)) return false;
  }
  return true;
}

bool Batch::WritePieces(const std::vector<Piece>& pieces, Bytes buffer) {
  for (const Piece& piece : pieces) {
    if (!WriteAt(piece.file, piece.offset, buffer.data + piece.at, piece.length)) return false;
  }
  return true;
}

}  // namespace sealwright
