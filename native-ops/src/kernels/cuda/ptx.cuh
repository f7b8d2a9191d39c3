// Instructions that CUDA C++ has no words for, each as a function that the emulated device has too (../../emulated/ptx.cuh). PTX ISA.
#pragma once

#include <cstdint>
#include <type_traits>

#include "element.h"

namespace zigma::cuda {

// The special function unit's own results, denormal numbers as zero.
__device__ inline float Exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ inline float Reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The compiler knows nothing of `x` behind this: what depends on it is computed there, and held in no register from before.
template <typename X>
__device__ inline void Forget(X& x) { asm volatile("" : "+r"(x)); }

// Flags and counts in device memory, for blocks of one launch. Who sees a flag raised sees all that was written before by who raised it, and by those
// that it had met at a barrier (PTX ISA, "Memory consistency model").
__device__ inline void Raise(unsigned* flag) { asm volatile("st.release.gpu.global.u32 [%0], 1;" ::"l"(flag) : "memory"); }
__device__ inline void Await(const unsigned* flag) {
  unsigned raised;
  do asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(raised) : "l"(flag) : "memory");
  while (!raised);
}
__device__ inline unsigned CountUp(unsigned* count) {
  unsigned before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(before) : "l"(count) : "memory");
  return before;
}

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

// The products of two pairs of bfloat16, rounded: the one instruction that all GPUs with such numbers have also adds, here -0.
__device__ inline uint32_t Times(uint32_t a, uint32_t b) {
  uint32_t products;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(products) : "r"(a), "r"(b), "r"(0x80008000u));
  return products;
}

// d += a b: a warp multiplies 16 x 16 by 16 x 8 with sums in float ("Matrix fragments for mma.m16n8k16").
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

// d += a b: a warp multiplies 16 x 4 by 4 x 8 in TF32; the lower 13 bits of a factor count nothing ("Matrix fragments for mma.m16n8k4").
__device__ inline void MultiplyTf32(float (&d)[4], float a0, float a1, float b0) {
  asm("mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(__float_as_uint(a0)), "r"(__float_as_uint(a1)), "r"(__float_as_uint(b0)));
}

#else  // Turing: the host never starts what needs these.
constexpr bool kHasTensorCores = false;

template <typename T>
__device__ inline uint32_t Pair(float, float) { __trap(); return 0; }
__device__ inline uint32_t Times(uint32_t, uint32_t) { __trap(); return 0; }
template <typename T>
__device__ inline void Multiply(float (&)[4], uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t) { __trap(); }
__device__ inline void MultiplyTf32(float (&)[4], float, float, float) { __trap(); }

#endif

// A matrix of 8 x 8 elements of 16 bits transposed: lane 4 g + q has two neighbors of row g, from column 2 q on, of the one and of the other.
__device__ inline uint32_t Transpose(uint32_t pair) {
  uint32_t transposed;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(transposed) : "r"(pair));
  return transposed;
}

// Four matrices of 8 x 8 elements of 16 bits from shared memory: lane i gives the 16 bytes of row i % 8 of matrix i / 8.
__device__ inline void LoadMatrices(uint32_t (&f)[4], const void* row) {
  const unsigned at = unsigned(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3]) : "r"(at) : "memory");
}
// The same, each matrix transposed.
__device__ inline void LoadMatricesTransposed(uint32_t (&f)[4], const void* row) {
  const unsigned at = unsigned(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3]) : "r"(at) : "memory");
}

}  // namespace zigma::cuda
