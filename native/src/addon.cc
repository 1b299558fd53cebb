#include "napi.h"

namespace sealwright {
void AddPayload(napi_env env, napi_value exports);
void AddTpm(napi_env env, napi_value exports);
void AddPeer(napi_env env, napi_value exports);
void AddLockdown(napi_env env, napi_value exports);
void AddTrace(napi_env env, napi_value exports);
void AddMark(napi_env env, napi_value exports);
}  // namespace sealwright

/** Goes up by one whenever an export changes. Kept in step with native/lib/addon.ts, which refuses any other. */
constexpr double kRevision = 5;

NAPI_MODULE_INIT() {
  napi_set_named_property(env, exports, "revision", sealwright::ToNumber(env, kRevision));
  sealwright::AddPayload(env, exports);
  sealwright::AddTpm(env, exports);
  sealwright::AddPeer(env, exports);
  sealwright::AddLockdown(env, exports);
  sealwright::AddTrace(env, exports);
  sealwright::AddMark(env, exports);
  return exports;
}
