#include "napi.h"

namespace sealwright {
void AddPayload(napi_env env, napi_value exports);
void AddTpm(napi_env env, napi_value exports);
void AddPeer(napi_env env, napi_value exports);
void AddLockdown(napi_env env, napi_value exports);
void AddTrace(napi_env env, napi_value exports);
void AddMark(napi_env env, napi_value exports);
}  // namespace sealwright

NAPI_MODULE_INIT() {
  sealwright::AddPayload(env, exports);
  sealwright::AddTpm(env, exports);
  sealwright::AddPeer(env, exports);
  sealwright::AddLockdown(env, exports);
  sealwright::AddTrace(env, exports);
  sealwright::AddMark(env, exports);
  return exports;
}
