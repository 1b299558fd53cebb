// What a sealed runtime must do to itself after Node has started and before a key arrives: the second half of the tracer
// guard, a closed list of system calls on every thread, and a look at what the launcher and the heap have reached. Linux only;
// elsewhere nothing is reported, so nothing is held.
#include "napi.h"

#if defined(__linux__)

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "filters.h"
#include "secret_heap.h"

namespace sealwright {
namespace {

struct Step {
  std::string name;
  bool is_held;
  std::string detail;
};

template <typename Function>
Function* HeapFunction(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

secret_heap_statistics HeapStatistics() {
  secret_heap_statistics statistics = {};
  if (auto* read = HeapFunction<secret_heap_statistics_function>("secret_heap_statistics")) read(&statistics);
  return statistics;
}

Step CheckDumpable() {
  const bool is_held = prctl(PR_GET_DUMPABLE) == 0;
  return {"not-dumpable", is_held, is_held ? "set before main; /proc entries belong to root" : "the heap was not preloaded"};
}

/** The start of a small file of /proc; empty when it cannot be read. */
std::string ReadStart(const std::string& path) {
  char text[4096];
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  const ssize_t size = read(file, text, sizeof text);
  close(file);
  return std::string(text, size > 0 ? static_cast<size_t>(size) : 0);
}

/** The value of a line "Name:\tvalue" of /proc/…/status, or -1. */
long StatusValue(const std::string& path, const char* name) {
  const std::string text = ReadStart(path);
  const size_t at = text.find(name);
  return at == std::string::npos ? -1 : std::strtol(text.c_str() + at + std::strlen(name), nullptr, 10);
}

/** Free of a swap device by the kernel's own count: 0 kB in all. */
bool HasSwap() {
  const std::string text = ReadStart("/proc/meminfo");
  const size_t at = text.find("SwapTotal:");
  return at == std::string::npos || std::strtol(text.c_str() + at + 10, nullptr, 10) != 0;
}

/** Whether every thread of this process has that tracer. */
bool AreAllTracedBy(long tracer) {
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) return false;
  bool all = true;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    const std::string path = std::string("/proc/self/task/") + entry->d_name + "/status";
    all &= StatusValue(path, "TracerPid:") == tracer;
  }
  closedir(folder);
  return all;
}

Step CheckSwap(const secret_heap_statistics& heap) {
  if (!heap.is_armed) return {"no-swap", false, "the heap was not preloaded"};
  if (heap.is_secret) return {"no-swap", true, "secret memory is never swapped or dumped"};
  if (heap.unlocked == 0) return {"no-swap", true, "locked, and excluded from dumps"};
  if (!HasSwap()) return {"no-swap", true, "excluded from dumps; this machine has no swap"};
  return {"no-swap", false, "the limit of locked memory is too small (RLIMIT_MEMLOCK) and there is swap"};
}

Step CheckSecretHeap(const secret_heap_statistics& heap) {
  if (heap.is_secret && heap.is_probe_sound)
    return {"secret-heap", true, "every allocation; reading it through /proc/self/mem is refused, ordinary memory reads"};
  return {"secret-heap", false, heap.reason[0] != '\0' ? heap.reason : "the heap was not asked to be secret"};
}

Step CheckStacks(const secret_heap_statistics& heap) {
  const bool is_held = heap.is_secret && heap.has_secret_stack && heap.foreign_stacks == 0;
  return {"secret-stacks", is_held, is_held ? "the main thread's and all that follow" : "a thread runs on ordinary memory"};
}

/**
 * Seizes the guard that traces this process. The tracer is a thread, so one stays for it alone: it only ever lets the guard
 * run on. When this process dies, the kernel kills the guard, and the other way round.
 */
Step CloseGuardRing() {
  const char* text = std::getenv("SEALWRIGHT_GUARD");
  if (text == nullptr || text[0] == '\0') return {"tracer-guard", false, "no guard was asked for"};
  char* end = nullptr;
  const long guard = std::strtol(text, &end, 10);
  if (*end != '\0' || guard <= 0) return {"tracer-guard", false, std::string("no guard: ") + text};
  std::atomic<int> outcome{-1};
  std::thread([guard, &outcome] {
    prctl(PR_SET_NAME, "sealed-guard");
    const bool seized = ptrace(PTRACE_SEIZE, static_cast<pid_t>(guard), nullptr, PTRACE_O_EXITKILL) == 0;
    outcome.store(seized ? 0 : errno);
    outcome.notify_one();
    if (!seized) return;
    for (;;) {
      int status = 0;
      if (waitpid(static_cast<pid_t>(guard), &status, __WALL) < 0) return;
      if (!WIFSTOPPED(status)) return;
      const bool is_job_control = (status >> 16) == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP;
      const int signal = (status >> 16) == 0 ? WSTOPSIG(status) : 0;
      ptrace(is_job_control ? PTRACE_LISTEN : PTRACE_CONT, static_cast<pid_t>(guard), nullptr, signal);
    }
  }).detach();
  outcome.wait(-1);
  if (outcome != 0) return {"tracer-guard", false, std::string("the guard itself is traced: ") + std::strerror(outcome)};
  // Every thread must have the guard as its tracer, also the ones that Node started before.
  const bool all = AreAllTracedBy(guard);
  return {"tracer-guard", all, all ? "every thread is traced by a guard, and the guard by this process" : "a thread has no guard"};
}

bool IsRefused(long result) { return result == -1 && errno == EPERM; }

Step EnterRunFilter() {
  static sw_filter filter;
  sw_run_filter(&filter, static_cast<uint32_t>(getpid()));
  const sock_fprog program = {filter.length, filter.code};
  const long result = sw_is_whole(&filter) ? syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) : -1;
  if (result != 0) return {"run-filter", false, result > 0 ? "a thread could not take the filter" : std::strerror(errno)};
  char* const nothing[] = {nullptr};
  std::atomic<bool> on_thread{false};
  std::thread([&] { on_thread = IsRefused(syscall(__NR_execve, "/proc/self/exe", nothing, nothing)); }).join();
  const bool is_held = on_thread && IsRefused(execve("/proc/self/exe", nothing, nothing)) &&
                       IsRefused(syscall(__NR_socket, 1, 1, 0)) && IsRefused(syscall(__NR_memfd_create, "", 0)) &&
                       IsRefused(ptrace(PTRACE_SEIZE, getppid(), nullptr, nullptr)) &&
                       IsRefused(syscall(__NR_process_vm_readv, getpid(), 0, 0, 0, 0, 0)) &&
                       IsRefused(open("/dev/null", O_WRONLY)) && IsRefused(syscall(__NR_clone, SIGCHLD, 0, 0, 0, 0)) &&
                       IsRefused(kill(getppid(), 0)) && IsRefused(prctl(PR_SET_DUMPABLE, 1));
  return {"run-filter", is_held, is_held ? "a closed list; exec, fork, sockets, writing, signals and debugging were tried"
                                         : "something forbidden went through"};
}

void AddStep(napi_env env, napi_value list, const Step& step) {
  napi_value entry = nullptr, name = nullptr, is_held = nullptr, detail = nullptr;
  uint32_t count = 0;
  napi_create_array_with_length(env, 3, &entry);
  napi_create_string_utf8(env, step.name.c_str(), step.name.size(), &name);
  napi_get_boolean(env, step.is_held, &is_held);
  napi_create_string_utf8(env, step.detail.c_str(), step.detail.size(), &detail);
  napi_set_element(env, entry, 0, name);
  napi_set_element(env, entry, 1, is_held);
  napi_set_element(env, entry, 2, detail);
  napi_get_array_length(env, list, &count);
  napi_set_element(env, list, count, entry);
}

/** lockDown(): [step, isHeld, detail][]. Once; afterwards this process can start nothing and write nowhere. */
napi_value LockDown(napi_env env, napi_callback_info) {
  napi_value list = nullptr;
  napi_create_array(env, &list);
  const secret_heap_statistics heap = HeapStatistics();
  AddStep(env, list, CheckDumpable());
  AddStep(env, list, CheckSwap(heap));
  AddStep(env, list, CheckSecretHeap(heap));
  AddStep(env, list, CheckStacks(heap));
  AddStep(env, list, CloseGuardRing());
  AddStep(env, list, EnterRunFilter());
  return list;
}

/** heapStatistics(): Float64Array-like list [isArmed, isSecret, mapped, used, live, peak, unlocked, refused]. */
napi_value ReadHeapStatistics(napi_env env, napi_callback_info) {
  const secret_heap_statistics heap = HeapStatistics();
  const size_t values[] = {static_cast<size_t>(heap.is_armed), static_cast<size_t>(heap.is_secret), heap.mapped, heap.used,
                           heap.live, heap.peak, heap.unlocked, heap.refused};
  napi_value list = nullptr;
  napi_create_array(env, &list);
  for (uint32_t i = 0; i < sizeof values / sizeof *values; i++) {
    napi_set_element(env, list, i, ToNumber(env, static_cast<double>(values[i])));
  }
  return list;
}

/** wipeStack(): zeroes what earlier calls left below the frames of the calling thread. */
napi_value WipeStack(napi_env, napi_callback_info) {
  if (auto* wipe = HeapFunction<secret_heap_wipe_stack_function>("secret_heap_wipe_stack")) wipe();
  return nullptr;
}

}  // namespace

void AddLockdown(napi_env env, napi_value exports) {
  AddFunction(env, exports, "lockDown", LockDown);
  AddFunction(env, exports, "heapStatistics", ReadHeapStatistics);
  AddFunction(env, exports, "wipeStack", WipeStack);
}

}  // namespace sealwright

#else

namespace sealwright {
void AddLockdown(napi_env, napi_value) {}
}  // namespace sealwright

#endif
