// SHA-256 (FIPS 180-4) of several streams at once. A round needs the one before it, so a core hashing one stream waits most
// of the time; two streams in turn fill the gaps. OpenSSL hashes one stream as well as can be, and does here too.
#pragma once

#include <openssl/sha.h>

#include <cstddef>
#include <cstdint>

namespace sealwright {

/** Bytes for one digest. */
struct DigestFeed {
  SHA256_CTX* digest = nullptr;
  const uint8_t* data = nullptr;
  size_t size = 0;
};

/** Feeds every digest its bytes; no digest may appear twice. Consumes `feeds`. False when OpenSSL fails. */
bool FeedDigests(DigestFeed* feeds, size_t count);

}  // namespace sealwright
