// JavaScript's view of a TPM: `openTpm(tcti)` gives a handle, `callTpm(handle, command, numbers, bytes)` a promise of
// [rc, step, ...bytes], `closeTpm(handle)` a promise. Every handle has a thread of its own that runs one command after the
// other: neither the main thread nor libuv's few wait for a chip, and ESYS contexts are used by one thread only.
#include "napi.h"

#include "tpm_commands.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

namespace sealwright {
#if SEALWRIGHT_TSS
namespace {

struct Call {
  Request request;
  TSS2_RC failure = TSS2_RC_SUCCESS;
  std::string step;
  Response response;
  napi_deferred deferred = nullptr;
  bool is_last = false;
};

/** What the thread and JavaScript share; it lives as long as either of them. */
struct Shared {
  const Tss* tss = nullptr;
  std::string tcti;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::unique_ptr<Call>> queue;
  bool is_closing = false;
  /** Calls without an answer yet; touched by the main thread only. */
  size_t pending = 0;
  napi_threadsafe_function settle = nullptr;
};

/** Whether a command's answer is a secret. */
bool IsSecret(const std::string& command) {
  return command == "ecdh" || command == "unseal" || command == "activateCredential";
}

/**
 * What a chip or its resource manager says of a handle that is not there (TPM 2.0 part 2, 6.6.3): TPM_RC_HANDLE, and the
 * warnings REFERENCE_H0 to S6.
 */
bool IsAboutMissingHandle(TSS2_RC rc) {
  const TSS2_RC layer = rc & TSS2_RC_LAYER_MASK, code = rc & 0xffff;
  if (layer != TSS2_TPM_RC_LAYER && layer != TSS2_RESMGR_TPM_RC_LAYER) return false;
  if ((code & TPM2_RC_FMT1) != 0) return (code & 0xbf) == TPM2_RC_HANDLE;
  return code >= TPM2_RC_REFERENCE_H0 && code <= TPM2_RC_REFERENCE_S6;
}

bool Try(Connection& connection, Call* call) {
  const Command command = FindCommand(call->request.command);
  connection.failure = TSS2_RC_SUCCESS;
  return command != nullptr ? command(connection, Arguments(call->request), &call->response)
                            : connection.Check("find the command", kBadArgument);
}

void Run(Connection& connection, Call* call) {
  const bool remembers = connection.primary() != ESYS_TR_NONE;
  if (Try(connection, call)) return;
  // The TPM may have been cleared or started anew since this connection put something there: then nothing it remembers
  // counts, and what is true now is found out from the beginning, once.
  if (remembers && IsAboutMissingHandle(connection.failure)) {
    call->response.clear();
    connection.DropAll();
    if (Try(connection, call)) return;
  }
  call->failure = connection.failure;
  call->step = connection.failed_step;
  call->response.clear();
  // Whatever went wrong, the next command starts with nothing of this one.
  connection.DropKey();
  connection.DropSession();
}

void Work(const std::shared_ptr<Shared>& shared) {
  auto connection = std::make_unique<Connection>(shared->tss, shared->tcti);
  bool is_open = false;
  for (;;) {
    std::unique_ptr<Call> call;
    {
      std::unique_lock lock(shared->mutex);
      shared->wake.wait(lock, [&] { return !shared->queue.empty(); });
      call = std::move(shared->queue.front());
      shared->queue.pop_front();
    }
    const bool is_last = call->is_last, is_secret = IsSecret(call->request.command);
    if (is_last) {
      connection.reset();
    } else {
      if (!is_open) is_open = connection->Open();
      if (is_open) {
        Run(*connection, call.get());
      } else {
        call->failure = connection->failure;
        call->step = connection->failed_step;
        connection = std::make_unique<Connection>(shared->tss, shared->tcti);
      }
    }
    Call* settled = call.release();
    if (napi_call_threadsafe_function(shared->settle, settled, napi_tsfn_nonblocking) != napi_ok) {
      delete settled;  // the environment is going: nobody waits for an answer
    }
    if (is_last) break;
    // After the answer was handed over: nobody waits for this.
    if (is_open && is_secret) connection->Scrub();
  }
  napi_release_threadsafe_function(shared->settle, napi_tsfn_release);
}

/** On the main thread: turns a finished call into [rc, step, ...bytes]. */
void Settle(napi_env env, napi_value, void* context, void* data) {
  std::unique_ptr<Call> call(static_cast<Call*>(data));
  if (env == nullptr) return;
  napi_handle_scope scope = nullptr;
  napi_open_handle_scope(env, &scope);
  napi_value result = nullptr, step = nullptr;
  napi_create_array(env, &result);
  napi_create_string_utf8(env, call->step.c_str(), call->step.size(), &step);
  napi_set_element(env, result, 0, ToNumber(env, call->failure));
  napi_set_element(env, result, 1, step);
  uint32_t index = 2;
  for (const SecretBytes& bytes : call->response) {
    napi_value buffer = nullptr;
    napi_create_buffer_copy(env, bytes.size(), bytes.data(), nullptr, &buffer);
    napi_set_element(env, result, index++, buffer);
  }
  napi_resolve_deferred(env, call->deferred, result);
  napi_close_handle_scope(env, scope);
  auto* shared = static_cast<Shared*>(context);
  shared->pending -= 1;
  if (shared->pending == 0) napi_unref_threadsafe_function(env, shared->settle);
}

napi_value Enqueue(napi_env env, const std::shared_ptr<Shared>& shared, std::unique_ptr<Call> call) {
  napi_value promise = nullptr;
  std::lock_guard lock(shared->mutex);
  if (shared->is_closing) {
    Throw(env, "the TPM was closed");
    return nullptr;
  }
  if (napi_create_promise(env, &call->deferred, &promise) != napi_ok) {
    Throw(env, "no promise could be made");
    return nullptr;
  }
  shared->is_closing = call->is_last;
  // A program with a question under way does not end; one that only holds a handle may.
  if (shared->pending == 0) napi_ref_threadsafe_function(env, shared->settle);
  shared->pending += 1;
  shared->queue.push_back(std::move(call));
  shared->wake.notify_one();
  return promise;
}

bool ReadShared(napi_env env, napi_value value, std::shared_ptr<Shared>** out) {
  void* data = nullptr;
  if (napi_get_value_external(env, value, &data) != napi_ok) {
    Throw(env, "expected a TPM");
    return false;
  }
  *out = static_cast<std::shared_ptr<Shared>*>(data);
  return true;
}

bool ReadText(napi_env env, napi_value value, std::string* out) {
  char text[1024];
  size_t size = 0;
  if (napi_get_value_string_utf8(env, value, text, sizeof text, &size) != napi_ok || size >= sizeof text - 1) {
    Throw(env, "expected a short text");
    return false;
  }
  out->assign(text, size);
  return true;
}

/** openTpm(tcti): a handle. The connection is made with the first command. */
napi_value OpenTpm(napi_env env, napi_callback_info info) {
  napi_value arguments[1], name = nullptr, handle = nullptr;
  auto shared = std::make_shared<Shared>();
  shared->tss = LoadTss();
  if (!ReadArguments(env, info, arguments) || !ReadText(env, arguments[0], &shared->tcti)) return nullptr;
  if (shared->tss == nullptr) {
    Throw(env, "tpm2-tss is not installed");
    return nullptr;
  }
  napi_create_string_utf8(env, "sealwright:tpm", NAPI_AUTO_LENGTH, &name);
  auto kept = std::make_unique<std::shared_ptr<Shared>>(shared);
  // The finaliser of the function owns a share: `Settle` may run after JavaScript let go of the handle.
  auto context = std::make_unique<std::shared_ptr<Shared>>(shared);
  if (napi_create_threadsafe_function(
          env, nullptr, nullptr, name, 0, 1, context.get(),
          [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Shared>*>(data); }, shared.get(),
          Settle, &shared->settle) != napi_ok) {
    Throw(env, "the TPM's thread could not be prepared");
    return nullptr;
  }
  context.release();
  napi_unref_threadsafe_function(env, shared->settle);
  if (napi_create_external(
          env, kept.get(), [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Shared>*>(data); },
          nullptr, &handle) != napi_ok) {
    Throw(env, "the TPM's handle could not be made");
    return nullptr;
  }
  kept.release();
  // Detached: a chip that never answers must not keep the process from ending.
  std::thread(Work, shared).detach();
  return handle;
}

/** callTpm(handle, command, numbers: Uint32Array, bytes: Uint8Array[]) */
napi_value CallTpm(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  std::shared_ptr<Shared>* shared = nullptr;
  auto call = std::make_unique<Call>();
  if (!ReadArguments(env, info, arguments) || !ReadShared(env, arguments[0], &shared) ||
      !ReadText(env, arguments[1], &call->request.command)) {
    return nullptr;
  }
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  bool is_typed_array = false;
  if (napi_is_typedarray(env, arguments[2], &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(env, arguments[2], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint32_array || length > 64) {
    Throw(env, "expected numbers as a Uint32Array");
    return nullptr;
  }
  const auto* numbers = static_cast<const uint32_t*>(data);
  call->request.numbers.assign(numbers, numbers + length);
  uint32_t count = 0;
  if (napi_get_array_length(env, arguments[3], &count) != napi_ok || count > 64) {
    Throw(env, "expected an array of bytes");
    return nullptr;
  }
  for (uint32_t i = 0; i < count; i += 1) {
    napi_value element = nullptr;
    Bytes bytes;
    if (napi_get_element(env, arguments[3], i, &element) != napi_ok || !ReadBytes(env, element, &bytes)) return nullptr;
    call->request.bytes.emplace_back(bytes.data, bytes.size);
  }
  return Enqueue(env, *shared, std::move(call));
}

/** closeTpm(handle): settles when everything of ours in the TPM was flushed. */
napi_value CloseTpm(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  std::shared_ptr<Shared>* shared = nullptr;
  if (!ReadArguments(env, info, arguments) || !ReadShared(env, arguments[0], &shared)) return nullptr;
  auto call = std::make_unique<Call>();
  call->is_last = true;
  return Enqueue(env, *shared, std::move(call));
}

napi_value HasTss(napi_env env, napi_callback_info) {
  napi_value out = nullptr;
  napi_get_boolean(env, LoadTss() != nullptr, &out);
  return out;
}

}  // namespace

Command FindCommand(const std::string& name) {
  static constexpr struct {
    const char* name;
    Command command;
  } kCommands[] = {
      {"createKey", CreateKey},
      {"describeKey", DescribeKey},
      {"removePersistent", RemovePersistent},
      {"ecdh", Ecdh},
      {"sign", SignDigest},
      {"unseal", UnsealSecret},
      {"endorsement", ReadEndorsement},
      {"makeCredential", MakeCredential},
      {"activateCredential", ActivateCredential},
      {"certify", CertifyKey},
      {"quote", QuotePcrs},
      {"readPcrs", ReadPcrs},
      {"properties", ReadProperties},
      {"handles", ListHandles},
      {"defineCounter", DefineCounter},
      {"incrementCounter", IncrementCounter},
      {"readCounter", ReadCounter},
      {"removeCounter", RemoveCounter},
  };
  for (const auto& entry : kCommands) {
    if (name == entry.name) return entry.command;
  }
  return nullptr;
}

void AddTpm(napi_env env, napi_value exports) {
  AddFunction(env, exports, "hasTss", HasTss);
  AddFunction(env, exports, "openTpm", OpenTpm);
  AddFunction(env, exports, "callTpm", CallTpm);
  AddFunction(env, exports, "closeTpm", CloseTpm);
}

#else

/** Built without tpm2-tss's headers: there is nothing to add, and native/lib/tpm.ts says what to install. */
void AddTpm(napi_env, napi_value) {}

#endif
}  // namespace sealwright
