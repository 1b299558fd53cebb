// Seccomp filters of the sealed runtime, assembled by hand for x86-64 and arm64. The launcher applies the start filter
// before Node exists; the addon applies the run filter, a closed list, to every thread before a key arrives.
#pragma once

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define SW_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define SW_ARCH AUDIT_ARCH_AARCH64
#else
#error "no filter for this architecture"
#endif

// Calls newer than the C library's headers; the numbers are the same on both architectures.
#define SW_NR_process_mrelease 448
#define SW_NR_memfd_secret 447
#define SW_NR_futex_waitv 449
#define SW_NR_cachestat 451
#define SW_NR_futex_wake 454
#define SW_NR_futex_wait 455
#define SW_NR_futex_requeue 456

#define SW_MAX_FILTER 1024

struct sw_filter {
  struct sock_filter code[SW_MAX_FILTER];
  unsigned short length;
};

static inline void sw_emit(struct sw_filter* filter, uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false) {
  if (filter->length < SW_MAX_FILTER) filter->code[filter->length] = (struct sock_filter){code, if_true, if_false, k};
  filter->length++;  // over the end is seen by sw_is_whole
}

static inline int sw_is_whole(const struct sw_filter* filter) { return filter->length <= SW_MAX_FILTER; }

static inline void sw_load(struct sw_filter* filter, uint32_t offset) {
  sw_emit(filter, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}
static inline void sw_return(struct sw_filter* filter, uint32_t action) {
  sw_emit(filter, BPF_RET | BPF_K, action, 0, 0);
}

#define SW_NUMBER ((uint32_t)offsetof(struct seccomp_data, nr))
/** Low half of an argument: flags and small numbers; both architectures are little-endian. */
#define SW_LOW(i) ((uint32_t)(offsetof(struct seccomp_data, args) + 8 * (i)))
#define SW_HIGH(i) (SW_LOW(i) + 4)
#define SW_REFUSE(error) (SECCOMP_RET_ERRNO | ((error) & SECCOMP_RET_DATA))

/** Another architecture's numbers (32-bit calls, x32) mean other things: nothing of ours makes them. */
static inline void sw_begin(struct sw_filter* filter) {
  filter->length = 0;
  sw_load(filter, offsetof(struct seccomp_data, arch));
  sw_emit(filter, BPF_JMP | BPF_JEQ | BPF_K, SW_ARCH, 1, 0);
  sw_return(filter, SECCOMP_RET_KILL_PROCESS);
  sw_load(filter, SW_NUMBER);
#if defined(__x86_64__)
  sw_emit(filter, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
  sw_return(filter, SECCOMP_RET_KILL_PROCESS);
#endif
}

static inline void sw_answer(struct sw_filter* filter, uint32_t number, uint32_t action) {
  sw_emit(filter, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
  sw_return(filter, action);
}

/** Allows the call when `argument & mask` is one of `values`; otherwise answers `action`. At most 8 values. */
static inline void sw_allow_when(struct sw_filter* filter, uint32_t number, int argument, uint32_t mask,
                                 const uint32_t* values, uint8_t count, uint32_t action) {
  sw_emit(filter, BPF_JMP | BPF_JEQ | BPF_K, number, 0, (uint8_t)(count + 4));
  sw_load(filter, SW_LOW(argument));
  sw_emit(filter, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
  for (uint8_t i = 0; i < count; i++) {
    sw_emit(filter, BPF_JMP | BPF_JEQ | BPF_K, values[i], (uint8_t)(count - i), 0);
  }
  sw_return(filter, action);
  sw_return(filter, SECCOMP_RET_ALLOW);
}

/** Any way of opening for writing, creating or truncating. */
#define SW_WRITING (01u | 02u | 0100u | 01000u)  // O_WRONLY, O_RDWR, O_CREAT, O_TRUNC; O_TMPFILE needs one of the first two

static inline void sw_read_only_files(struct sw_filter* filter) {
  static const uint32_t reading[] = {0};
#if defined(__NR_open)
  sw_allow_when(filter, __NR_open, 1, SW_WRITING, reading, 1, SW_REFUSE(EPERM));
#endif
  sw_allow_when(filter, __NR_openat, 2, SW_WRITING, reading, 1, SW_REFUSE(EPERM));
  // Its flags are in memory, where a filter cannot look. The C library falls back.
  sw_answer(filter, __NR_openat2, SW_REFUSE(ENOSYS));
}

/** Threads yes, processes no. */
static inline void sw_threads_only(struct sw_filter* filter) {
  static const uint32_t thread[] = {0x00010100};  // CLONE_THREAD | CLONE_VM
  sw_allow_when(filter, __NR_clone, 0, 0x00010100, thread, 1, SW_REFUSE(EPERM));
  sw_answer(filter, __NR_clone3, SW_REFUSE(ENOSYS));  // as openat2
}

/** What Node never needs while it starts, and what would make a sealed process useful to an intruder. */
static inline void sw_start_filter(struct sw_filter* filter) {
  static const uint16_t refused[] = {
      __NR_socket, __NR_socketpair, __NR_connect, __NR_bind, __NR_listen, __NR_accept, __NR_accept4,
      __NR_process_vm_readv, __NR_process_vm_writev, __NR_pidfd_getfd, __NR_process_madvise, SW_NR_process_mrelease,
      __NR_kcmp, __NR_io_uring_setup, __NR_io_uring_enter, __NR_io_uring_register, __NR_bpf, __NR_perf_event_open,
      __NR_userfaultfd, __NR_memfd_create, __NR_add_key, __NR_request_key, __NR_keyctl, __NR_mount, __NR_umount2,
      __NR_open_tree, __NR_move_mount, __NR_fsopen, __NR_fsconfig, __NR_fsmount, __NR_fspick, __NR_mount_setattr,
      __NR_pivot_root, __NR_chroot, __NR_unshare, __NR_setns, __NR_init_module, __NR_finit_module, __NR_delete_module,
      __NR_kexec_load, __NR_reboot, __NR_swapon, __NR_swapoff, __NR_acct, __NR_quotactl, __NR_name_to_handle_at,
      __NR_open_by_handle_at, __NR_fanotify_init, __NR_syslog, __NR_clock_settime, __NR_settimeofday, __NR_adjtimex,
      __NR_personality, __NR_mknodat, __NR_linkat, __NR_symlinkat, __NR_renameat2, __NR_fchmod, __NR_fchmodat,
      __NR_fchown, __NR_fchownat, __NR_truncate, __NR_setxattr, __NR_vmsplice, __NR_tkill, __NR_rt_sigqueueinfo,
      __NR_rt_tgsigqueueinfo, __NR_pidfd_send_signal, __NR_pidfd_open, __NR_execveat,
#if defined(__x86_64__)
      __NR_fork, __NR_vfork, __NR_creat, __NR_iopl, __NR_ioperm, __NR_modify_ldt, __NR_mknod, __NR_link, __NR_symlink,
      __NR_rename, __NR_renameat, __NR_chmod, __NR_chown, __NR_lchown, __NR_kexec_file_load, __NR_uselib, __NR_ustat,
#endif
  };
  // The addon closes the ring of the tracer guard with one SEIZE; the run filter then takes that away.
  static const uint32_t tracing[] = {PTRACE_SEIZE, PTRACE_CONT, PTRACE_LISTEN};
  sw_begin(filter);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) sw_answer(filter, refused[i], SW_REFUSE(EPERM));
  sw_read_only_files(filter);
  sw_threads_only(filter);
  sw_allow_when(filter, __NR_ptrace, 0, 0xffffffff, tracing, 3, SW_REFUSE(EPERM));
  sw_return(filter, SECCOMP_RET_ALLOW);
}

/** What inference needs, and nothing else. `pid`: the process itself, the only one it may signal. */
static inline void sw_run_filter(struct sw_filter* filter, uint32_t pid) {
  static const uint16_t allowed[] = {
      __NR_futex, __NR_read, __NR_write, __NR_readv, __NR_writev, __NR_pread64, __NR_preadv, __NR_epoll_pwait,
      __NR_epoll_ctl, __NR_sendmsg, __NR_recvmsg, __NR_sendto, __NR_recvfrom, __NR_shutdown, __NR_close,
      __NR_clock_gettime, __NR_clock_getres, __NR_clock_nanosleep, __NR_nanosleep, __NR_gettimeofday, __NR_sched_yield,
      __NR_mmap, __NR_munmap, __NR_mprotect, __NR_madvise, __NR_mremap, __NR_brk, __NR_mlock, __NR_mlock2, __NR_munlock,
      __NR_mincore, SW_NR_memfd_secret, __NR_ftruncate, __NR_pkey_mprotect, __NR_pkey_alloc, __NR_pkey_free,
      __NR_membarrier, __NR_getrandom, __NR_getpid, __NR_getppid, __NR_gettid, __NR_getuid, __NR_geteuid, __NR_getgid,
      __NR_getegid, __NR_uname, __NR_sysinfo, __NR_getrusage, __NR_getrlimit, __NR_times, __NR_getcpu,
      __NR_sched_getaffinity, __NR_sched_setaffinity, __NR_sched_getparam, __NR_sched_getscheduler, __NR_getpriority,
      __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigreturn, __NR_rt_sigpending, __NR_rt_sigtimedwait,
      __NR_sigaltstack, __NR_set_robust_list, __NR_get_robust_list, __NR_rseq, __NR_set_tid_address,
      __NR_restart_syscall, __NR_exit, __NR_exit_group, __NR_wait4, __NR_fcntl, __NR_dup, __NR_dup3, __NR_pipe2,
      __NR_eventfd2, __NR_epoll_create1, __NR_timerfd_create, __NR_timerfd_settime, __NR_lseek, __NR_fstat, __NR_statx,
      __NR_newfstatat, __NR_statfs, __NR_fstatfs, __NR_faccessat, __NR_readlinkat, __NR_getdents64, __NR_getcwd,
      __NR_getsockopt, __NR_getsockname, __NR_getpeername, __NR_ioctl, SW_NR_futex_waitv, SW_NR_futex_wake,
      SW_NR_futex_wait, SW_NR_futex_requeue, __NR_ppoll, __NR_pselect6, __NR_get_mempolicy, __NR_capget,
#if defined(__x86_64__)
      __NR_epoll_wait, __NR_poll, __NR_select, __NR_time, __NR_arch_prctl, __NR_stat, __NR_lstat, __NR_access,
      __NR_readlink, __NR_getdents, __NR_pipe, __NR_eventfd, __NR_epoll_create, __NR_dup2,
#endif
  };
  static const uint32_t resuming[] = {PTRACE_CONT, PTRACE_LISTEN};
  // PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_SET_VMA
  static const uint32_t controls[] = {15, 16, 3, 39, 21, 0x53564d41};
  static const uint32_t nothing[] = {0};
  sw_begin(filter);
  for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) sw_answer(filter, allowed[i], SECCOMP_RET_ALLOW);
  sw_read_only_files(filter);
  sw_threads_only(filter);
  sw_allow_when(filter, __NR_ptrace, 0, 0xffffffff, resuming, 2, SW_REFUSE(EPERM));
  sw_allow_when(filter, __NR_prctl, 0, 0xffffffff, controls, 6, SW_REFUSE(EPERM));
  sw_allow_when(filter, __NR_kill, 0, 0xffffffff, &pid, 1, SW_REFUSE(EPERM));
  sw_allow_when(filter, __NR_tgkill, 0, 0xffffffff, &pid, 1, SW_REFUSE(EPERM));
  // Limits may be read. The new limit is a pointer: none means both halves are 0.
  sw_emit(filter, BPF_JMP | BPF_JEQ | BPF_K, __NR_prlimit64, 0, 5);
  sw_load(filter, SW_LOW(2));
  sw_emit(filter, BPF_JMP | BPF_JEQ | BPF_K, nothing[0], 0, 3);
  sw_load(filter, SW_HIGH(2));
  sw_emit(filter, BPF_JMP | BPF_JEQ | BPF_K, nothing[0], 0, 1);
  sw_return(filter, SECCOMP_RET_ALLOW);
  sw_return(filter, SW_REFUSE(EPERM));
}
