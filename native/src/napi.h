// Small helpers over Node-API. Every entry point checks its arguments again here, although native/lib did it before:
// a wrong length in this file would be a wild write.
#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>

namespace sealwright {

struct Bytes {
  uint8_t* data = nullptr;
  size_t size = 0;
};

inline void Throw(napi_env env, const char* message) { napi_throw_type_error(env, nullptr, message); }

/** Reads exactly `N` arguments; throws and returns false when there are fewer. */
template <size_t N>
bool ReadArguments(napi_env env, napi_callback_info info, napi_value (&arguments)[N]) {
  size_t count = N;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < N) {
    Throw(env, "too few arguments");
    return false;
  }
  return true;
}

/** A Uint8Array's memory, valid until the callback returns. */
inline bool ReadBytes(napi_env env, napi_value value, Bytes* out) {
  bool is_typed_array = false;
  napi_typedarray_type type;
  void* data = nullptr;
  size_t length = 0;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array) {
    Throw(env, "expected a Uint8Array");
    return false;
  }
  out->data = static_cast<uint8_t*>(data);
  out->size = length;
  return true;
}

/** A whole number from 0 to 2^53 - 1. */
inline bool ReadCount(napi_env env, napi_value value, uint64_t* out) {
  int64_t number = 0;
  if (napi_get_value_int64(env, value, &number) != napi_ok || number < 0 || number > 9007199254740991) {
    Throw(env, "expected a whole number");
    return false;
  }
  *out = static_cast<uint64_t>(number);
  return true;
}

inline bool ReadFlag(napi_env env, napi_value value, bool* out) {
  if (napi_get_value_bool(env, value, out) != napi_ok) {
    Throw(env, "expected a boolean");
    return false;
  }
  return true;
}

inline napi_value ToNumber(napi_env env, double number) {
  napi_value out = nullptr;
  napi_create_double(env, number, &out);
  return out;
}

inline void AddFunction(napi_env env, napi_value exports, const char* name, napi_callback callback, void* data = nullptr) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, data, &function);
  napi_set_named_property(env, exports, name, function);
}

}  // namespace sealwright
