// The inner loops of embedding: those of main/core/watermark/kernel.ts with the same results, bit for bit. Sums are made in
// double precision and rounded once; there is no multiplication that a compiler could fuse with them.
#include <cmath>
#include <cstring>

#include "napi.h"

namespace sealwright {
namespace {

/** A weight's code: bit 1 the owner's sign, bit 0 the device's, bit 2 that it is in S. Tables have all eight of a row. */
constexpr size_t kCodes = 8;
constexpr uint8_t kInSubset = 4;
/** Limits of a row of a quantised tensor: owner, and the code's outside of S and inside. */
constexpr size_t kLimits = 3;
constexpr size_t kThresholds = 256;

struct Place {
  uint64_t first = 0;
  uint64_t inner = 1;
  uint64_t rows = 1;
};

/** Calls back with every stretch of weights that lies in one row. */
template <typename Visit>
inline void ForRows(size_t count, const Place& place, Visit visit) {
  size_t row = static_cast<size_t>(place.first / place.inner % place.rows);
  uint64_t left = place.inner - place.first % place.inner;
  for (size_t from = 0; from < count;) {
    const size_t to = left < count - from ? from + static_cast<size_t>(left) : count;
    visit(from, to, row);
    from = to;
    row = row + 1 == place.rows ? 0 : row + 1;
    left = place.inner;
  }
}

inline int Bit(const uint8_t* bytes, size_t bit) { return bytes[bit >> 3] >> (bit & 7) & 1; }

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float FloatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/** IEEE 754-2019, 3.4: exact. */
inline float FromHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 0x1f;
  const uint32_t fraction = half & 0x3ff;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign == 0 ? magnitude : -magnitude;
  }
  if (exponent == 0x1f) return FloatOf(sign | 0x7f800000 | fraction << 13);
  return FloatOf(sign | (exponent + 112) << 23 | fraction << 13);
}

/** The nearest half, ties to even. */
inline uint16_t ToHalf(float value) {
  const uint32_t word = BitsOf(value);
  const uint16_t sign = static_cast<uint16_t>(word >> 16 & 0x8000);
  const uint32_t magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Below the smallest normal half the step is 2^-24 throughout; the product is exact and so is its rest.
  if (magnitude < 0x38800000) {
    const double scaled = static_cast<double>(FloatOf(magnitude)) * 0x1p24;
    const double low = std::floor(scaled);
    const double rest = scaled - low;
    const auto whole = static_cast<uint16_t>(low);
    return sign | static_cast<uint16_t>(rest > 0.5 || (rest == 0.5 && whole % 2 == 1) ? whole + 1 : whole);
  }
  const uint32_t odd = magnitude >> 13 & 1;
  return sign | static_cast<uint16_t>((magnitude - 0x38000000 + 0xfff + odd) >> 13);
}

inline uint16_t ToBrain(float value) {
  const uint32_t bits = BitsOf(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

bool ReadTyped(napi_env env, napi_value value, napi_typedarray_type wanted, void** data, size_t* count) {
  bool is_typed_array = false;
  napi_typedarray_type type;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(env, value, &type, count, data, nullptr, nullptr) != napi_ok || type != wanted) {
    Throw(env, "expected an array of another type");
    return false;
  }
  return true;
}

bool ReadPlace(napi_env env, napi_value first, napi_value inner, napi_value rows, Place* out) {
  if (!ReadCount(env, first, &out->first) || !ReadCount(env, inner, &out->inner) || !ReadCount(env, rows, &out->rows)) return false;
  if (out->inner == 0 || out->rows == 0) {
    Throw(env, "a tensor without rows");
    return false;
  }
  return true;
}

napi_value Refuse(napi_env env) {
  Throw(env, "arrays that do not fit together");
  return nullptr;
}

/** markCodes(owner, signs, skip, bias, word, t8, codes); `t8` has 256 entries. */
napi_value MarkCodes(napi_env env, napi_callback_info info) {
  napi_value arguments[7];
  Bytes owner, signs, bias, word, t8, codes;
  uint64_t skip = 0;
  if (!ReadArguments(env, info, arguments) || !ReadBytes(env, arguments[0], &owner) || !ReadBytes(env, arguments[1], &signs) ||
      !ReadCount(env, arguments[2], &skip) || !ReadBytes(env, arguments[3], &bias) || !ReadBytes(env, arguments[4], &word) ||
      !ReadBytes(env, arguments[5], &t8) || !ReadBytes(env, arguments[6], &codes)) {
    return nullptr;
  }
  const size_t count = codes.size;
  if (skip > 7 || t8.size != kThresholds) return Refuse(env);
  const size_t needed = (static_cast<size_t>(skip) + count + 7) / 8;
  if (owner.size < needed) return Refuse(env);
  if (signs.size == 0) {
    for (size_t i = 0; i < count; i += 1) codes.data[i] = static_cast<uint8_t>(Bit(owner.data, i + skip) << 1);
    return nullptr;
  }
  if (signs.size < needed || bias.size < count || word.size < count) return Refuse(env);
  const auto mark = [&](size_t i, unsigned owned, unsigned sign) {
    const unsigned x = word.data[i] < t8.data[bias.data[i]] ? 1 : 0;
    codes.data[i] = static_cast<uint8_t>((owned & 1) << 1 | ((sign ^ x ^ 1) & 1));
  };
  size_t i = 0;
  // Up to the first whole byte of signs, whole bytes, and the rest.
  for (; i < count && (i + skip) % 8 != 0; i += 1) mark(i, Bit(owner.data, i + skip), Bit(signs.data, i + skip));
  for (; i + 8 <= count; i += 8) {
    const unsigned owned = owner.data[(i + skip) / 8];
    const unsigned sign = signs.data[(i + skip) / 8];
    for (unsigned bit = 0; bit < 8; bit += 1) mark(i + bit, owned >> bit, sign >> bit);
  }
  for (; i < count; i += 1) mark(i, Bit(owner.data, i + skip), Bit(signs.data, i + skip));
  return nullptr;
}

struct AddArguments {
  void* values = nullptr;
  size_t count = 0;
  Place place;
  Bytes codes;
  const double* amounts = nullptr;
};

/** (values, first, inner, rows, codes, amounts) */
bool ReadAdd(napi_env env, napi_callback_info info, napi_typedarray_type type, AddArguments* out) {
  napi_value arguments[6];
  void* amounts = nullptr;
  size_t amount_count = 0;
  if (!ReadArguments(env, info, arguments) || !ReadTyped(env, arguments[0], type, &out->values, &out->count) ||
      !ReadPlace(env, arguments[1], arguments[2], arguments[3], &out->place) || !ReadBytes(env, arguments[4], &out->codes) ||
      !ReadTyped(env, arguments[5], napi_float64_array, &amounts, &amount_count)) {
    return false;
  }
  if (out->codes.size != out->count || amount_count / kCodes < out->place.rows) {
    Refuse(env);
    return false;
  }
  out->amounts = static_cast<const double*>(amounts);
  return true;
}

/** Adds to every weight of a piece what its row and code say; `add` makes the sum. */
template <typename Value, napi_typedarray_type kType, typename Add>
napi_value AddAmounts(napi_env env, napi_callback_info info, Add add) {
  AddArguments arguments;
  if (!ReadAdd(env, info, kType, &arguments)) return nullptr;
  auto* values = static_cast<Value*>(arguments.values);
  const uint8_t* codes = arguments.codes.data;
  ForRows(arguments.count, arguments.place, [&](size_t from, size_t to, size_t row) {
    const double* amounts = arguments.amounts + row * kCodes;
    for (size_t i = from; i < to; i += 1) values[i] = add(values[i], amounts[codes[i] & (kCodes - 1)]);
  });
  return nullptr;
}

inline float Sum(float value, double amount) { return static_cast<float>(static_cast<double>(value) + amount); }

napi_value MarkFloats(napi_env env, napi_callback_info info) {
  return AddAmounts<float, napi_float32_array>(env, info, [](float value, double amount) {
    const float sum = Sum(value, amount);
    // No branch: what a weight is does not foretell what the next one is.
    return value != 0 && sum - sum == 0 ? sum : value;
  });
}

napi_value MarkHalves(napi_env env, napi_callback_info info) {
  return AddAmounts<uint16_t, napi_uint16_array>(env, info, [](uint16_t stored, double amount) {
    const float value = FromHalf(stored);
    const uint16_t marked = ToHalf(Sum(value, amount));
    return value != 0 && (marked & 0x7c00) != 0x7c00 ? marked : stored;
  });
}

napi_value MarkBrains(napi_env env, napi_callback_info info) {
  return AddAmounts<uint16_t, napi_uint16_array>(env, info, [](uint16_t stored, double amount) {
    const float value = FloatOf(static_cast<uint32_t>(stored) << 16);
    const uint16_t marked = ToBrain(Sum(value, amount));
    return value != 0 && (marked & 0x7f80) != 0x7f80 ? marked : stored;
  });
}

/** markSteps(values, first, inner, rows, codes, picks, limits, zeroPoints, isSigned) */
napi_value MarkSteps(napi_env env, napi_callback_info info) {
  napi_value arguments[9];
  Bytes values, codes;
  Place place;
  void *picks_data = nullptr, *limits_data = nullptr, *zeros_data = nullptr;
  size_t pick_count = 0, limit_count = 0, zero_count = 0;
  bool is_signed = false;
  if (!ReadArguments(env, info, arguments) || !ReadBytes(env, arguments[0], &values) ||
      !ReadPlace(env, arguments[1], arguments[2], arguments[3], &place) || !ReadBytes(env, arguments[4], &codes) ||
      !ReadTyped(env, arguments[5], napi_uint32_array, &picks_data, &pick_count) ||
      !ReadTyped(env, arguments[6], napi_float64_array, &limits_data, &limit_count) ||
      !ReadTyped(env, arguments[7], napi_int32_array, &zeros_data, &zero_count) || !ReadFlag(env, arguments[8], &is_signed)) {
    return nullptr;
  }
  if (codes.size != values.size || pick_count != values.size || limit_count / kLimits < place.rows || zero_count < place.rows) {
    return Refuse(env);
  }
  const auto* picks = static_cast<const uint32_t*>(picks_data);
  const auto* limits = static_cast<const double*>(limits_data);
  const auto* zeros = static_cast<const int32_t*>(zeros_data);
  const int offset = is_signed ? 128 : 0;
  const int lowest = is_signed ? 2 : 1;
  ForRows(values.size, place, [&](size_t from, size_t to, size_t row) {
    const auto limit_at = [&](size_t index) { return static_cast<uint64_t>(limits[row * kLimits + index]); };
    const uint64_t owner = limit_at(0);
    const uint64_t code_limits[] = {limit_at(1), limit_at(2)};
    const int zero = static_cast<int>((static_cast<uint32_t>(zeros[row]) + static_cast<uint32_t>(offset)) & 0xff);
    for (size_t i = from; i < to; i += 1) {
      const unsigned code = codes.data[i];
      const uint64_t pick = picks[i];
      const int value = (values.data[i] + offset) & 0xff;
      // No branches: picks are random bits, which no processor foretells.
      const int may_move = static_cast<int>(value != zero) & static_cast<int>(value >= lowest) & static_cast<int>(value <= 254) &
                           static_cast<int>(pick < code_limits[(code & kInSubset) >> 2]);
      const unsigned is_owners = pick < owner ? 1 : 0;
      const int step = static_cast<int>(code >> is_owners & 1) * 2 - 1;
      values.data[i] = static_cast<uint8_t>(values.data[i] + (step & -may_move));
    }
  });
  return nullptr;
}

}  // namespace

void AddMark(napi_env env, napi_value exports) {
  AddFunction(env, exports, "markCodes", MarkCodes);
  AddFunction(env, exports, "markFloats", MarkFloats);
  AddFunction(env, exports, "markHalves", MarkHalves);
  AddFunction(env, exports, "markBrains", MarkBrains);
  AddFunction(env, exports, "markSteps", MarkSteps);
}

}  // namespace sealwright
