#include "tss.h"

#if SEALWRIGHT_TSS
#include <dlfcn.h>

#include <cstdlib>

namespace sealwright {
namespace {

template <typename F>
bool Find(void* library, const char* name, F* function) {
  *function = reinterpret_cast<F>(dlsym(library, name));
  return *function != nullptr;
}

bool LoadAll(Tss* tss) {
  // Every failed command would be a line on standard error, and failures here are answers.
  setenv("TSS2_LOG", "all+none", 0);
  void* esys = dlopen("libtss2-esys.so.0", RTLD_NOW | RTLD_LOCAL);
  void* mu = dlopen("libtss2-mu.so.0", RTLD_NOW | RTLD_LOCAL);
  void* loader = dlopen("libtss2-tctildr.so.0", RTLD_NOW | RTLD_LOCAL);
  if (esys == nullptr || mu == nullptr || loader == nullptr) return false;
  bool is_complete = true;
#define SEALWRIGHT_FIND(name) is_complete = Find(library, #name, &tss->name) && is_complete;
  void* library = esys;
  SEALWRIGHT_ESYS_FUNCTIONS(SEALWRIGHT_FIND)
  library = mu;
  SEALWRIGHT_MU_FUNCTIONS(SEALWRIGHT_FIND)
  library = loader;
  SEALWRIGHT_LOADER_FUNCTIONS(SEALWRIGHT_FIND)
#undef SEALWRIGHT_FIND
  return is_complete;
}

}  // namespace

const Tss* LoadTss() {
  static Tss tss;
  static const bool is_loaded = LoadAll(&tss);
  return is_loaded ? &tss : nullptr;
}

}  // namespace sealwright
#endif
