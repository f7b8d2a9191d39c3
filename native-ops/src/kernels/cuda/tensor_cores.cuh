// Tiles of 16-bit elements on their way from shared memory to the tensor cores, from compute capability 8.0 on. Of a left tile of 16 x 16 and of the sum
// a lane holds rows lane / 4 and lane / 4 + 8 (PTX ISA, "Matrix fragments for mma.m16n8k16").
#pragma once

#include "types.cuh"

namespace zigma::cuda {

constexpr int kTensorCapability = 80;

// A tile of 16 x 16 of shared memory, rows `stride` elements apart and 16-byte aligned. As left factor a[0..3]; read as the columns of the right
// factor (row n of the tile is column n of the factor): columns 0-7 are (f[0], f[2]), columns 8-15 (f[1], f[3]).
template <typename T>
__device__ inline void LoadFragment(uint32_t (&f)[4], const T* tile, int stride) {
  const int lane = threadIdx.x % kWarp;
  LoadMatrices(f, tile + lane % 16 * stride + lane / 16 * 8);
}

// The tile as the right factor itself: its columns 0-7 are (f[0], f[1]), columns 8-15 (f[2], f[3]).
template <typename T>
__device__ inline void LoadTransposed(uint32_t (&f)[4], const T* tile, int stride) {
  const int lane = threadIdx.x % kWarp;
  LoadMatricesTransposed(f, tile + lane % 16 * stride + lane / 16 * 8);
}

}  // namespace zigma::cuda
