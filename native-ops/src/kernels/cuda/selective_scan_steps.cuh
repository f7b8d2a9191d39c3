// Time steps of a scan that are given as what they are a product of: low [batch, length, rank] times delta_weight [dim, rank], transposed.
#pragma once

#include "selective_scan.cuh"

namespace zigma::cuda {

constexpr int kStepTile = 32;  // positions and channels that a warp makes together
constexpr int kMostRank = 80;

// Whether the tensor cores can make them, and rows are whole pieces of 16 bytes.
template <typename T>
bool HasWholeSteps(const SelectiveScanParams<T>& p, const Device& device) {
  return sizeof(T) == 2 && device.capability >= 80 && p.dim % kStepTile == 0 && p.rank % 16 == 0 && p.rank <= kMostRank && IsWhole(p.low, p.rank) &&
         IsWhole(p.delta_weight, p.rank);
}

// Rows of one factor in shared memory, as they lie in device memory: one behind the other.
template <typename T>
using StepRows = T[kStepTile * kMostRank];

// Those of a tile of positions from `first` on, and of a warp's channels; all warps of a block, which have the same channels, come here together, also one
// without positions. put(position of the tile, channel of the warp, its step, the next channel's): where they go.
// Of a row's 16 numbers that are multiplied at once a lane has four neighboring ones, of both factors the same.
template <typename T, typename Put>
__device__ inline void MakeSteps(const SelectiveScanParams<T>& p, const Place& at, int first, StepRows<T>& low, StepRows<T>& weight, const Put& put) {
  const int rank = int(p.rank), group = at.lane / 4, quarter = at.lane % 4, many = min(kStepTile, at.last - first);
  const auto fetch = [&](T* to, const T* from, int rows, int thread, int threads) {
    for (int piece = thread; piece < rows * rank / kVector<T>; piece += threads) __pipeline_memcpy_async(to + piece * kVector<T>, from + piece * kVector<T>, 16);
  };
  fetch(weight, p.delta_weight + int64_t(at.columns.first) * rank, kStepTile, threadIdx.x, blockDim.x);
  if (many > 0) fetch(low, p.low + (int64_t(at.b) * p.length + first) * rank, many, at.lane, kWarp);
  __pipeline_commit();
  __pipeline_wait_prior(0);
  __syncthreads();
  const auto four = [&](const T* rows, int row, int k) { return *reinterpret_cast<const uint2*>(rows + row * rank + k + quarter * 4); };
  float sums[2][4][4] = {};
  for (int k = 0; k < rank; k += 16) {
    uint2 rows[2][2], columns[4];
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int upper = 0; upper < 2; ++upper) rows[half][upper] = four(low, half * 16 + upper * 8 + group, k);
#pragma unroll
    for (int j = 0; j < 4; ++j) columns[j] = four(weight, j * 8 + group, k);
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        Multiply<T>(sums[half][j], rows[half][0].x, rows[half][1].x, rows[half][0].y, rows[half][1].y, columns[j].x, columns[j].y);
  }
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int upper = 0; upper < 2; ++upper) {
      const int row = half * 16 + upper * 8 + group;
      if (row >= many) continue;
#pragma unroll
      for (int j = 0; j < 4; ++j) put(row, j * 8 + quarter * 2, sums[half][j][2 * upper], sums[half][j][2 * upper + 1]);
    }
  __syncthreads();
}

// All of them in a launch of its own: steps [batch, length, dim], as `delta` would be.
template <typename T>
__global__ void __launch_bounds__(kWarp) WholeSteps(SelectiveScanParams<T> p, T* steps) {
  __shared__ __align__(16) StepRows<T> low, weight;
  const Place at = PlaceIn<true>(p, blockIdx.x, kStepTile, blockIdx.y);
  T* const to = steps + at.sequence + int64_t(at.first) * p.dim + at.columns.first;
  MakeSteps(p, at, at.first, low, weight, [&](int row, int channel, float x, float y) { *reinterpret_cast<uint32_t*>(to + row * p.dim + channel) = Pair<T>(x, y); });
}

// Of any sizes, a number a thread.
template <typename T>
__global__ void Steps(SelectiveScanParams<T> p, T* steps) {
  const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, row = at / p.dim, e = at % p.dim;
  if (row >= p.batch * p.length) return;
  float sum = 0;
  for (int64_t k = 0; k < p.rank; ++k) sum += ToFloat(p.low[row * p.rank + k]) * ToFloat(p.delta_weight[e * p.rank + k]);
  steps[at] = FromFloat<T>(sum);
}

// Where the steps are still to be made, makes them in launches of their own.
template <typename T>
void GiveSteps(SelectiveScanParams<T>& p, const Device& device) {
  if (!p.low) return;
  T* const steps = device.Scratch<T>(size_t(p.batch) * p.length * p.dim);
  p.delta = steps;
  if constexpr (sizeof(T) == 2) {
    if (HasWholeSteps(p, device)) {
      const dim3 grid(unsigned(p.dim / kStepTile), DivideUp(p.length, kStepTile), unsigned(p.batch));
      WholeSteps<T><<<grid, kWarp, 0, device.stream>>>(p, steps);
      return;
    }
  }
  constexpr int kThreads = 256;
  Steps<T><<<DivideUp(p.batch * p.length * p.dim, kThreads), kThreads, 0, device.stream>>>(p, steps);
}

}  // namespace zigma::cuda
