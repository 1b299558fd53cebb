// Looks for windows of a secret wherever a second process can look. Started with a file of windows and their width (32 bytes
// unless it is given), it answers one line a command: "mem PID" reads /proc/PID/mem, "vm PID" uses process_vm_readv,
// "file PATH" reads a file.
// Answer: "ok WINDOWS BYTES REFUSED" (distinct windows found, bytes read, bytes the kernel would not read) or "no ERRNO".
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BUCKETS = 1 << 16, BLOOM = 1 << 22, BUFFER = 4 << 20 };

static const unsigned long long LARGEST = 2ull << 30;
static size_t width = 32;
static unsigned char* windows;
static size_t count;
static unsigned char* seen;
static int32_t first[BUCKETS];
static int32_t* following;
static unsigned char bloom[BLOOM / 8];
static unsigned char buffer[BUFFER];
static unsigned long long found, bytes, refused;

static uint32_t hash(const unsigned char* at) {
  uint64_t word;
  memcpy(&word, at, 8);
  return (uint32_t)((word * 0x9e3779b97f4a7c15ull) >> 32);
}

static void read_windows(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) exit(2);
  fseek(file, 0, SEEK_END);
  count = (size_t)ftell(file) / width;
  rewind(file);
  windows = malloc(count * width);
  seen = calloc(count, 1);
  following = malloc(count * sizeof *following);
  if (fread(windows, width, count, file) != count || count == 0) exit(2);
  fclose(file);
  memset(first, -1, sizeof first);
  for (size_t i = 0; i < count; i++) {
    const uint32_t h = hash(windows + i * width);
    bloom[(h % BLOOM) / 8] |= (unsigned char)(1 << (h % 8));
    following[i] = first[h % BUCKETS];
    first[h % BUCKETS] = (int32_t)i;
  }
}

static void search(size_t size) {
  bytes += size;
  for (size_t at = 0; at + width <= size; at++) {
    // Most memory of a process is zero, and no window begins with a kilobyte of zeros.
    static const unsigned char zeros[1024];
    if ((at & 1023) == 0 && at + sizeof zeros <= size && memcmp(buffer + at, zeros, sizeof zeros) == 0) {
      at += sizeof zeros - width;
      continue;
    }
    const uint32_t h = hash(buffer + at);
    if (!(bloom[(h % BLOOM) / 8] & (1 << (h % 8)))) continue;
    for (int32_t i = first[h % BUCKETS]; i >= 0; i = following[i]) {
      if (!seen[i] && memcmp(buffer + at, windows + (size_t)i * width, width) == 0) {
        seen[i] = 1;
        found++;
      }
    }
  }
}

typedef ssize_t reader(int file, int pid, unsigned long long at, void* to, size_t size);

static ssize_t read_file(int file, int pid, unsigned long long at, void* to, size_t size) {
  (void)pid;
  return pread(file, to, size, (off_t)at);
}
static ssize_t read_vm(int file, int pid, unsigned long long at, void* to, size_t size) {
  (void)file;
  struct iovec mine = {to, size}, theirs = {(void*)(uintptr_t)at, size};
  return process_vm_readv(pid, &mine, 1, &theirs, 1, 0);
}

/** Windows may lie across two reads: the last bytes of one stay in front of the next. */
static void scan_range(reader* read, int file, int pid, unsigned long long from, unsigned long long to) {
  size_t kept = 0;
  while (from < to) {
    const size_t space = BUFFER - kept, wanted = to - from < space ? (size_t)(to - from) : space;
    const ssize_t got = read(file, pid, from, buffer + kept, wanted);
    if (got <= 0) {
      // A page that is not readable: step over it.
      const unsigned long long step = wanted < 4096 ? wanted : 4096;
      refused += step;
      from += step;
      kept = 0;
      continue;
    }
    search(kept + (size_t)got);
    bytes -= kept;
    from += (unsigned long long)got;
    const size_t size = kept + (size_t)got;
    kept = size < width - 1 ? size : width - 1;
    memmove(buffer, buffer + size - kept, kept);
  }
}

/** Of anonymous memory what was ever touched: the rest holds nothing, and reading it takes most of the time. */
static void scan_present(reader* read, int file, int pid, int pagemap, unsigned long long from, unsigned long long to) {
  enum { PAGE = 4096, BATCH = 4096 };
  static uint64_t entries[BATCH];
  unsigned long long run = from;
  for (unsigned long long at = from; at < to;) {
    const size_t wanted = (to - at) / PAGE < BATCH ? (size_t)((to - at) / PAGE) : BATCH;
    const ssize_t got = pread(pagemap, entries, wanted * sizeof *entries, (off_t)(at / PAGE * sizeof *entries));
    if (got <= 0) break;
    for (size_t i = 0; i < (size_t)got / sizeof *entries; i++, at += PAGE) {
      // Bits 63 and 62: in memory, in swap.
      if (entries[i] >> 62 != 0) continue;
      if (run < at) scan_range(read, file, pid, run, at);
      run = at + PAGE;
    }
  }
  if (run < to) scan_range(read, file, pid, run, to);
}

static int scan_process(int pid, reader* read) {
  char path[64], line[512];
  snprintf(path, sizeof path, "/proc/%d/smaps", pid);
  FILE* maps = fopen(path, "r");
  if (maps == NULL) return errno;
  int file = -1;
  if (read == read_file) {
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    file = open(path, O_RDONLY);
    if (file < 0) {
      const int error = errno;
      fclose(maps);
      return error;
    }
  }
  snprintf(path, sizeof path, "/proc/%d/pagemap", pid);
  const int pagemap = open(path, O_RDONLY);
  int first_error = 0, skipped = 1, anonymous = 0;
  unsigned long long from = 0, to = 0, resident = 0, swapped = 0;
  char mode[8];
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long long begin, end;
    if (sscanf(line, "%llx-%llx %7s", &begin, &end, mode) == 3) {  // only a whole match: "Anonymous" begins with a digit too
      from = begin;
      to = end;
      skipped = strstr(line, "[vsyscall]") != NULL || strstr(line, "[vvar") != NULL;
      anonymous = strstr(line, " 00:00 0 ") != NULL;
      continue;
    }
    sscanf(line, "Rss: %llu", &resident);
    // The last figure of an area: all that is in no memory is known to be nothing.
    if (sscanf(line, "Swap: %llu", &swapped) != 1 || skipped || resident + swapped == 0) continue;
    // The heap's 64 GB: what is only reserved holds nothing, and what has memory is used from its start.
    if (to - from > LARGEST) {
      if (mode[0] == '-') continue;
      refused += to - from - LARGEST;
      to = from + LARGEST;
    }
    errno = 0;
    if (anonymous && pagemap >= 0) scan_present(read, file, pid, pagemap, from, to);
    else scan_range(read, file, pid, from, to);
    if (errno == EPERM || errno == EACCES) first_error = errno;
  }
  if (file >= 0) close(file);
  if (pagemap >= 0) close(pagemap);
  fclose(maps);
  return bytes == 0 ? (first_error ? first_error : EPERM) : 0;
}

int main(int argc, char** argv) {
  if (argc == 3) width = (size_t)atoi(argv[2]);
  if (argc < 2 || argc > 3 || width < 8 || width > 1024) return 2;
  read_windows(argv[1]);
  static char command[8192];
  while (fgets(command, sizeof command, stdin) != NULL) {
    command[strcspn(command, "\n")] = 0;
    memset(seen, 0, count);
    found = bytes = refused = 0;
    int error = EINVAL;
    if (strncmp(command, "mem ", 4) == 0) error = scan_process(atoi(command + 4), read_file);
    if (strncmp(command, "vm ", 3) == 0) error = scan_process(atoi(command + 3), read_vm);
    if (strncmp(command, "file ", 5) == 0) {
      const int file = open(command + 5, O_RDONLY);
      error = file < 0 ? errno : 0;
      if (file >= 0) {
        // Core dumps are mostly holes.
        for (off_t end = 0, begin; (begin = lseek(file, end, SEEK_DATA)) >= 0;) {
          end = lseek(file, begin, SEEK_HOLE);
          scan_range(read_file, file, 0, (unsigned long long)begin, (unsigned long long)end);
        }
        close(file);
      }
    }
    if (error != 0) printf("no %d\n", error);
    else printf("ok %llu %llu %llu\n", found, bytes, refused);
    fflush(stdout);
  }
  return 0;
}
