// The low-level functions keep the state where it can be worked on; OpenSSL's newer ones hide it.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sha256.h"

#include <algorithm>

#if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(__clang__))
#define SEALWRIGHT_SHA_NI 1
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace sealwright {
namespace {

constexpr size_t kBlock = SHA256_CBLOCK;

#if SEALWRIGHT_SHA_NI

alignas(16) constexpr uint32_t kRoundConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/** CPUID leaf 7, EBX bit 29: SHA; leaf 1, ECX bits 9 and 19: SSSE3, SSE4.1. */
bool HasShaInstructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & (1u << 9)) == 0 || (c & (1u << 19)) == 0) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & (1u << 29)) != 0;
}

/** One stream inside the kernel. The instructions want the eight words as (a, b, e, f) and (c, d, g, h). */
struct Lane {
  __m128i abef, cdgh, message[4];
};

#define SEALWRIGHT_KERNEL __attribute__((target("sha,sse4.1,ssse3"), always_inline)) inline

SEALWRIGHT_KERNEL void LoadState(Lane& lane, const SHA_LONG* words) {
  const __m128i low = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(words)), 0xB1);
  const __m128i high = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(words + 4)), 0x1B);
  lane.abef = _mm_alignr_epi8(low, high, 8);
  lane.cdgh = _mm_blend_epi16(high, low, 0xF0);
}

SEALWRIGHT_KERNEL void StoreState(const Lane& lane, SHA_LONG* words) {
  const __m128i low = _mm_shuffle_epi32(lane.abef, 0x1B);
  const __m128i high = _mm_shuffle_epi32(lane.cdgh, 0xB1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(words), _mm_blend_epi16(low, high, 0xF0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(words + 4), _mm_alignr_epi8(high, low, 8));
}

SEALWRIGHT_KERNEL void LoadBlock(Lane& lane, const uint8_t* block) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  for (int i = 0; i < 4; i++) {
    lane.message[i] =
        _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 16 * i)), big_endian);
  }
}

/** Rounds 4 * kGroup to 4 * kGroup + 3, and the part of the message schedule that can be done beside them. */
template <int kGroup>
SEALWRIGHT_KERNEL void FourRounds(Lane& lane) {
  __m128i& now = lane.message[kGroup % 4];
  __m128i& next = lane.message[(kGroup + 1) % 4];
  __m128i& before = lane.message[(kGroup + 3) % 4];
  __m128i words =
      _mm_add_epi32(now, _mm_load_si128(reinterpret_cast<const __m128i*>(kRoundConstants + 4 * kGroup)));
  lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, words);
  if constexpr (kGroup >= 3 && kGroup < 15) {
    next = _mm_sha256msg2_epu32(_mm_add_epi32(next, _mm_alignr_epi8(now, before, 4)), now);
  }
  words = _mm_shuffle_epi32(words, 0x0E);
  lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, words);
  if constexpr (kGroup >= 1 && kGroup < 13) before = _mm_sha256msg1_epu32(before, now);
}

template <int kGroup = 0>
SEALWRIGHT_KERNEL void AllRounds(Lane& first, Lane& second) {
  FourRounds<kGroup>(first);
  FourRounds<kGroup>(second);
  if constexpr (kGroup < 15) AllRounds<kGroup + 1>(first, second);
}

__attribute__((target("sha,sse4.1,ssse3"))) void CompressPair(SHA_LONG* first_state, const uint8_t* first,
                                                              SHA_LONG* second_state, const uint8_t* second,
                                                              size_t blocks) {
  Lane a, b;
  LoadState(a, first_state);
  LoadState(b, second_state);
  for (; blocks > 0; blocks--, first += kBlock, second += kBlock) {
    const __m128i before[4] = {a.abef, a.cdgh, b.abef, b.cdgh};
    LoadBlock(a, first);
    LoadBlock(b, second);
    AllRounds(a, b);
    a.abef = _mm_add_epi32(a.abef, before[0]);
    a.cdgh = _mm_add_epi32(a.cdgh, before[1]);
    b.abef = _mm_add_epi32(b.abef, before[2]);
    b.cdgh = _mm_add_epi32(b.cdgh, before[3]);
  }
  StoreState(a, first_state);
  StoreState(b, second_state);
}

/** Counts whole blocks the kernel has hashed, as SHA256_Update would. */
void Count(SHA256_CTX* digest, size_t blocks) {
  const uint64_t bits =
      ((static_cast<uint64_t>(digest->Nh) << 32) | digest->Nl) + static_cast<uint64_t>(blocks) * kBlock * 8;
  digest->Nl = static_cast<SHA_LONG>(bits);
  digest->Nh = static_cast<SHA_LONG>(bits >> 32);
}

/** Leaves the feed with whole blocks in front: a digest that holds a part of a block gets the rest of it. */
bool AlignToBlock(DigestFeed& feed) {
  if (feed.digest->num == 0) return true;
  const size_t part = std::min(feed.size, kBlock - feed.digest->num);
  if (SHA256_Update(feed.digest, feed.data, part) != 1) return false;
  feed.data += part;
  feed.size -= part;
  return true;
}

/** Hashes what both have whole blocks of. */
void FeedPair(DigestFeed& first, DigestFeed& second) {
  const size_t blocks = std::min(first.size, second.size) / kBlock;
  CompressPair(first.digest->h, first.data, second.digest->h, second.data, blocks);
  for (DigestFeed* feed : {&first, &second}) {
    Count(feed->digest, blocks);
    feed->data += blocks * kBlock;
    feed->size -= blocks * kBlock;
  }
}

#endif  // SEALWRIGHT_SHA_NI

}  // namespace

bool FeedDigests(DigestFeed* feeds, size_t count) {
#if SEALWRIGHT_SHA_NI
  static const bool has_instructions = HasShaInstructions();
  if (has_instructions) {
    for (size_t i = 0; i < count; i++) {
      if (!AlignToBlock(feeds[i])) return false;
    }
    // Always the longest two that are left: streams of one length, the usual case, end together.
    while (count > 1) {
      std::partial_sort(feeds, feeds + 2, feeds + count,
                        [](const DigestFeed& a, const DigestFeed& b) { return a.size > b.size; });
      if (feeds[1].size < kBlock) break;
      FeedPair(feeds[0], feeds[1]);
    }
  }
#endif
  for (size_t i = 0; i < count; i++) {
    if (feeds[i].size > 0 && SHA256_Update(feeds[i].digest, feeds[i].data, feeds[i].size) != 1) return false;
  }
  return true;
}

}  // namespace sealwright
