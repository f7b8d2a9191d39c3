// Time steps of a scan that are not given: softplus of low [batch, length, rank] times delta_weight [dim, rank], transposed, with a bias.
#pragma once

#include "selective_scan.cuh"
#include "tensor_cores.cuh"

namespace zigma::cuda {

constexpr int kStepTile = 32;  // positions and channels that a warp makes together
constexpr int kStepDeep = 16;  // numbers of their rows that are multiplied at once
constexpr int kMostWidth = 80;

// Whether the tensor cores can make them: rows are whole pieces of 16 bytes, and behind the rank there is enough of them to fill up what is multiplied at once.
template <typename T>
bool CanMakeSteps(const SelectiveScanParams<T>& p, const Device& device) {
  return sizeof(T) == 2 && device.capability >= kTensorCapability && p.dim % kStepTile == 0 && DivideUp(p.rank, kStepDeep) * kStepDeep <= p.low_width &&
         p.low_width <= kMostWidth && IsWhole(p.low, p.low_width) && IsWhole(p.delta_weight, p.low_width);
}

// Rows of one factor in shared memory, as they lie in device memory: one behind the other.
template <typename T>
using StepRows = T[kStepTile * kMostWidth];

// Those of a tile of positions from `first` on, and of a warp's channels; all warps of a block, which have the same channels, come here together, also one
// without positions. put(position of the tile, channel of the warp, its step, the next channel's): where they go.
// Of a row's 16 numbers that are multiplied at once a lane has four neighboring ones, of both factors the same.
template <typename T, typename Put>
__device__ inline void MakeSteps(const SelectiveScanParams<T>& p, const Place& at, int first, StepRows<T>& low, StepRows<T>& weight, const Put& put) {
  const int rank = int(p.rank), width = int(p.low_width), group = at.lane / 4, quarter = at.lane % 4, many = min(kStepTile, at.last - first);
  const auto fetch = [&](T* to, const T* from, int rows, int thread, int threads) {
    for (int piece = thread; piece < rows * width / kVector<T>; piece += threads) __pipeline_memcpy_async(to + piece * kVector<T>, from + piece * kVector<T>, 16);
  };
  fetch(weight, p.delta_weight + int64_t(at.columns.first) * width, kStepTile, threadIdx.x, blockDim.x);
  if (many > 0) fetch(low, p.low + (int64_t(at.b) * p.length + first) * width, many, at.lane, kWarp);
  __pipeline_commit();
  __pipeline_wait_prior(0);
  __syncthreads();
  const auto four = [&](const T* rows, int row, int k) { return *reinterpret_cast<const uint2*>(rows + row * width + k + quarter * 4); };
  float sums[2][4][4] = {};
  for (int k = 0; k < rank; k += kStepDeep) {
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

// Where they are not given, makes them in a launch of their own.
template <typename T>
cudaError_t GiveSteps(SelectiveScanParams<T>& p, const Device& device) {
  if (p.steps_given) return cudaSuccess;
  T* const steps = device.Scratch<T>(size_t(p.batch) * p.length * p.dim);
  const T* const product = p.delta;
  p.delta = steps, p.steps_given = true;
  return TimeSteps<T>({p.batch * p.length, p.dim, p.rank, p.low_width, p.delta_softplus, p.low, p.delta_weight, product, p.delta_bias, steps}, device);
}

}  // namespace zigma::cuda
