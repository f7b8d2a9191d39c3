// As many floats at once as one register of the instruction set holds: 16, 8 or 4. (Wider vectors would compile too, but compilers take them
// apart through memory: the scan was five times slower so.) Included inside the namespace of each instruction set.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace zigma::cpu::ZIGMA_ISA {

#if defined(__AVX512F__)
constexpr int64_t kLanes = 16;
#elif defined(__AVX2__)
constexpr int64_t kLanes = 8;
#else
constexpr int64_t kLanes = 4;
#endif
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t IntLanes __attribute__((vector_size(kLanes * sizeof(float))));

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

// Adds one half of each vector to its other half, two vectors at a time: `stride` lanes apart, the sums of `a` where that bit is 0.
template <int stride, size_t... lane>
ZIGMA_INLINE Lanes PairUp(Lanes a, Lanes b, std::index_sequence<lane...>) {
  constexpr int kB = kLanes;  // the lanes of b come after those of a
  return __builtin_shuffle(a, b, IntLanes{(lane & stride ? kB + (int(lane) ^ stride) : int(lane))...}) +
         __builtin_shuffle(a, b, IntLanes{(lane & stride ? kB + int(lane) : (int(lane) ^ stride))...});
}

// Lane i of the result is the sum of rows[i], for as many rows as there are lanes; the rows are used up.
template <int stride = kLanes / 2>
ZIGMA_INLINE Lanes SumRows(Lanes* rows) {
  for (int i = 0; i < stride; ++i) rows[i] = PairUp<stride>(rows[i], rows[i + stride], std::make_index_sequence<kLanes>());
  if constexpr (stride > 1) return SumRows<stride / 2>(rows);
  else return rows[0];
}

}  // namespace zigma::cpu::ZIGMA_ISA
