// The time steps of a scan, all at once: steps = softplus(low weightᵀ + bias)
#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "kernels.h"
#include "tensor_cores.cuh"
#include "types.cuh"

namespace zigma::cuda {
namespace {

constexpr int kWarps = 4;       // of a block, with neighboring channels
constexpr int kTile = 32;       // rows and channels that a warp multiplies at once
constexpr int kDeep = 16;       // numbers of either that are multiplied at once
constexpr int kMostRows = 256;  // of a block: its weights are loaded once for all of them
constexpr int kChannels = kWarps * kTile;

template <typename T>
__device__ inline float StepOf(const TimeStepsParams<T>& p, float sum) { return p.softplus ? Softplus<T>(sum) : sum; }

// What a block has in shared memory. Rows are rounded up, so that neither they nor matrices meet in a bank.
template <typename T, int Products>
struct Room {
  static constexpr int kRow = Products * kDeep + 8;
  T weight[kChannels][kRow];
  T low[2][kTile][kRow];
};

// With a softplus, on the tensor cores: a block has kChannels channels and up to kMostRows rows, which are fetched a tile at a time while the one before is
// computed with. Ranks are filled up with zeros to `Products` times kDeep.
template <typename T, int Products>
__global__ void __launch_bounds__(kWarps* kWarp) OfProducts(TimeStepsParams<T> p, int block_rows) {
  using Shared = Room<T, Products>;
  extern __shared__ __align__(128) char shared[];
  Shared& room = *reinterpret_cast<Shared*>(shared);
  const int rank = int(p.rank), width = int(p.low_width), dim = int(p.dim), warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, group = lane / 4, quarter = lane % 4;
  const int64_t first = int64_t(blockIdx.y) * block_rows;
  const int rows = int(min(int64_t(block_rows), p.rows - first)), first_channel = blockIdx.x * kChannels;

  // Rows of either factor, 16 bytes at a time, and zeros where there are none.
  const auto fetch = [&](auto& to, const T* from, int rows, const auto& place) {
    constexpr int kRows = sizeof(to) / sizeof(to[0]), kPieces = Products * kDeep / kVector<T>;
#pragma unroll
    for (int i = 0; i < kRows * kPieces; i += kWarps * kWarp) {
      const int piece = i + int(threadIdx.x), row = piece / kPieces, at = piece % kPieces * kVector<T>;
      if (piece >= kRows * kPieces) break;
      const bool there = at < rank && row < rows;
      __pipeline_memcpy_async(&to[place(row)][at], there ? from + (row * width + at) : from, 16, there ? 0 : 16);
    }
  };
  const T* const low_rows = p.low + first * width;
  const auto fetch_low = [&](int row, int turn) {
    fetch(room.low[turn], low_rows + row * width, rows - row, [](int row) { return row; });
    __pipeline_commit();
  };
  // Of a tile's channels, those that are columns 2 q and 2 q + 1 of four products lie so that a lane's eight results of a row are neighbors.
  fetch(room.weight, p.weight + int64_t(first_channel) * width, dim - first_channel, [](int channel) {
    const int inside = channel % kTile;
    return channel - inside + inside % 8 / 2 * 8 + inside / 8 * 2 + inside % 2;
  });
  fetch_low(0, 0);

  const int channel = first_channel + warp * kTile + quarter * 8;  // the first of a lane's
  const bool works = first_channel + warp * kTile < dim;
  float bias[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) bias[i] = works && p.bias ? p.bias[channel + i] : 0.0f;
  T* const steps = p.steps + first * dim + channel;
  for (int row = 0, turn = 0; row < rows; row += kTile, turn ^= 1) {
    if (row + kTile < rows) {
      fetch_low(row + kTile, turn ^ 1);
      __pipeline_wait_prior(1);
    } else {
      __pipeline_wait_prior(0);
    }
    __syncthreads();
    if (works) {
      float sums[2][4][4] = {};
#pragma unroll
      for (int k = 0; k < Products * kDeep; k += kDeep) {
        uint32_t low[2][4], weight[2][4];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          LoadFragment(low[half], &room.low[turn][half * 16][k], Shared::kRow);
          LoadFragment(weight[half], &room.weight[warp * kTile + half * 16][k], Shared::kRow);
        }
#pragma unroll
        for (int half = 0; half < 2; ++half)
#pragma unroll
          for (int j = 0; j < 4; ++j)
            Multiply<T>(sums[half][j], low[half][0], low[half][1], low[half][2], low[half][3], weight[j / 2][j % 2], weight[j / 2][j % 2 + 2]);
      }
#pragma unroll
      for (int half = 0; half < 2; ++half)
#pragma unroll
        for (int upper = 0; upper < 2; ++upper) {
          const int at = row + half * 16 + upper * 8 + group;
          uint32_t made[4];
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            const float* const two = sums[half][j] + 2 * upper;
            made[j] = Pair<T>(Softplus<T>(two[0] + bias[2 * j]), Softplus<T>(two[1] + bias[2 * j + 1]));
          }
          if (at < rows) *reinterpret_cast<uint4*>(steps + at * dim) = make_uint4(made[0], made[1], made[2], made[3]);
        }
    }
    __syncthreads();
  }
}

template <typename T, int Products>
cudaError_t RunProducts(const TimeStepsParams<T>& p, const Device& device) {
  constexpr int bytes = sizeof(Room<T, Products>);
  const auto kernel = OfProducts<T, Products>;
  static const cudaError_t allowed = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (allowed != cudaSuccess) return allowed;
  // Enough blocks for the chip, where rows are few.
  const int blocks = DivideUp(p.dim, kChannels), rows = DivideUp(p.rows * blocks, int64_t(device.processors) * 4);
  const int block_rows = std::min(kMostRows, DivideUp(rows, kTile) * kTile);
  kernel<<<dim3(blocks, DivideUp(p.rows, block_rows)), kWarps * kWarp, bytes, device.stream>>>(p, block_rows);
  return cudaGetLastError();
}

// Of any sizes, without the tensor cores: a block has kSide rows and as many channels, a thread every kThreadsOfSide-th of either.
constexpr int kSide = 64, kEach = 4, kThreadsOfSide = kSide / kEach;

template <typename T>
__global__ void __launch_bounds__(kThreadsOfSide* kThreadsOfSide) OfRows(TimeStepsParams<T> p) {
  __shared__ float low[kDeep][kSide + 1], weight[kDeep][kSide + 1];
  const int64_t first_row = int64_t(blockIdx.y) * kSide, first_channel = int64_t(blockIdx.x) * kSide;
  const int row = threadIdx.x / kThreadsOfSide, channel = threadIdx.x % kThreadsOfSide;
  float sums[kEach][kEach] = {};
  for (int64_t from = 0; from < p.rank; from += kDeep) {
    for (int i = threadIdx.x; i < kSide * kDeep; i += blockDim.x) {
      const int at = i / kDeep, k = i % kDeep;
      const int64_t column = from + k;
      low[k][at] = column < p.rank && first_row + at < p.rows ? ToFloat(p.low[(first_row + at) * p.low_width + column]) : 0.0f;
      weight[k][at] = column < p.rank && first_channel + at < p.dim ? ToFloat(p.weight[(first_channel + at) * p.low_width + column]) : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kDeep; ++k) {
      float l[kEach], w[kEach];
#pragma unroll
      for (int i = 0; i < kEach; ++i) l[i] = low[k][row + i * kThreadsOfSide], w[i] = weight[k][channel + i * kThreadsOfSide];
#pragma unroll
      for (int i = 0; i < kEach; ++i)
#pragma unroll
        for (int j = 0; j < kEach; ++j) sums[i][j] += l[i] * w[j];
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i)
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      const int64_t at = first_row + row + i * kThreadsOfSide, e = first_channel + channel + j * kThreadsOfSide;
      if (at < p.rows && e < p.dim) p.steps[at * p.dim + e] = FromFloat<T>(StepOf(p, sums[i][j] + (p.bias ? p.bias[e] : 0.0f)));
    }
}

// Of products that are given.
template <typename T>
__global__ void OfNumbers(TimeStepsParams<T> p) {
  const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < p.rows * p.dim) p.steps[at] = FromFloat<T>(StepOf(p, ToFloat(p.product[at]) + (p.bias ? p.bias[at % p.dim] : 0.0f)));
}

}  // namespace

template <typename T>
cudaError_t TimeSteps(const TimeStepsParams<T>& p, const Device& device) {
  if constexpr (sizeof(T) == 2) {
    const bool whole = IsWhole(p.low, p.low_width) && IsWhole(p.weight, p.low_width) && IsWhole(p.steps, p.dim) && p.dim % kTile == 0;
    if (p.low && whole && p.softplus && device.capability >= kTensorCapability) {
      if (p.rank <= 2 * kDeep) return RunProducts<T, 2>(p, device);
      if (p.rank <= 3 * kDeep) return RunProducts<T, 3>(p, device);
      if (p.rank <= 4 * kDeep) return RunProducts<T, 4>(p, device);
      if (p.rank <= 5 * kDeep) return RunProducts<T, 5>(p, device);
      if (p.rank <= 8 * kDeep) return RunProducts<T, 8>(p, device);
      if (p.rank <= 12 * kDeep) return RunProducts<T, 12>(p, device);
    }
  }
  if (p.low) {
    OfRows<T><<<dim3(DivideUp(p.dim, kSide), DivideUp(p.rows, kSide)), kThreadsOfSide * kThreadsOfSide, 0, device.stream>>>(p);
  } else {
    constexpr int kThreads = 256;
    OfNumbers<T><<<DivideUp(p.rows * p.dim, kThreads), kThreads, 0, device.stream>>>(p);
  }
  return cudaGetLastError();
}

template cudaError_t TimeSteps<float>(const TimeStepsParams<float>&, const Device&);
template cudaError_t TimeSteps<__half>(const TimeStepsParams<__half>&, const Device&);
template cudaError_t TimeSteps<__nv_bfloat16>(const TimeStepsParams<__nv_bfloat16>&, const Device&);

}  // namespace zigma::cuda
