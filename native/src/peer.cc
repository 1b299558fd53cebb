// Who is at the other end of a Unix socket, as the kernel says.
#include "napi.h"

#ifdef __linux__
#include <sys/socket.h>
#endif

namespace sealwright {
namespace {

/** peerCredentials(descriptor): [pid, uid, gid], or null where the system cannot tell. */
napi_value PeerCredentials(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  uint64_t descriptor = 0;
  if (!ReadArguments(env, info, arguments) || !ReadCount(env, arguments[0], &descriptor)) return nullptr;
  napi_value out = nullptr;
  napi_get_null(env, &out);
#ifdef __linux__
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(static_cast<int>(descriptor), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0 ||
      length != sizeof credentials)
    return out;
  napi_create_array_with_length(env, 3, &out);
  napi_set_element(env, out, 0, ToNumber(env, credentials.pid));
  napi_set_element(env, out, 1, ToNumber(env, credentials.uid));
  napi_set_element(env, out, 2, ToNumber(env, credentials.gid));
#endif
  return out;
}

}  // namespace

void AddPeer(napi_env env, napi_value exports) { AddFunction(env, exports, "peerCredentials", PeerCredentials); }

}  // namespace sealwright
