// The instructions of ../kernels/cuda/ptx.cuh on the emulated device.
#pragma once

#include <math.h>

#include <cstdint>
#include <stdexcept>

#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "device.h"

namespace zigma::cuda {

inline float Flush(float x) { return fabsf(x) < 1.17549435e-38f ? copysignf(0.0f, x) : x; }
inline float Exp2(float x) { return Flush(exp2f(Flush(x))); }
inline float Reciprocal(float x) { return Flush(1.0f / Flush(x)); }

template <typename X>
void Forget(X&) {}

// Blocks run one after the other, so that a flag is raised before anyone looks at it.
inline void Raise(unsigned* flag) { *flag = 1; }
inline void Await(const unsigned* flag) {
  if (!*flag) throw std::runtime_error("a block waits for one that comes after it");
}
inline unsigned CountUp(unsigned* count) { return (*count)++; }

constexpr bool kHasTensorCores = true;

inline float Number(uint16_t bits, __half) { __half x; memcpy(&x, &bits, 2); return __half2float(x); }
inline float Number(uint16_t bits, __nv_bfloat16) { return __bfloat162float({bits}); }
inline uint16_t Bits(float x, __half) { const __half half = __float2half_rn(x); uint16_t bits; memcpy(&bits, &half, 2); return bits; }
inline uint16_t Bits(float x, __nv_bfloat16) { return __float2bfloat16_rn(x).bits; }

template <typename T>
uint32_t Pair(float a, float b) { return Bits(a, T{}) | uint32_t(Bits(b, T{})) << 16; }

inline uint32_t Times(uint32_t a, uint32_t b) {
  const auto product = [&](int i) { return Number(uint16_t(a >> 16 * i), __nv_bfloat16{}) * Number(uint16_t(b >> 16 * i), __nv_bfloat16{}); };
  return Pair<__nv_bfloat16>(product(0), product(1));
}

// What a lane has of the sum of a product of 16 x K by K x 8.
template <int K>
void AddProduct(int lane, const float (&a)[16][K], const float (&b)[K][8], float* sum) {
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < K; ++k) sum[i] += a[lane / 4 + i / 2 * 8][k] * b[k][lane % 4 * 2 + i % 2];
}

struct Factors16 {
  uint32_t a[4], b[2];
  float* d;
};

template <typename T>
void Multiply(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
  Factors16 mine = {{a0, a1, a2, a3}, {b0, b1}, d};
  emulated::Together(&mine, [](void* const(&shares)[emulated::kWarp]) {
    float a[16][16], b[16][8];
    for (int lane = 0; lane < emulated::kWarp; ++lane) {
      if (!shares[lane]) throw std::runtime_error("a product of matrices misses a lane");
      const auto& one = *static_cast<const Factors16*>(shares[lane]);
      const int row = lane / 4, pair = lane % 4 * 2;
      for (int i = 0; i < 2; ++i) {
        for (int k = 0; k < 4; ++k) a[row + k % 2 * 8][pair + k / 2 * 8 + i] = Number(uint16_t(one.a[k] >> 16 * i), T{});
        for (int k = 0; k < 2; ++k) b[pair + k * 8 + i][row] = Number(uint16_t(one.b[k] >> 16 * i), T{});
      }
    }
    for (int lane = 0; lane < emulated::kWarp; ++lane) AddProduct(lane, a, b, static_cast<const Factors16*>(shares[lane])->d);
  });
}

inline float CutToTf32(float x) { return __uint_as_float(__float_as_uint(x) & 0xffffe000u); }

struct FactorsTf32 {
  float a[2], b;
  float* d;
};

inline void MultiplyTf32(float (&d)[4], float a0, float a1, float b0) {
  FactorsTf32 mine = {{a0, a1}, b0, d};
  emulated::Together(&mine, [](void* const(&shares)[emulated::kWarp]) {
    float a[16][4], b[4][8];
    for (int lane = 0; lane < emulated::kWarp; ++lane) {
      if (!shares[lane]) throw std::runtime_error("a product of matrices misses a lane");
      const auto& one = *static_cast<const FactorsTf32*>(shares[lane]);
      for (int i = 0; i < 2; ++i) a[lane / 4 + i * 8][lane % 4] = CutToTf32(one.a[i]);
      b[lane % 4][lane / 4] = CutToTf32(one.b);
    }
    for (int lane = 0; lane < emulated::kWarp; ++lane) AddProduct(lane, a, b, static_cast<const FactorsTf32*>(shares[lane])->d);
  });
}

struct Words {
  uint32_t given, got;
};
inline uint32_t Transpose(uint32_t pair) {
  Words mine = {pair, 0};
  emulated::Together(&mine, [](void* const(&shares)[emulated::kWarp]) {
    for (void* const share : shares)
      if (!share) throw std::runtime_error("a matrix to transpose misses a lane");
    const auto element = [&](int row, int column) { return static_cast<const Words*>(shares[row * 4 + column / 2])->given >> column % 2 * 16 & 0xffffu; };
    for (int lane = 0; lane < emulated::kWarp; ++lane) {
      const int row = lane / 4, column = lane % 4 * 2;
      static_cast<Words*>(shares[lane])->got = element(column, row) | element(column + 1, row) << 16;
    }
  });
  return mine.got;
}

struct Matrices {
  const uint16_t* row;  // eight elements
  uint32_t* got;
};

inline void LoadOrThrow(void* const (&shares)[emulated::kWarp], bool transposed) {
  for (void* const share : shares)
    if (!share || reinterpret_cast<uintptr_t>(static_cast<const Matrices*>(share)->row) % 16)
      throw std::runtime_error("a load of matrices misses a lane or is not aligned to 16 bytes");
  for (int lane = 0; lane < emulated::kWarp; ++lane)
    for (int matrix = 0; matrix < 4; ++matrix) {
      const auto element = [&](int row, int column) { return uint32_t(static_cast<const Matrices*>(shares[matrix * 8 + row])->row[column]); };
      const int one = lane / 4, pair = lane % 4 * 2;
      static_cast<Matrices*>(shares[lane])->got[matrix] =
          transposed ? element(pair, one) | element(pair + 1, one) << 16 : element(one, pair) | element(one, pair + 1) << 16;
    }
}

inline void LoadMatrices(uint32_t (&f)[4], const void* row) {
  Matrices mine = {static_cast<const uint16_t*>(row), f};
  emulated::Together(&mine, [](void* const(&shares)[emulated::kWarp]) { LoadOrThrow(shares, false); });
}
inline void LoadMatricesTransposed(uint32_t (&f)[4], const void* row) {
  Matrices mine = {static_cast<const uint16_t*>(row), f};
  emulated::Together(&mine, [](void* const(&shares)[emulated::kWarp]) { LoadOrThrow(shares, true); });
}

}  // namespace zigma::cuda
