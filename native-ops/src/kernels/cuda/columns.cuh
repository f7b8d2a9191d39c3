// Sums over rows, in a fixed order: blocks leave their shares in memory, and one more kernel adds the shares of all sums that are wanted.
#pragma once

#include "types.cuh"

namespace zigma::cuda {

// shares [groups, parts, columns] -> out [groups, columns], as float or as T; the other is null.
template <typename T>
struct ShareSum {
  const float* shares;
  int groups, parts;
  float* wide;
  T* narrow;
};

template <typename T>
struct ShareSums {
  static constexpr int kMost = 6;
  int64_t columns;
  int count, groups;  // of all sums together
  ShareSum<T> sums[kMost];

  void Add(const ShareSum<T>& sum) { sums[count++] = sum, groups += sum.groups; }
};

constexpr int kShareWarps = 8;

template <typename T>
__global__ void __launch_bounds__(kShareWarps* kWarp) AddShares(ShareSums<T> all) {
  __shared__ float room[kShareWarps][kWarp];
  int which = 0, group = blockIdx.x;
  while (group >= all.sums[which].groups) group -= all.sums[which++].groups;
  const ShareSum<T>& sum = all.sums[which];
  const int64_t column = int64_t(blockIdx.y) * kWarp + threadIdx.x;
  const bool inside = column < all.columns;
  float total = 0;
#pragma unroll 16
  for (int part = threadIdx.y; part < sum.parts; part += kShareWarps)
    if (inside) total += sum.shares[(int64_t(group) * sum.parts + part) * all.columns + column];
  room[threadIdx.y][threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y > 0 || !inside) return;
#pragma unroll
  for (int warp = 1; warp < kShareWarps; ++warp) total += room[warp][threadIdx.x];
  const int64_t at = group * all.columns + column;
  if (sum.wide) sum.wide[at] = total;
  else sum.narrow[at] = FromFloat<T>(total);
}

template <typename T>
void RunAddShares(const ShareSums<T>& all, cudaStream_t stream) {
  if (all.groups == 0) return;
  AddShares<T><<<dim3(unsigned(all.groups), DivideUp(all.columns, kWarp)), dim3(kWarp, kShareWarps), 0, stream>>>(all);
}

}  // namespace zigma::cuda
