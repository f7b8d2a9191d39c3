// Sixteen floats at once. The compiler maps them onto one AVX-512 register, two AVX or four SSE ones; the sources are the same for all.
// Included inside the namespace of each instruction set.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace zigma::cpu::ZIGMA_ISA {

constexpr int64_t kLanes = 16;
typedef float Lanes __attribute__((vector_size(64)));
typedef int32_t IntLanes __attribute__((vector_size(64)));

#define ZIGMA_INLINE static inline __attribute__((always_inline))

ZIGMA_INLINE Lanes Splat(float x) { return Lanes{} + x; }

ZIGMA_INLINE Lanes Load(const float* p) {
  Lanes x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

ZIGMA_INLINE void Store(float* p, Lanes x) { std::memcpy(p, &x, sizeof x); }

// The first `count` lanes; the others are 0 and are not touched in memory.
ZIGMA_INLINE Lanes LoadSome(const float* p, int64_t count) {
  if (count >= kLanes) return Load(p);
  Lanes x = {};
  std::memcpy(&x, p, size_t(count) * sizeof(float));
  return x;
}

ZIGMA_INLINE void StoreSome(float* p, Lanes x, int64_t count) {
  if (count >= kLanes) return Store(p, x);
  std::memcpy(p, &x, size_t(count) * sizeof(float));
}

ZIGMA_INLINE Lanes Select(IntLanes mask, Lanes yes, Lanes no) { return (Lanes)((mask & (IntLanes)yes) | (~mask & (IntLanes)no)); }
ZIGMA_INLINE Lanes Min(Lanes a, Lanes b) { return a < b ? a : b; }
ZIGMA_INLINE Lanes Max(Lanes a, Lanes b) { return a > b ? a : b; }

// e^x by 2^k times a polynomial on [-ln2/2, ln2/2]; relative error below 2e-7 for x in [-87, 88], 0 and infinity are not reached.
ZIGMA_INLINE Lanes Exp(Lanes x) {
  x = Min(Max(x, Splat(-87.0f)), Splat(88.0f));
  const Lanes rounding = Splat(0x1.8p23f);
  const Lanes shifted = x * 1.44269504f + rounding;
  const Lanes k = shifted - rounding;
  Lanes r = x - k * 0.693359375f;
  r = r - k * -2.12194440e-4f;
  Lanes p = Splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const IntLanes exponent = (IntLanes)shifted << 23;  // the low bits of `shifted` hold k
  return (Lanes)((IntLanes)p + exponent);
}

// 2^x, relative error below 2e-7 and exactly 1 at 0; x below -126 gives 0 or 2^-126.
ZIGMA_INLINE Lanes Exp2(Lanes x) {
#ifdef __AVX512F__
  const Lanes k = (Lanes)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT);
#else
  x = Min(Max(x, Splat(-126.0f)), Splat(127.0f));
  const Lanes rounding = Splat(0x1.8p23f);
  const Lanes shifted = x + rounding;
  const Lanes k = shifted - rounding;
#endif
  const Lanes r = x - k;
  Lanes p = Splat(1.3264727e-3f);
  p = p * r + 9.6715126e-3f;
  p = p * r + 5.5507337e-2f;
  p = p * r + 2.4022242e-1f;
  p = p * r + 6.9314698e-1f;
  p = p * r + 1.0f;
#ifdef __AVX512F__
  return (Lanes)_mm512_scalef_ps((__m512)p, (__m512)k);
#else
  return (Lanes)((IntLanes)p + ((IntLanes)shifted << 23));  // the low bits of `shifted` hold k
#endif
}

// Natural logarithm of positive normal numbers; absolute error below 1e-7 near 1.
ZIGMA_INLINE Lanes Log(Lanes x) {
  const IntLanes bits = (IntLanes)x;
  const IntLanes e = ((bits - 0x3f3504f3) >> 23);
  const Lanes m = (Lanes)(bits - (e << 23));
  const Lanes s = (m - 1.0f) / (m + 1.0f);
  const Lanes z = s * s;
  Lanes p = Splat(0.0909090936f);
  p = p * z + 0.111111112f;
  p = p * z + 0.142857149f;
  p = p * z + 0.200000003f;
  p = p * z + 0.333333343f;
  p = p * z * (2.0f * s) + 2.0f * s;
  return __builtin_convertvector(e, Lanes) * 0.693147182f + p;
}

// log(1 + y) for y in [0, 1], exact for small y too: 2 atanh(y / (2 + y)).
ZIGMA_INLINE Lanes Log1p(Lanes y) {
  const Lanes s = y / (y + 2.0f);
  const Lanes z = s * s;
  Lanes p = Splat(0.0769230798f);
  p = p * z + 0.0909090936f;
  p = p * z + 0.111111112f;
  p = p * z + 0.142857149f;
  p = p * z + 0.200000003f;
  p = p * z + 0.333333343f;
  return p * z * (2.0f * s) + 2.0f * s;
}

ZIGMA_INLINE Lanes Sigmoid(Lanes x) { return 1.0f / (1.0f + Exp(-x)); }

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|); above 20 that is x to the last bit.
ZIGMA_INLINE Lanes Softplus(Lanes x) { return Max(x, Splat(0)) + Log1p(Exp(-Max(x, -x))); }

ZIGMA_INLINE float Sum(Lanes x) {
  float sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += x[i];
  return sum;
}

ZIGMA_INLINE float Largest(Lanes x) {
  float largest = x[0];
  for (int i = 1; i < kLanes; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// Sixteen rows summed at once: lane i of the result is the sum of rows[i]. Four rounds of pairing, 15 additions in all.
ZIGMA_INLINE Lanes SumRows(Lanes* rows) {
  const IntLanes low8 = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23};
  const IntLanes high8 = {8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31};
  const IntLanes low4 = {0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27};
  const IntLanes high4 = {4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31};
  const IntLanes low2 = {0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29};
  const IntLanes high2 = {2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31};
  const IntLanes low1 = {0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30};
  const IntLanes high1 = {1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31};
#define ZIGMA_PAIR(a, b, low, high) (__builtin_shuffle(a, b, low) + __builtin_shuffle(a, b, high))
  for (int i = 0; i < 8; ++i) rows[i] = ZIGMA_PAIR(rows[i], rows[i + 8], low8, high8);
  for (int i = 0; i < 4; ++i) rows[i] = ZIGMA_PAIR(rows[i], rows[i + 4], low4, high4);
  for (int i = 0; i < 2; ++i) rows[i] = ZIGMA_PAIR(rows[i], rows[i + 2], low2, high2);
  return ZIGMA_PAIR(rows[0], rows[1], low1, high1);
#undef ZIGMA_PAIR
}

}  // namespace zigma::cpu::ZIGMA_ISA
