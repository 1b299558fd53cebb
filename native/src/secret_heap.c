// The memory of a sealed runtime: preloaded, it answers every allocation of the process, whatever its size, from one range
// of addresses that is backed by memfd_secret (level R2: the kernel itself has no mapping of these pages, so nothing that
// reads memory through the kernel sees them) or by locked, undumpable memory (level R1).
//
// Free memory is always zero: whatever is freed is wiped there and then, so reuse cannot leak and calloc is free. Small
// sizes come from lists of the calling thread, refilled from a list per size; runs of pages come from one list behind one
// lock, and pages that were touched once are used again first, because the first touch of a secret page is expensive.
// Stacks of threads lie here too, and at R2 so does the stack of the main thread: matrix kernels pack weights on them.
#define _GNU_SOURCE
#include "secret_heap.h"

#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __NR_memfd_secret
#define __NR_memfd_secret 447
#endif
#define EXPORT __attribute__((visibility("default")))
#define FAST __attribute__((tls_model("initial-exec")))

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);
extern void __libc_free(void*);
extern void* __libc_stack_end;

enum { UNIT = 4096, CLASSES = 40, LARGE = 254, FREE = 255 };
static const size_t REGION = (size_t)64 << 30;
static const size_t LARGEST_SMALL = 32768;
static const size_t SEGMENT = 64 << 20;

static uintptr_t base;        // 0 until armed
static size_t mapped;         // bytes from base that have memory behind them
static size_t top;            // units from base that were ever handed out
static bool is_secret;
static size_t system_page;
static size_t (*libc_usable_size)(void*);
static char reason[160];
static struct secret_heap_statistics counted;

// A word about every unit of the region, in ordinary memory: it says where things are, never what they hold.
static uint8_t* kind;     // small: class + 1 on all units; LARGE on the first; FREE on first and last
static uint32_t* length;  // units, where kind is LARGE or FREE
static uint32_t *next_run, *previous_run;
static uint32_t bins[32];  // free runs by the logarithm of their length; unit + 1, 0 is none
static pthread_mutex_t runs = PTHREAD_MUTEX_INITIALIZER;

static bool is_ours(const void* pointer) { return (uintptr_t)pointer - base < REGION && base != 0; }
static size_t unit_of(const void* pointer) { return ((uintptr_t)pointer - base) / UNIT; }
static void* at(size_t unit) { return (void*)(base + unit * UNIT); }

// ---- memory from the kernel

static bool map_segment(size_t bytes) {
  void* to = (void*)(base + mapped);
  if (is_secret) {
    const int file = (int)syscall(__NR_memfd_secret, O_CLOEXEC);
    if (file < 0) return false;
    // The descriptor must be gone before anything is written: whoever holds one can map the memory too.
    const bool done = ftruncate(file, (off_t)bytes) == 0 &&
                      mmap(to, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == to;
    const int error = errno;
    close(file);
    errno = error;
    if (!done) return false;
  } else {
    if (mmap(to, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != to) {
      return false;
    }
    madvise(to, bytes, MADV_DONTDUMP);
    madvise(to, bytes, MADV_HUGEPAGE);
    if (mlock2(to, bytes, MLOCK_ONFAULT) != 0) counted.unlocked += bytes;
  }
  mapped += bytes;
  counted.mapped = mapped;
  return true;
}

/** Makes sure that the first `units` units have memory; in small steps where the limit of locked memory is near. */
static bool reach(size_t units) {
  const size_t wanted = units * UNIT;
  while (wanted > mapped) {
    const size_t missing = (wanted - mapped + system_page - 1) / system_page * system_page;
    if (wanted > REGION) return false;
    size_t segment = missing > SEGMENT ? missing : SEGMENT;
    if (segment > REGION - mapped) segment = REGION - mapped;
    while (!map_segment(segment)) {
      if (segment == missing) return counted.refused++, false;
      segment = segment / 4 > missing ? segment / 4 / system_page * system_page : missing;
    }
  }
  return true;
}

// ---- runs of units

static int bin_of(size_t units) { return 31 - __builtin_clz((uint32_t)units); }

static void unlink_run(uint32_t unit) {
  const uint32_t after = next_run[unit], before = previous_run[unit];
  if (before != 0) next_run[before - 1] = after;
  else bins[bin_of(length[unit])] = after;
  if (after != 0) previous_run[after - 1] = before;
  kind[unit] = kind[unit + length[unit] - 1] = 0;
}

static void link_run(uint32_t unit, uint32_t units) {
  kind[unit] = kind[unit + units - 1] = FREE;
  length[unit] = length[unit + units - 1] = units;
  uint32_t* bin = &bins[bin_of(units)];
  next_run[unit] = *bin;
  previous_run[unit] = 0;
  if (*bin != 0) previous_run[*bin - 1] = unit + 1;
  *bin = unit + 1;
}

static void give_back(uint32_t unit, uint32_t units) {
  if (unit > 0 && kind[unit - 1] == FREE) {
    const uint32_t before = length[unit - 1];
    unlink_run(unit - before);
    unit -= before;
    units += before;
  }
  if (unit + units < top && kind[unit + units] == FREE) {
    const uint32_t after = length[unit + units];
    unlink_run(unit + units);
    units += after;
  }
  link_run(unit, units);
}

/** The first fit of a few in the bin of this size, then anything of a larger bin; the rest goes back. */
static int64_t take_run(size_t units) {
  for (int bin = bin_of(units); bin < 32; bin++) {
    int tries = 64;
    for (uint32_t link = bins[bin]; link != 0 && tries-- > 0; link = next_run[link - 1]) {
      const uint32_t unit = link - 1, found = length[unit];
      if (found < units) continue;
      unlink_run(unit);
      if (found > units) link_run(unit + (uint32_t)units, found - (uint32_t)units);
      return unit;
    }
  }
  if (!reach(top + units)) return -1;
  const size_t unit = top;
  top += units;
  return (int64_t)unit;
}

/** `alignment` in units, a power of two. Returns the first unit, or -1. */
static int64_t allocate_run(size_t units, size_t alignment, uint8_t as) {
  if (units == 0 || units + alignment > REGION / UNIT) return -1;
  pthread_mutex_lock(&runs);
  int64_t unit = take_run(units + alignment - 1);
  if (unit >= 0 && alignment > 1) {
    const size_t skip = (alignment - (size_t)unit % alignment) % alignment;
    if (skip > 0) give_back((uint32_t)unit, (uint32_t)skip);
    if (alignment - 1 > skip) give_back((uint32_t)(unit + (int64_t)(skip + units)), (uint32_t)(alignment - 1 - skip));
    unit += (int64_t)skip;
  }
  if (unit >= 0) {
    if (as == LARGE) {
      kind[unit] = LARGE;
      length[unit] = (uint32_t)units;
    } else {
      memset(kind + unit, as, units);
    }
    counted.live += units * UNIT;
    if (counted.live > counted.peak) counted.peak = counted.live;
  }
  pthread_mutex_unlock(&runs);
  return unit;
}

/** Zeroes what has memory behind it; a page nobody touched is not touched to clear it. */
static void wipe(void* memory, size_t bytes) {
  enum { BATCH = 256 };
  unsigned char present[BATCH];
  char* from = memory;
  if (bytes < (size_t)64 * UNIT) {
    memset(memory, 0, bytes);
    return;
  }
  for (char* end = from + bytes; from < end;) {
    const size_t part = (size_t)(end - from) < BATCH * system_page ? (size_t)(end - from) : BATCH * system_page;
    if (mincore(from, part, present) != 0) memset(from, 0, part);
    else {
      for (size_t i = 0; i * system_page < part; i++) {
        const size_t left = part - i * system_page;
        if (present[i] & 1) memset(from + i * system_page, 0, left < system_page ? left : system_page);
      }
    }
    from += part;
  }
}

static void free_run(void* memory) {
  const size_t unit = unit_of(memory);
  const size_t units = length[unit];
  wipe(memory, units * UNIT);
  pthread_mutex_lock(&runs);
  kind[unit] = 0;
  counted.live -= units * UNIT;
  give_back((uint32_t)unit, (uint32_t)units);
  pthread_mutex_unlock(&runs);
}

// ---- small sizes

struct node {
  struct node* next;
};
struct list {
  struct node* first;
  uint32_t count;
};
static struct {
  pthread_mutex_t lock;
  struct list list;
  char *fresh, *end;  // what is left of the newest span
} central[CLASSES];
static __thread struct list cache[CLASSES] FAST;
static __thread bool is_known FAST;
static pthread_key_t at_thread_end;

static const uint16_t sizes[CLASSES] = {16,   32,   48,   64,   80,   96,   112,  128,  160,   192,   224,   256,   320,  384,
                                        448,  512,  640,  768,  896,  1024, 1280, 1536, 1792,  2048,  2560,  3072,  3584, 4096,
                                        5120, 6144, 7168, 8192, 10240, 12288, 14336, 16384, 20480, 24576, 28672, 32768};

static int class_of(size_t size) {
  if (size <= 128) return size == 0 ? 0 : (int)((size + 15) / 16) - 1;
  const int power = 63 - __builtin_clzll(size - 1);  // size is in (2^power, 2^(power + 1)]
  return 8 + (power - 7) * 4 + (int)((size - 1 - ((size_t)1 << power)) >> (power - 2));
}

/** Objects moved between a thread and the common list at once. */
static uint32_t batch_of(int class) {
  const uint32_t fits = (uint32_t)(32768 / sizes[class]);
  return fits > 32 ? 32 : fits < 2 ? 2 : fits;
}

static void flush(int class, uint32_t keep) {
  struct list* mine = &cache[class];
  struct node* first = mine->first;
  struct node* last = NULL;
  uint32_t moved = 0;
  for (; mine->count > keep; mine->count--, moved++) {
    last = mine->first;
    mine->first = last->next;
  }
  if (last == NULL) return;
  pthread_mutex_lock(&central[class].lock);
  last->next = central[class].list.first;
  central[class].list.first = first;
  central[class].list.count += moved;
  pthread_mutex_unlock(&central[class].lock);
}

static void flush_all(void* unused) {
  (void)unused;
  for (int class = 0; class < CLASSES; class++) flush(class, 0);
  is_known = false;
}

static bool new_span(int class) {
  size_t bytes = (size_t)sizes[class] * 8;
  if (bytes < 16384) bytes = 16384;
  const size_t units = (bytes + UNIT - 1) / UNIT;
  const int64_t unit = allocate_run(units, 1, (uint8_t)(class + 1));
  if (unit < 0) return false;
  central[class].fresh = at((size_t)unit);
  central[class].end = central[class].fresh + units * UNIT / sizes[class] * sizes[class];
  return true;
}

static void* refill(int class) {
  if (!is_known) {
    is_known = true;
    pthread_setspecific(at_thread_end, &cache);
  }
  void* result = NULL;
  struct list* mine = &cache[class];
  pthread_mutex_lock(&central[class].lock);
  struct list* common = &central[class].list;
  for (uint32_t wanted = batch_of(class); wanted > 0 && common->first != NULL; wanted--) {
    struct node* node = common->first;
    common->first = node->next;
    common->count--;
    if (result == NULL) {
      node->next = NULL;
      result = node;
    } else {
      node->next = mine->first;
      mine->first = node;
      mine->count++;
    }
  }
  if (result == NULL && (central[class].fresh < central[class].end || new_span(class))) {
    result = central[class].fresh;
    central[class].fresh += sizes[class];
  }
  pthread_mutex_unlock(&central[class].lock);
  return result;
}

static void* allocate_small(int class) {
  struct list* mine = &cache[class];
  struct node* node = mine->first;
  if (node == NULL) return refill(class);
  mine->first = node->next;
  mine->count--;
  node->next = NULL;  // the one word of a free object that is not zero
  return node;
}

static void free_small(void* memory, int class) {
  memset(memory, 0, sizes[class]);
  struct list* mine = &cache[class];
  struct node* node = memory;
  node->next = mine->first;
  mine->first = node;
  if (++mine->count > 2 * batch_of(class)) flush(class, batch_of(class));
}

// ---- the allocation functions of the C library

static void* allocate(size_t size, size_t alignment) {
  void* memory = NULL;
  if (size <= LARGEST_SMALL && alignment <= 16) {
    memory = allocate_small(class_of(size));
  } else if (size <= LARGEST_SMALL && alignment < UNIT && size + alignment <= LARGEST_SMALL) {
    // Spans start at a unit, so a class that is a multiple of the alignment keeps it.
    int class = class_of(size > alignment ? size : alignment);
    while (class < CLASSES && sizes[class] % alignment != 0) class++;
    memory = class < CLASSES ? allocate_small(class) : NULL;
  }
  if (memory == NULL && size < REGION) {
    const size_t units = size == 0 ? 1 : (size + UNIT - 1) / UNIT;
    const int64_t unit = allocate_run(units, alignment <= UNIT ? 1 : alignment / UNIT, LARGE);
    if (unit >= 0) memory = at((size_t)unit);
  }
  if (memory == NULL) errno = ENOMEM;
  return memory;
}

static size_t usable(const void* memory) {
  const size_t unit = unit_of(memory);
  return kind[unit] == LARGE ? (size_t)length[unit] * UNIT : sizes[kind[unit] - 1];
}

EXPORT void* malloc(size_t size) { return base == 0 ? __libc_malloc(size) : allocate(size, 16); }

EXPORT void* calloc(size_t count, size_t size) {
  if (base == 0) return __libc_calloc(count, size);
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return errno = ENOMEM, NULL;
  return allocate(bytes, 16);
}

EXPORT void free(void* memory) {
  if (memory == NULL) return;
  if (!is_ours(memory)) return __libc_free(memory);
  const uint8_t what = kind[unit_of(memory)];
  if (what == LARGE) free_run(memory);
  else if (what > 0 && what <= CLASSES) free_small(memory, what - 1);
  else abort();  // not a block of ours: going on would mix up memory of a sealed process
}

EXPORT void* realloc(void* memory, size_t size) {
  if (memory == NULL) return malloc(size);
  if (base == 0) return __libc_realloc(memory, size);
  if (size == 0) return free(memory), NULL;
  const size_t old = is_ours(memory) ? usable(memory) : libc_usable_size(memory);
  if (is_ours(memory) && size <= old && size >= old / 2) {
    // What is given up may come back with a later realloc: zero, like all memory that is not in use.
    memset((char*)memory + size, 0, old - size);
    return memory;
  }
  void* moved = allocate(size, 16);
  if (moved == NULL) return NULL;
  memcpy(moved, memory, old < size ? old : size);
  free(memory);
  return moved;
}

EXPORT void* reallocarray(void* memory, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return errno = ENOMEM, NULL;
  return realloc(memory, bytes);
}

EXPORT void* memalign(size_t alignment, size_t size) {
  if (base == 0) return __libc_memalign(alignment, size);
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) return errno = EINVAL, NULL;
  return allocate(size, alignment < 16 ? 16 : alignment);
}

EXPORT void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
EXPORT void* valloc(size_t size) { return memalign((size_t)sysconf(_SC_PAGESIZE), size); }
EXPORT void* pvalloc(size_t size) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return memalign(page, (size + page - 1) / page * page);
}

EXPORT int posix_memalign(void** out, size_t alignment, size_t size) {
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  const int before = errno;
  void* memory = memalign(alignment, size);
  errno = before;
  if (memory == NULL) return ENOMEM;
  *out = memory;
  return 0;
}

EXPORT size_t malloc_usable_size(void* memory) {
  if (memory == NULL) return 0;
  return is_ours(memory) ? usable(memory) : libc_usable_size(memory);
}

// ---- stacks

// The thread's descriptor lies at the top of its stack, and joining waits on a word in it through a futex that the kernel
// looks up by page: it cannot in secret memory. So the top is ordinary memory, and our frames begin below it.
enum { DESCRIPTOR = 32768 };

struct start {
  void* (*routine)(void*);
  void* argument;
  char* stack;
  char* descriptor;
};

/** Zeroes the unused part of a stack whose lowest byte is `lowest`. */
__attribute__((noinline)) static void wipe_below(char* lowest) {
  char* here = __builtin_frame_address(0);
  char* end = here - 2048;  // this call's own frames, and the red zone
  end -= (uintptr_t)end % system_page;
  if (end > lowest) wipe(lowest, (size_t)(end - lowest));
}

__attribute__((noinline)) static void* run_routine(const struct start* start) {
  void* result = start->routine(start->argument);
  wipe_below(start->stack);
  return result;
}

static void* run_thread(void* argument) {
  const struct start start = *(struct start*)argument;
  free(argument);
  const intptr_t above = (char*)__builtin_frame_address(0) - start.descriptor;
  volatile char* skipped = alloca(above > 0 ? (size_t)above : 1);
  skipped[0] = 0;
  return run_routine(&start);
}

/** As the C library's, with the stack in our memory; it stays there when the thread has ended, wiped. */
EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* wanted, void* (*routine)(void*), void* argument) {
  static int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "pthread_create");
  if (base == 0) return real(thread, wanted, routine, argument);
  pthread_attr_t attributes;
  void* given = NULL;
  size_t bytes = 0;
  // A copy whose stack alone differs. It borrows what the caller's owns, so it is never destroyed.
  if (wanted != NULL) attributes = *wanted;
  else pthread_attr_init(&attributes);
  // A stack of the caller's own choice is left alone; one that was never chosen reads as minus its size.
  if (pthread_attr_getstack(&attributes, &given, &bytes) == 0 && (intptr_t)given > 0) {
    counted.foreign_stacks++;
    return real(thread, wanted, routine, argument);
  }
  if (bytes == 0) {
    pthread_attr_t usual;
    pthread_getattr_default_np(&usual);
    pthread_attr_getstacksize(&usual, &bytes);
    pthread_attr_destroy(&usual);
  }
  const size_t ordinary = (DESCRIPTOR + system_page - 1) / system_page * system_page;
  bytes = (bytes + system_page - 1) / system_page * system_page + system_page + ordinary;
  char* stack = memalign(system_page, bytes);
  struct start* start = malloc(sizeof *start);
  char* descriptor = stack + bytes - ordinary;
  if (stack == NULL || start == NULL || mprotect(stack, system_page, PROT_NONE) != 0 ||
      mmap(descriptor, ordinary, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != descriptor) {
    free(stack);
    free(start);
    return EAGAIN;
  }
  *start = (struct start){routine, argument, stack + system_page, descriptor};
  pthread_attr_setstack(&attributes, stack + system_page, bytes - system_page);
  const int error = real(thread, &attributes, run_thread, start);
  if (error != 0) free(start);  // the stack is lost, which a process that cannot start threads can bear
  return error;
}

static char* main_stack;  // lowest byte of what the main thread may use

/** Puts secret memory under the frames of the main thread that are yet to come. */
static bool cover_main_stack(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur > (rlim_t)8 << 20) return false;
  const uintptr_t end = (uintptr_t)__libc_stack_end;
  const uintptr_t low = (end - limit.rlim_cur + (uintptr_t)(128 << 10)) / system_page * system_page;
  const uintptr_t high = ((uintptr_t)__builtin_frame_address(0) - 8192) / system_page * system_page;
  if (low >= high) return false;
  const int file = (int)syscall(__NR_memfd_secret, O_CLOEXEC);
  if (file < 0) return false;
  const bool done = ftruncate(file, (off_t)(high - low)) == 0 &&
                    mmap((void*)low, high - low, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == (void*)low;
  close(file);
  if (done) main_stack = (char*)low;
  return done;
}

// ---- life

/** Whether the kernel reads our memory for us. Only while we are still dumpable: afterwards nobody may even open this. */
static bool is_readable_through_kernel(const void* memory) {
  const int file = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  char byte;
  const bool readable = file < 0 || pread(file, &byte, 1, (off_t)(uintptr_t)memory) == 1;
  if (file >= 0) close(file);
  return readable;
}

static void* reserve(size_t bytes) {
  void* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

/** Secret memory at once, as much as the limit of locked memory lets us have; without a limit, all of the region. */
static bool start_secret(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_MEMLOCK, &limit);
  is_secret = true;
  // Works without a limit, or with CAP_IPC_LOCK.
  if (map_segment(REGION)) return true;
  const int error = errno;
  if (limit.rlim_cur < (rlim_t)SECRET_HEAP_LEAST && error != ENOSYS) {
    is_secret = false;
    snprintf(reason, sizeof reason, "locked memory is limited to %llu MB (RLIMIT_MEMLOCK); %d MB is the least",
             (unsigned long long)limit.rlim_cur >> 20, SECRET_HEAP_LEAST >> 20);
    return false;
  }
  if (map_segment(SEGMENT / 4)) return true;
  snprintf(reason, sizeof reason, errno == ENOSYS ? "the kernel has no memfd_secret (CONFIG_SECRETMEM, secretmem.enable=1)"
                                                  : "memfd_secret: %s", strerror(errno));
  is_secret = false;
  return false;
}

__attribute__((constructor)) static void start(void) {
  const char* wanted = getenv("SEALHEAP");
  if (wanted == NULL) return;
  system_page = (size_t)sysconf(_SC_PAGESIZE);
  *(void**)&libc_usable_size = dlsym(RTLD_NEXT, "malloc_usable_size");
  for (int class = 0; class < CLASSES; class++) pthread_mutex_init(&central[class].lock, NULL);
  const size_t units = REGION / UNIT;
  kind = reserve(units);
  length = reserve(units * sizeof *length);
  next_run = reserve(units * sizeof *next_run);
  previous_run = reserve(units * sizeof *previous_run);
  void* region = mmap(NULL, REGION, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (!kind || !length || !next_run || !previous_run || region == MAP_FAILED ||
      pthread_key_create(&at_thread_end, flush_all) != 0) {
    snprintf(reason, sizeof reason, "address space is limited");
    return;
  }
  base = (uintptr_t)region;
  const bool asked = strcmp(wanted, "secret") == 0;
  if (asked && start_secret()) {
    char ordinary = 1;
    char* secret = malloc(64);
    counted.is_secret = secret != NULL && !is_readable_through_kernel(secret);
    counted.is_probe_sound = is_readable_through_kernel(&ordinary);
    counted.has_secret_stack = cover_main_stack();
    free(secret);
  }
  counted.is_armed = true;
  prctl(PR_SET_DUMPABLE, 0);
}

EXPORT void secret_heap_statistics(struct secret_heap_statistics* out) {
  pthread_mutex_lock(&runs);
  *out = counted;
  out->used = top * UNIT;
  snprintf(out->reason, sizeof out->reason, "%s", reason);
  pthread_mutex_unlock(&runs);
}

EXPORT void secret_heap_wipe_stack(void) {
  struct rlimit limit;
  char* lowest = main_stack;
  if (lowest == NULL && getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur <= (rlim_t)8 << 20) {
    // An ordinary stack: what was never used is not there, and the kernel grows it as we write.
    lowest = (char*)__builtin_frame_address(0) - (256 << 10);
  }
  if (lowest != NULL) wipe_below(lowest);
}
