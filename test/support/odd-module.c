// PKCS#11 modules that misbehave, chosen when this is compiled: HANG never answers, CRASH ends its process.
#include <stdlib.h>
#include <unistd.h>

unsigned long C_GetFunctionList(void** list) {
  (void)list;
#ifdef HANG
  for (;;) pause();
#endif
#ifdef CRASH
  abort();
#endif
  return 5;  // CKR_GENERAL_ERROR
}
