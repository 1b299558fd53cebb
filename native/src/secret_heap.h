// What the preloaded heap tells the addon of the same process. Found by name at run time: without it nothing is there.
#pragma once

#include <stddef.h>

/** Node itself needs about this much before a model comes, bytes. */
#define SECRET_HEAP_LEAST (64 << 20)

struct secret_heap_statistics {
  int is_armed;          // allocations come from the heap
  int is_secret;         // backed by memfd_secret, and the kernel refused to read it
  int is_probe_sound;    // the same probe does read ordinary memory
  int has_secret_stack;  // the main thread's stack too
  size_t mapped;         // bytes of address space with memory behind it
  size_t used;           // high-water mark of what was handed out, bytes
  size_t live;           // in use now: large blocks and spans of small ones, bytes
  size_t peak;           // the most that ever was, bytes
  size_t unlocked;       // bytes that could not be locked (never with secret memory)
  size_t refused;        // times the kernel gave no more
  size_t foreign_stacks; // threads that run on memory of their own choice
  char reason[160];      // why it is not secret; empty when it is or was not asked to be
};

#ifdef __cplusplus
extern "C" {
#endif
typedef void secret_heap_statistics_function(struct secret_heap_statistics*);
typedef void secret_heap_wipe_stack_function(void);
#ifdef __cplusplus
}
#endif
