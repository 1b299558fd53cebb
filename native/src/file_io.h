// Positioned reads and writes on the file numbers Node hands out. Both return the bytes moved, or minus an errno.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>

#if defined(_WIN32)
#include <uv.h>
#include <windows.h>
#else
#include <unistd.h>
#endif

namespace sealwright {

#if defined(_WIN32)

inline OVERLAPPED Position(uint64_t offset) {
  OVERLAPPED position = {};
  position.Offset = static_cast<DWORD>(offset);
  position.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return position;
}

inline int64_t ReadFile(int file, uint64_t offset, uint8_t* to, size_t size) {
  OVERLAPPED position = Position(offset);
  DWORD moved = 0;
  const DWORD wanted = size > 0x40000000 ? 0x40000000 : static_cast<DWORD>(size);
  if (::ReadFile(uv_get_osfhandle(file), to, wanted, &moved, &position)) return moved;
  return GetLastError() == ERROR_HANDLE_EOF ? 0 : -EIO;
}

inline int64_t WriteFile(int file, uint64_t offset, const uint8_t* from, size_t size) {
  OVERLAPPED position = Position(offset);
  DWORD moved = 0;
  const DWORD wanted = size > 0x40000000 ? 0x40000000 : static_cast<DWORD>(size);
  if (::WriteFile(uv_get_osfhandle(file), from, wanted, &moved, &position)) return moved;
  return GetLastError() == ERROR_DISK_FULL ? -ENOSPC : -EIO;
}

#else

inline int64_t ReadFile(int file, uint64_t offset, uint8_t* to, size_t size) {
  ssize_t moved;
  do moved = pread(file, to, size, static_cast<off_t>(offset));
  while (moved < 0 && errno == EINTR);
  return moved < 0 ? -errno : moved;
}

inline int64_t WriteFile(int file, uint64_t offset, const uint8_t* from, size_t size) {
  ssize_t moved;
  do moved = pwrite(file, from, size, static_cast<off_t>(offset));
  while (moved < 0 && errno == EINTR);
  return moved < 0 ? -errno : moved;
}

#endif

}  // namespace sealwright
