// The vector layer of a unit: SIMD_BYTES (16, 32 or 64) wide, in the vector extensions of GCC and Clang.
//
// Extensions rather than intrinsics or Highway: the same lines compile at every width on every architecture, so the
// 512-bit code can be run, and proven, on a CPU without AVX-512, and nothing has to be installed to build. Only what
// compilers do not find by themselves (the high half of a product, packing) is written in intrinsics.
//
// Everything is in an anonymous namespace: see unit.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) && defined(__SSE4_1__)
#include <immintrin.h>
#endif
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace anonfilter {
namespace {

constexpr std::ptrdiff_t lanes = SIMD_BYTES / 4;

typedef std::uint32_t U32 __attribute__((vector_size(SIMD_BYTES), may_alias));
typedef std::int32_t I32 __attribute__((vector_size(SIMD_BYTES), may_alias));
typedef float F32 __attribute__((vector_size(SIMD_BYTES), may_alias));
typedef std::uint16_t U16 __attribute__((vector_size(SIMD_BYTES), may_alias));
typedef std::uint16_t Half16 __attribute__((vector_size(SIMD_BYTES / 2), may_alias));

// The same at any address.
typedef std::uint32_t U32At __attribute__((vector_size(SIMD_BYTES), may_alias, aligned(4)));
typedef std::int32_t I32At __attribute__((vector_size(SIMD_BYTES), may_alias, aligned(4)));
typedef std::uint32_t U32At2 __attribute__((vector_size(SIMD_BYTES), may_alias, aligned(2)));
typedef std::uint16_t U16At __attribute__((vector_size(SIMD_BYTES), may_alias, aligned(2)));
typedef std::uint16_t Half16At __attribute__((vector_size(SIMD_BYTES / 2), may_alias, aligned(2)));

#define UNIT_INLINE inline __attribute__((always_inline))

UNIT_INLINE U32 load(const std::uint32_t* p) { return *reinterpret_cast<const U32At*>(p); }
UNIT_INLINE I32 load(const std::int32_t* p) { return *reinterpret_cast<const I32At*>(p); }
UNIT_INLINE U32 load_pairs(const std::uint16_t* p) { return *reinterpret_cast<const U32At2*>(p); }
UNIT_INLINE void store(std::uint32_t* p, U32 v) { *reinterpret_cast<U32At*>(p) = v; }
UNIT_INLINE void store(std::uint16_t* p, U16 v) { *reinterpret_cast<U16At*>(p) = v; }
UNIT_INLINE U32 splat(std::uint32_t v) { return v - U32{}; }
UNIT_INLINE I32 splat_signed(std::int32_t v) { return v - I32{}; }

// `lanes` 16-bit samples as 32-bit lanes. GCC 12 makes four instructions of the general form.
UNIT_INLINE U32 widen(const std::uint16_t* p) {
#if defined(__AVX512F__) && SIMD_BYTES == 64
  return reinterpret_cast<U32>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
#elif defined(__AVX2__) && SIMD_BYTES == 32
  return reinterpret_cast<U32>(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(__SSE4_1__) && SIMD_BYTES == 16
  return reinterpret_cast<U32>(_mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  return __builtin_convertvector(*reinterpret_cast<const Half16At*>(p), U32);
#endif
}

// 2 * lanes samples as two registers, in an order that is each unit's own, and back: what unpacks and packs cheapest.
struct Pair {
  U32 a, b;
};

UNIT_INLINE Pair unpack(const std::uint16_t* p) {
#if defined(__AVX512BW__) && SIMD_BYTES == 64
  const __m512i v = _mm512_loadu_si512(p), zero = _mm512_setzero_si512();
  return {reinterpret_cast<U32>(_mm512_unpacklo_epi16(v, zero)), reinterpret_cast<U32>(_mm512_unpackhi_epi16(v, zero))};
#elif defined(__AVX2__) && SIMD_BYTES == 32
  const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), zero = _mm256_setzero_si256();
  return {reinterpret_cast<U32>(_mm256_unpacklo_epi16(v, zero)), reinterpret_cast<U32>(_mm256_unpackhi_epi16(v, zero))};
#elif defined(__SSE4_1__) && SIMD_BYTES == 16
  const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), zero = _mm_setzero_si128();
  return {reinterpret_cast<U32>(_mm_unpacklo_epi16(v, zero)), reinterpret_cast<U32>(_mm_unpackhi_epi16(v, zero))};
#else
  return {widen(p), widen(p + lanes)};
#endif
}

// v moved up by 1, 2, 4 or 8 lanes, zeros coming in; and its last lane in all lanes.
#if SIMD_BYTES == 16
#define UNIT_UP1 3, 4, 5, 6
#define UNIT_UP2 2, 3, 4, 5
#define UNIT_LAST 3, 3, 3, 3
#elif SIMD_BYTES == 32
#define UNIT_UP1 7, 8, 9, 10, 11, 12, 13, 14
#define UNIT_UP2 6, 7, 8, 9, 10, 11, 12, 13
#define UNIT_UP4 4, 5, 6, 7, 8, 9, 10, 11
#define UNIT_LAST 7, 7, 7, 7, 7, 7, 7, 7
#else
#define UNIT_UP1 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
#define UNIT_UP2 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29
#define UNIT_UP4 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
#define UNIT_UP8 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23
#define UNIT_LAST 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15
#endif

// Sums of the lanes up to and with each.
UNIT_INLINE U32 running(U32 v) {
#if defined(__AVX2__) && SIMD_BYTES == 32
  // Within halves, then the lower half's total on top of the upper half: a shuffle less than the general form.
  __m256i x = reinterpret_cast<__m256i>(v);
  x = _mm256_add_epi32(x, _mm256_slli_si256(x, 4));
  x = _mm256_add_epi32(x, _mm256_slli_si256(x, 8));
  const __m256i low = _mm256_permute2x128_si256(x, x, 0x08);
  return reinterpret_cast<U32>(_mm256_add_epi32(x, _mm256_shuffle_epi32(low, 0xff)));
#else
  const U32 zero{};
  v += __builtin_shufflevector(zero, v, UNIT_UP1);
  v += __builtin_shufflevector(zero, v, UNIT_UP2);
#if SIMD_BYTES >= 32
  v += __builtin_shufflevector(zero, v, UNIT_UP4);
#endif
#if SIMD_BYTES >= 64
  v += __builtin_shufflevector(zero, v, UNIT_UP8);
#endif
  return v;
#endif
}

// a0 b0 a1 b1 ... as two registers.
#if SIMD_BYTES == 16
#define UNIT_LOW 0, 4, 1, 5
#define UNIT_HIGH 2, 6, 3, 7
#elif SIMD_BYTES == 32
#define UNIT_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define UNIT_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define UNIT_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define UNIT_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif
UNIT_INLINE Pair interleave(U32 a, U32 b) {
#if defined(__AVX2__) && SIMD_BYTES == 32
  const __m256i x = reinterpret_cast<__m256i>(a), y = reinterpret_cast<__m256i>(b);
  const __m256i low = _mm256_unpacklo_epi32(x, y), high = _mm256_unpackhi_epi32(x, y);
  return {reinterpret_cast<U32>(_mm256_permute2x128_si256(low, high, 0x20)),
          reinterpret_cast<U32>(_mm256_permute2x128_si256(low, high, 0x31))};
#else
  return {__builtin_shufflevector(a, b, UNIT_LOW), __builtin_shufflevector(a, b, UNIT_HIGH)};
#endif
}

UNIT_INLINE U32 last_lane(U32 v) { return __builtin_shufflevector(v, v, UNIT_LAST); }

// The upper 32 bits of the products.
UNIT_INLINE U32 high(U32 a, U32 b) {
#if defined(__AVX512F__) && SIMD_BYTES == 64
  const __m512i x = reinterpret_cast<__m512i>(a), y = reinterpret_cast<__m512i>(b);
  const __m512i even = _mm512_mul_epu32(x, y), odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), _mm512_srli_epi64(y, 32));
  return reinterpret_cast<U32>(_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd));
#elif defined(__AVX2__) && SIMD_BYTES == 32
  const __m256i x = reinterpret_cast<__m256i>(a), y = reinterpret_cast<__m256i>(b);
  const __m256i even = _mm256_mul_epu32(x, y), odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(y, 32));
  return reinterpret_cast<U32>(_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa));
#elif defined(__SSE4_1__) && SIMD_BYTES == 16
  const __m128i x = reinterpret_cast<__m128i>(a), y = reinterpret_cast<__m128i>(b);
  const __m128i even = _mm_mul_epu32(x, y), odd = _mm_mul_epu32(_mm_srli_epi64(x, 32), _mm_srli_epi64(y, 32));
  return reinterpret_cast<U32>(_mm_blend_epi16(_mm_srli_epi64(even, 32), odd, 0xcc));
#elif defined(__aarch64__) && SIMD_BYTES == 16
  const uint32x4_t x = reinterpret_cast<uint32x4_t>(a), y = reinterpret_cast<uint32x4_t>(b);
  const uint64x2_t low = vmull_u32(vget_low_u32(x), vget_low_u32(y)), up = vmull_high_u32(x, y);
  return reinterpret_cast<U32>(vuzp2q_u32(vreinterpretq_u32_u64(low), vreinterpretq_u32_u64(up)));
#else
  typedef std::uint64_t Wide __attribute__((vector_size(2 * SIMD_BYTES)));
  return __builtin_convertvector((__builtin_convertvector(a, Wide) * __builtin_convertvector(b, Wide)) >> 32, U32);
#endif
}

// 2 * lanes samples of 16 bits from lanes that hold no more.
UNIT_INLINE U16 pack(U32 a, U32 b) {
#if defined(__AVX512BW__) && SIMD_BYTES == 64
  const __m256i x = _mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(a)), y = _mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(b));
  return reinterpret_cast<U16>(_mm512_inserti64x4(_mm512_castsi256_si512(x), y, 1));
#elif defined(__AVX2__) && SIMD_BYTES == 32
  const __m256i x = _mm256_packus_epi32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b));
  return reinterpret_cast<U16>(_mm256_permute4x64_epi64(x, 0xd8));
#elif defined(__SSE4_1__) && SIMD_BYTES == 16
  return reinterpret_cast<U16>(_mm_packus_epi32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  union {
    Half16 halves[2];
    U16 whole;
  } out;
  out.halves[0] = __builtin_convertvector(a, Half16);
  out.halves[1] = __builtin_convertvector(b, Half16);
  return out.whole;
#endif
}

// What unpack takes apart, of lanes that hold no more than 16 bits.
UNIT_INLINE U16 repack(Pair v) {
#if defined(__AVX512BW__) && SIMD_BYTES == 64
  return reinterpret_cast<U16>(_mm512_packus_epi32(reinterpret_cast<__m512i>(v.a), reinterpret_cast<__m512i>(v.b)));
#elif defined(__AVX2__) && SIMD_BYTES == 32
  return reinterpret_cast<U16>(_mm256_packus_epi32(reinterpret_cast<__m256i>(v.a), reinterpret_cast<__m256i>(v.b)));
#else
  return pack(v.a, v.b);
#endif
}

// (sum + count/2) / count, exactly, for counts of 1..32767 and sums of that many 16-bit samples.
//
// q = trunc(float(a) * ((1 - 2^-22) / count)): the three roundings err by 2^-24 each, together by less than the 2^-22
// that the numerator lacks, so q is not too large; and a/count < 2^16 + 1 makes all of it less than 0.03, so q is at
// most 1 too small, which the remainder shows.
UNIT_INLINE U32 divide(U32 sum, U32 count) {
  const U32 a = sum + (count >> 1);
  const F32 inverse = (1.0f - 0x1p-22f) / __builtin_convertvector(reinterpret_cast<I32>(count), F32);
  const F32 quotient = __builtin_convertvector(reinterpret_cast<I32>(a), F32) * inverse;
  const U32 q = reinterpret_cast<U32>(__builtin_convertvector(quotient, I32));
  const I32 rest = reinterpret_cast<I32>(a - q * count);
  return q - reinterpret_cast<U32>(rest >= reinterpret_cast<I32>(count));
}

}  // namespace
}  // namespace anonfilter
