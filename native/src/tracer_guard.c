// The guard seizes the runtime with PTRACE_SEIZE before Node exists and every thread it starts from then on; a thread of
// the runtime seizes the guard in turn (lockdown.cc), so neither can be attached to. When either dies, the kernel kills the
// other (PTRACE_O_EXITKILL). The guard holds no secret, and its filter leaves it nothing but letting stopped threads run.
#define _GNU_SOURCE
#include "tracer_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filters.h"

/** Nothing but waiting, resuming and leaving. */
static bool enter_guard_filter(void) {
  static struct sw_filter filter;
  static const uint32_t resuming[] = {PTRACE_CONT, PTRACE_LISTEN};
  sw_begin(&filter);
  sw_answer(&filter, __NR_wait4, SECCOMP_RET_ALLOW);
  sw_answer(&filter, __NR_exit_group, SECCOMP_RET_ALLOW);
  sw_allow_when(&filter, __NR_ptrace, 0, 0xffffffff, resuming, 2, SECCOMP_RET_KILL_PROCESS);
  sw_return(&filter, SECCOMP_RET_KILL_PROCESS);
  const struct sock_fprog program = {filter.length, filter.code};
  return sw_is_whole(&filter) && syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

static void resume_for_ever(pid_t runtime) {
  for (;;) {
    int status = 0;
    const pid_t thread = wait4(-1, &status, __WALL, NULL);
    if (thread < 0) _exit(0);  // nobody left to guard
    if (!WIFSTOPPED(status)) {
      if (thread == runtime) _exit(0);
      continue;
    }
    const int event = status >> 16;
    const int signal = WSTOPSIG(status);
    if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) ptrace(PTRACE_LISTEN, thread, 0, 0);  // a job-control stop
    else ptrace(PTRACE_CONT, thread, 0, event == 0 ? signal : 0);
  }
}

static void guard(pid_t runtime, int ready) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);  // a signal would stop it in its own tracer's hands
  prctl(PR_SET_NAME, "sealed-guard");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
  const int error = ptrace(PTRACE_SEIZE, runtime, 0, options) == 0 ? 0 : errno;
  if (write(ready, &error, sizeof error) != sizeof error || error != 0) _exit(1);
  // Its copies of the channel and of the package would outlive the runtime's.
  syscall(__NR_close_range, 0, ~0u, 0);
  if (!enter_guard_filter()) _exit(1);
  resume_for_ever(runtime);
}

const char* sw_start_guard(void) {
  static char answer[64];
  const pid_t runtime = getpid();
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return "pipe";
  const pid_t child = fork();
  if (child < 0) return "fork";
  if (child == 0) guard(runtime, ready[1]);
  close(ready[1]);
  prctl(PR_SET_PTRACER, child);  // Yama: a child may not trace its parent otherwise; without Yama this fails, harmlessly
  int error = EIO;
  const bool answered = read(ready[0], &error, sizeof error) == sizeof error;
  close(ready[0]);
  if (answered && error == 0) {
    snprintf(answer, sizeof answer, "%d", (int)child);
    return answer;
  }
  waitpid(child, NULL, 0);
  snprintf(answer, sizeof answer, "%s", error == EPERM ? "something traces already, or Yama forbids" : strerror(error));
  return answer;
}
