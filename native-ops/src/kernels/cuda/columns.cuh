// Sums over rows, in a fixed order: blocks leave their shares in memory, and a second kernel adds these.
#pragma once

#include "types.cuh"

namespace zigma::cuda {

// shares [groups, parts, columns] -> out [groups, columns]
template <typename Out>
__global__ void SumShares(const float* shares, int parts, int64_t columns, Out* out) {
  __shared__ float sums[kWarp][kWarp + 1];
  const int64_t column = int64_t(blockIdx.x) * kWarp + threadIdx.x, group = blockIdx.y;
  float sum = 0;
  if (column < columns)
    for (int part = threadIdx.y; part < parts; part += kWarp) sum += shares[(group * parts + part) * columns + column];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  const float total = WarpSum(sums[threadIdx.x][threadIdx.y]);
  const int64_t mine = int64_t(blockIdx.x) * kWarp + threadIdx.y;
  if (threadIdx.x == 0 && mine < columns) out[group * columns + mine] = FromFloat<Out>(total);
}

template <typename Out>
void AddShares(const float* shares, int64_t groups, int parts, int64_t columns, Out* out, cudaStream_t stream) {
  SumShares<Out><<<dim3(DivideUp(columns, kWarp), unsigned(groups)), dim3(kWarp, kWarp), 0, stream>>>(shares, parts, columns, out);
}

// The sums of a block's warps: each lane's numbers belong to columns `column(i)`; `total` gets each column's sum once.
template <int Count, int Warps, typename Total>
__device__ inline void SumOverWarps(float (&values)[Count], float (&room)[Warps][kWarp], const Total& total) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    __syncthreads();
    room[warp][lane] = values[i];
    __syncthreads();
    if (warp == i % Warps) {
      float sum = 0;
#pragma unroll
      for (int w = 0; w < Warps; ++w) sum += room[w][lane];
      total(i, sum);
    }
  }
}

}  // namespace zigma::cuda
