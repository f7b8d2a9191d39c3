// Products of small tiles of 16-bit elements on the tensor cores, from compute capability 8.0 on: a warp multiplies 16 x 16 by 16 x 8 with sums in
// float (PTX ISA, "Matrix fragments for mma.m16n8k16"). Of the left tile and of the sum a lane holds rows lane / 4 and lane / 4 + 8.
#pragma once

#include "types.cuh"

namespace zigma::cuda {

constexpr int kTensorCapability = 80;

// Two numbers rounded to T, the first in the lower half.
template <typename T> __device__ uint32_t Pair(float a, float b);

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
constexpr bool kHasTensorCores = true;

template <>
__device__ inline uint32_t Pair<__nv_bfloat16>(float a, float b) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(b), "f"(a));
  return pair;
}

template <>
__device__ inline uint32_t Pair<__half>(float a, float b) {
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(b), "f"(a));
  return pair;
}

// d += a b
template <typename T>
__device__ inline void Multiply(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, __half>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
}

#else  // Turing: the host never starts what needs these.
constexpr bool kHasTensorCores = false;

template <typename T>
__device__ inline uint32_t Pair(float, float) { __trap(); return 0; }
template <typename T>
__device__ inline void Multiply(float (&)[4], uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t) { __trap(); }

#endif

// A tile of 16 x 16 of shared memory, rows `stride` elements apart and 16-byte aligned. As left factor a[0..3]; read as the columns of the right
// factor (row n of the tile is column n of the factor): columns 0-7 are (f[0], f[2]), columns 8-15 (f[1], f[3]).
template <typename T>
__device__ inline void LoadFragment(uint32_t (&f)[4], const T* tile, int stride) {
  const int lane = threadIdx.x % kWarp;
  const unsigned at = unsigned(__cvta_generic_to_shared(tile + lane % 16 * stride + lane / 16 * 8));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3]) : "r"(at) : "memory");
}

// The tile as the right factor itself: its columns 0-7 are (f[0], f[1]), columns 8-15 (f[2], f[3]).
template <typename T>
__device__ inline void LoadTransposed(uint32_t (&f)[4], const T* tile, int stride) {
  const int lane = threadIdx.x % kWarp;
  const unsigned at = unsigned(__cvta_generic_to_shared(tile + lane % 16 * stride + lane / 16 * 8));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3]) : "r"(at) : "memory");
}

}  // namespace zigma::cuda
