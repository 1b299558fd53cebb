// Starts a sealed runtime: gives up what the process will not need while it is still small and has one thread, tries each
// forbidden thing afterwards, and becomes Node. Everything started later, thread or library, inherits the restrictions.
//
//   sealwright-runtime LEVEL PARENT LASTFD HEAP COUNT READABLE… NODE ARGUMENT…
//
// LEVEL: R1 or R2. PARENT: process id of the engine. LASTFD: highest descriptor to keep. HEAP: the secret heap to preload.
// READABLE: COUNT paths Node may read. What was reached travels to the runtime in SEALWRIGHT_STEPS, a line a measure:
// name, tab, 1 or 0, tab, how it was seen or why not (names: main/core/policy/levels.ts).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filters.h"
#include "tracer_guard.h"

static char steps[8192] = "SEALWRIGHT_STEPS=";

static void report(const char* step, bool held, const char* format, ...) {
  const size_t used = strlen(steps);
  char detail[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(detail, sizeof detail, format, arguments);
  va_end(arguments);
  snprintf(steps + used, sizeof steps - used, "%s\t%d\t%s\n", step, held, detail);
}

static const char* why(void) { return strerror(errno); }

/** Only before exec: the caller sees the exit status and a process that never said it is ready. */
static void give_up(const char* what) {
  fprintf(stderr, "sealwright-runtime: %s: %s\n", what, why());
  _exit(70);
}

static void die_with_parent(pid_t parent) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return report("parent-death", false, "prctl: %s", why());
  // The parent may have died before the request; then nobody will ever signal.
  if (getppid() != parent) give_up("the engine is gone");
  int signal = 0;
  prctl(PR_GET_PDEATHSIG, &signal);
  report("parent-death", signal == SIGKILL, "killed when the engine's thread ends");
}

/** Locked memory as far as it goes, small stacks (they are locked too), no core. */
static void set_limits(void) {
  struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 && getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &limit);
  }
  if (getrlimit(RLIMIT_STACK, &limit) == 0) {
    limit.rlim_cur = 2 << 20;
    if (limit.rlim_cur <= limit.rlim_max) setrlimit(RLIMIT_STACK, &limit);
  }
  limit.rlim_cur = limit.rlim_max = 0;
  setrlimit(RLIMIT_CORE, &limit);
}

static void check_core_limit(void) {
  struct rlimit limit = {1 << 20, 1 << 20};
  const bool raised = setrlimit(RLIMIT_CORE, &limit) == 0;
  const bool zero = getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0;
  report("core-limit", !raised && zero, raised ? "the limit could be raised again" : "limit 0; raising it is refused");
}

static void close_others(int last) {
  if (syscall(__NR_close_range, last + 1, ~0u, 0) != 0) {
    for (int fd = last + 1; fd < 65536; fd++) close(fd);
  }
  bool open = false;
  for (int fd = last + 1; fd < 1024; fd++) open |= fcntl(fd, F_GETFD) != -1;
  report("descriptors", !open, "only 0 to %d are open", last);
}

/** Every line of the kernel's list of interfaces that names one names `lo`. */
static bool has_only_loopback(void) {
  FILE* list = fopen("/proc/self/net/dev", "re");
  if (list == NULL) return false;
  char line[512];
  bool only = true, seen = false;
  while (fgets(line, sizeof line, list) != NULL) {
    const char* colon = strchr(line, ':');
    if (colon == NULL) continue;
    const char* name = line + strspn(line, " ");
    const bool is_loopback = colon - name == 2 && strncmp(name, "lo", 2) == 0;
    seen = seen || is_loopback;
    only = only && is_loopback;
  }
  fclose(list);
  return only && seen;
}

/**
 * Only with the privilege for it. An ordinary user would need a user namespace of its own, and its creator may trace
 * whatever runs in there, dumpable or not: that would open what the other measures close.
 */
static void leave_network(void) {
  if (unshare(CLONE_NEWNET) != 0) {
    const int reason = errno;
    // A service with PrivateNetwork=yes, or a container without a network: it is as empty as ours would be.
    if (has_only_loopback()) return report("network-namespace", true, "the one it is in has no interface but loopback");
    errno = reason;
    return report("network-namespace", false, "%s: needs root or PrivateNetwork=yes; sockets are refused anyway", why());
  }
  const int probe = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const bool reached = probe >= 0 && connect(probe, (struct sockaddr*)&address, sizeof address) == 0;
  if (probe >= 0) close(probe);
  report("network-namespace", !reached, "not even loopback can be reached");
}

/** None, except locking memory where the limit could not be lifted and the privilege is there. */
static void drop_capabilities(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct wanted[2] = {0}, now[2];
  struct rlimit locked;
  syscall(__NR_capget, &header, now);
  const uint32_t lock = 1u << CAP_IPC_LOCK;
  const bool keeps = getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_cur != RLIM_INFINITY && (now[0].permitted & lock);
  // Root without this would get them all back at exec.
  prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED);
  if (keeps) {
    wanted[0] = now[0];
    wanted[1] = now[1];
    wanted[0].inheritable |= lock;
    syscall(__NR_capset, &header, wanted);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_IPC_LOCK, 0, 0);
    wanted[0] = (struct __user_cap_data_struct){lock, lock, lock};
  }
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) prctl(PR_CAPBSET_DROP, capability);
  wanted[1] = (struct __user_cap_data_struct){0};
  const bool dropped = syscall(__NR_capset, &header, wanted) == 0 && syscall(__NR_capget, &header, now) == 0 &&
                       now[0].permitted == wanted[0].permitted && now[1].permitted == 0 && chroot("/") != 0;
  const bool sealed = geteuid() != 0 || (prctl(PR_GET_SECUREBITS) & SECBIT_NOROOT) != 0;
  report("capabilities", dropped && sealed, "%s; chroot is refused", keeps ? "none but locking memory" : "none permitted");
}

static void refuse_privileges(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  report("no-new-privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "set, and cannot be unset");
}

#define READING (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILES_ABI1 ((1ull << 13) - 1)

static void allow_reading(int ruleset, const char* path) {
  struct landlock_path_beneath_attr rule = {.parent_fd = open(path, O_PATH | O_CLOEXEC)};
  if (rule.parent_fd < 0) return;  // what is not there need not be allowed
  rule.allowed_access = READING;
  if (syscall(__NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    rule.allowed_access = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;  // not a folder
    syscall(__NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
  }
  close(rule.parent_fd);
}

/** Attributes of newer interfaces than the headers know: network (4), ioctl on devices (5), scopes (6). */
struct ruleset {
  uint64_t files, network, scopes;
};

static void enter_landlock(char* const* readable, int count) {
  static const char* const system[] = {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/dev/null",
                                       "/dev/urandom", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
                                       "/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu",
                                       "/sys/devices/system/node", "/sys/fs/cgroup", "/etc/localtime"};
  const long abi = syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1) return report("landlock", false, "%s: the kernel needs CONFIG_SECURITY_LANDLOCK and lsm=landlock", why());
  struct ruleset rules = {FILES_ABI1, 0, 0};
  if (abi >= 2) rules.files |= 1ull << 13;  // refer
  if (abi >= 3) rules.files |= 1ull << 14;  // truncate
  if (abi >= 5) rules.files |= 1ull << 15;  // ioctl on devices
  if (abi >= 4) rules.network = 3;          // bind and connect TCP
  if (abi >= 6) rules.scopes = 3;           // abstract Unix sockets and signals
  const size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
  const int ruleset = (int)syscall(__NR_landlock_create_ruleset, &rules, size, 0);
  if (ruleset < 0) return report("landlock", false, "ruleset: %s", why());
  for (size_t i = 0; i < sizeof system / sizeof *system; i++) allow_reading(ruleset, system[i]);
  for (int i = 0; i < count; i++) allow_reading(ruleset, readable[i]);
  const bool entered = syscall(__NR_landlock_restrict_self, ruleset, 0) == 0;
  close(ruleset);
  const bool reads = open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES;
  const bool writes = open("/tmp", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600) >= 0 || errno != EACCES;
  const bool parent = open("/proc/1/root", O_RDONLY | O_CLOEXEC) >= 0;
  report("landlock", entered && !reads && !writes && !parent,
         "version %ld; reading outside, writing anywhere and other processes' roots are refused", abi);
}

static bool refused(long result) { return result == -1 && errno == EPERM; }

static void enter_filter(void) {
  static struct sw_filter filter;
  sw_start_filter(&filter);
  const struct sock_fprog program = {filter.length, filter.code};
  if (!sw_is_whole(&filter) || syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    return report("start-filter", false, "seccomp: %s", why());
  }
  const bool held = refused(socket(AF_UNIX, SOCK_STREAM, 0)) && refused(ptrace(PTRACE_TRACEME, 0, 0, 0)) &&
                    refused(syscall(__NR_process_vm_readv, getpid(), 0, 0, 0, 0, 0)) &&
                    refused(syscall(__NR_io_uring_setup, 1, 0)) && refused(syscall(__NR_bpf, 0, 0, 0)) &&
                    refused(syscall(__NR_perf_event_open, 0, 0, 0, 0, 0)) &&
                    refused(syscall(__NR_userfaultfd, 0)) && refused(syscall(__NR_memfd_create, "", 0)) &&
                    refused(open("/dev/null", O_WRONLY)) && refused(syscall(__NR_clone, SIGCHLD, 0, 0, 0, 0));
  report("start-filter", held,
         "sockets, debugging, process_vm, io_uring, bpf, perf, userfaultfd, memfd, writing and fork are refused");
}

int main(int argc, char** argv) {
  if (argc < 8) return 64;
  const bool is_secret = strcmp(argv[1], "R2") == 0;
  const char* heap = argv[4];
  const int readable = atoi(argv[5]);
  if (readable < 0 || argc < 7 + readable) return 64;
  char** command = argv + 6 + readable;

  die_with_parent((pid_t)atoi(argv[2]));
  set_limits();
  close_others(atoi(argv[3]));
  leave_network();
  drop_capabilities();
  check_core_limit();
  refuse_privileges();
  enter_landlock(argv + 6, readable);
  char guard[64] = "SEALWRIGHT_GUARD=";
  if (is_secret) {
    const char* reason = sw_start_guard();
    snprintf(guard, sizeof guard, "SEALWRIGHT_GUARD=%.40s", reason);
  }
  enter_filter();

  char preload[4200], backing[32], cache[4200] = "";
  snprintf(preload, sizeof preload, "LD_PRELOAD=%s", heap);
  snprintf(backing, sizeof backing, "SEALHEAP=%s", is_secret ? "secret" : "locked");
  const char* cached = getenv("NODE_COMPILE_CACHE");
  report("environment", true, "six variables of our own");
  char* environment[] = {preload, backing, steps, guard, NULL, NULL};
  if (cached != NULL) {
    snprintf(cache, sizeof cache, "NODE_COMPILE_CACHE=%s", cached);
    environment[4] = cache;
  }
  execve(command[0], command, environment);
  give_up(command[0]);
}
