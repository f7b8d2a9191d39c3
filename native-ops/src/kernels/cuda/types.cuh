// Elements of 16 and 32 bits, loaded and stored 16 bytes at a time, computed with in float.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "../params.h"
#include "element.h"
#include "ptx.cuh"

namespace zigma::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ inline float ToFloat(float x) { return x; }
__device__ inline float ToFloat(__half x) { return __half2float(x); }
__device__ inline float ToFloat(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename T> __device__ T FromFloat(float x);
template <> __device__ inline float FromFloat<float>(float x) { return x; }
template <> __device__ inline __half FromFloat<__half>(float x) { return __float2half_rn(x); }
template <> __device__ inline __nv_bfloat16 FromFloat<__nv_bfloat16>(float x) { return __float2bfloat16_rn(x); }

// The two numbers of a word.
template <typename T>
__device__ inline void Unpack(uint32_t word, float& low, float& high) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    low = __uint_as_float(word << 16), high = __uint_as_float(word & 0xffff0000u);
  } else {
    const T* const parts = reinterpret_cast<const T*>(&word);
    low = ToFloat(parts[0]), high = ToFloat(parts[1]);
  }
}

// Elements that one 16-byte access moves.
template <typename T> constexpr int kVector = 16 / sizeof(T);

// Whether rows that begin at `at` and are `stride` elements apart can be read so many bytes at a time.
template <int Bytes = 16, typename T>
__host__ __device__ inline bool IsWhole(const T* at, int64_t stride) {
  return reinterpret_cast<uintptr_t>(at) % Bytes == 0 && stride * int64_t(sizeof(T)) % Bytes == 0;
}

// N consecutive elements at an address aligned to all of them (or to 16 bytes, where they are more).
template <int N, typename T>
__device__ inline void Load(const T* from, float (&to)[N]) {
  constexpr int bytes = N * int(sizeof(T));
  if constexpr (bytes >= 16) {
    constexpr int each = kVector<T>;
#pragma unroll
    for (int i = 0; i < N / each; ++i) {
      const uint4 raw = reinterpret_cast<const uint4*>(from)[i];
      const T* parts = reinterpret_cast<const T*>(&raw);
#pragma unroll
      for (int j = 0; j < each; ++j) to[i * each + j] = ToFloat(parts[j]);
    }
  } else if constexpr (bytes == 8) {
    const uint2 raw = *reinterpret_cast<const uint2*>(from);
    const T* parts = reinterpret_cast<const T*>(&raw);
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = ToFloat(parts[i]);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = ToFloat(from[i]);
  }
}

template <int N, typename T>
__device__ inline void Store(T* to, const float (&from)[N]) {
  constexpr int bytes = N * int(sizeof(T));
  if constexpr (bytes >= 16) {
    constexpr int each = kVector<T>;
#pragma unroll
    for (int i = 0; i < N / each; ++i) {
      uint4 raw;
      T* parts = reinterpret_cast<T*>(&raw);
#pragma unroll
      for (int j = 0; j < each; ++j) parts[j] = FromFloat<T>(from[i * each + j]);
      reinterpret_cast<uint4*>(to)[i] = raw;
    }
  } else if constexpr (bytes == 8) {
    uint2 raw;
    T* parts = reinterpret_cast<T*>(&raw);
#pragma unroll
    for (int i = 0; i < N; ++i) parts[i] = FromFloat<T>(from[i]);
    *reinterpret_cast<uint2*>(to) = raw;
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = FromFloat<T>(from[i]);
  }
}

__device__ inline float WarpSum(float x) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(kAllLanes, x, offset);
  return x;
}

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

__device__ inline float Sigmoid(float x) { return Reciprocal(1.0f + Exp2(-kLog2E * x)); }

// softplus of a number. Small results keep their relative precision, for they are time steps: 1e-5 for elements of 16 bits, where log(1 + e) for e up to 1 is
// e times a polynomial that is 1 at 0.
template <typename T>
__device__ inline float Softplus(float x) {
  if constexpr (sizeof(T) == 4) return x > 20.0f ? x : log1pf(expf(x));
  const float e = Exp2(-kLog2E * fabsf(x));
  const float slope = fmaf(fmaf(fmaf(fmaf(-0.0247345317f, e, 0.103592617f), e, -0.212404187f), e, 0.326226077f), e, -0.499539473f);
  return fmaf(e, fmaf(slope, e, 1.0f), fmaxf(x, 0.0f));
}

// 2^(a b) without the special function unit: a polynomial for the part behind the point, which is 1 at 0, lest the error of a decay near 1 grow with every
// step. For a b from -124 to 127 with a relative error of 3e-6; below, down to -10^6, what is no more than 5e-16: the polynomial is above 1/4 and below
// its last term there.
__device__ inline float Exp2OfProduct(float a, float b) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to an integer, in the lower bits
  const float shifted = fmaxf(fmaf(a, b, kShift), kShift - 124.0f);
  const float f = fmaf(a, b, kShift - shifted);
  const float power = fmaf(fmaf(fmaf(fmaf(0.0095828485f, f, 0.0559064367f), f, 0.2402409878f), f, 0.6931241915f), f, 1.0f);
  return __uint_as_float(__float_as_uint(power) + (__float_as_uint(shifted) << 23));
}

// A permutation's entry, kept inside the sequence whatever stands there.
__device__ inline int Token(const int32_t* permutation, int position, int length) {
  return permutation ? int(min(unsigned(permutation[position]), unsigned(length - 1))) : position;
}

inline int DivideUp(int64_t a, int64_t b) { return int((a + b - 1) / b); }

}  // namespace zigma::cuda
