// Where short spans of a sequence meet: inside of one launch, instead of between three. A block's four warps have neighboring spans of the same 32 channels
// and meet in shared memory; blocks leave what their spans together make from zero in device memory, raise a flag, and wait for the flags of those in
// front of them. That ends, for all blocks fit on the chip at once, and begin in the order of their numbers: those that one waits for are at work
// (docs/decisions/0009).
#pragma once

#include "selective_scan.cuh"

namespace zigma::cuda {

// Of one launch, in device memory. A group is what hangs together: blocks along one sequence, with the same channels, in the order of blockIdx.y.
struct Meetings {
  float* left;      // [groups, blocks, warps, N / warps + 1, 32]
  unsigned* gone;   // [groups]: blocks that wait for no flag any more
  unsigned* flags;  // [groups, blocks, warps]

  // Spans are so many that all blocks fit on the chip, three on a multiprocessor: 12 flags and 3 counts for each are enough.
  template <int N>
  static Meetings Of(dim3 grid, const Device& device) {
    const size_t groups = size_t(grid.z) * grid.x;
    return {device.Scratch<float>(groups * grid.y * (N + kBlockWarps) * kWarp), device.flags, device.flags + groups};
  }

  __device__ int Group() const { return blockIdx.z * gridDim.x + blockIdx.x; }
  // What this warp leaves, or that of the same number in another block of the group.
  __device__ int PlaceOf(int block) const { return (Group() * gridDim.y + block) * kBlockWarps + threadIdx.x / kWarp; }

  // All threads come here at last. The last block of a group takes the flags down.
  __device__ void Leave() const {
    if (gridDim.y == 1) return;
    __syncthreads();
    if (threadIdx.x > 0 || CountUp(gone + Group()) + 1 < gridDim.y) return;
    for (unsigned i = 0; i < gridDim.y * kBlockWarps; ++i) flags[Group() * gridDim.y * kBlockWarps + i] = 0;
    gone[Group()] = 0;
  }
};

// Whether all blocks of a kernel are at work at once, as many as `Spans` counts on: three on a multiprocessor.
template <typename Kernel>
bool FitsAtOnce(Kernel kernel) {
  int blocks = 0;
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, kBlockWarps * kWarp, 0) == cudaSuccess && blocks >= 3;
}

// Of one block, in shared memory.
template <int N>
struct alignas(16) Meeting {
  float states[kBlockWarps][N][kWarp];
  float steps[kBlockWarps][kWarp];
};

// h: the state at the end of a warp's span, made from zero; becomes the one that the span starts with. `sum`: of its time steps, or -1. `a`: of the thread's
// channel [N]. Each warp carries N / 4 states through all spans of its block.
template <int N>
__device__ inline void Meet(Meeting<N>& room, const Meetings& meetings, const float* a, float (&h)[N], float sum) {
  constexpr int kEach = N / kBlockWarps, kLeft = (kEach + 1) * kWarp;
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, blocks = gridDim.y, nth = blockIdx.y;
  float decay[kEach];
#pragma unroll
  for (int j = 0; j < kEach; ++j) decay[j] = a[warp * kEach + j] * kLog2E;
#pragma unroll
  for (int n = 0; n < N; ++n) room.states[warp][n][lane] = h[n];
  room.steps[warp][lane] = sum;
  __syncthreads();
  float sums[kBlockWarps], ends[kBlockWarps][kEach];
#pragma unroll
  for (int i = 0; i < kBlockWarps; ++i) {
    sums[i] = room.steps[i][lane];
#pragma unroll
    for (int j = 0; j < kEach; ++j) ends[i][j] = room.states[i][warp * kEach + j][lane];
  }

  if (nth + 1 < blocks) {
    float all[kEach] = {}, steps = 0;
#pragma unroll
    for (int i = 0; i < kBlockWarps; ++i) {
#pragma unroll
      for (int j = 0; j < kEach; ++j) all[j] = ends[i][j] + Left(all[j], sums[i], decay[j]);
      steps = sums[i] < 0.0f || steps < 0.0f ? -1.0f : steps + sums[i];
    }
    float* const left = meetings.left + meetings.PlaceOf(nth) * kLeft + lane;
#pragma unroll
    for (int j = 0; j < kEach; ++j) left[j * kWarp] = all[j];
    left[kEach * kWarp] = steps;
    __syncwarp();
    if (lane == 0) Raise(meetings.flags + meetings.PlaceOf(nth));
  }

  float in[kEach] = {};
  constexpr int kMost = 8;  // blocks whose states are loaded at once
  for (int from = 0; from < nth; from += kMost) {
    const int here = min(nth - from, kMost);
    if (lane < here) Await(meetings.flags + meetings.PlaceOf(from + lane));
    __syncwarp();
    float theirs[kMost][kEach + 1];
#pragma unroll
    for (int i = 0; i < kMost; ++i)
#pragma unroll
      for (int j = 0; j <= kEach; ++j) theirs[i][j] = meetings.left[meetings.PlaceOf(from + min(i, here - 1)) * kLeft + j * kWarp + lane];
#pragma unroll
    for (int i = 0; i < kMost; ++i)
#pragma unroll
      for (int j = 0; j < kEach; ++j)
        if (i < here) in[j] = theirs[i][j] + Left(in[j], theirs[i][kEach], decay[j]);
  }

#pragma unroll
  for (int i = 0; i < kBlockWarps; ++i)
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      room.states[i][warp * kEach + j][lane] = in[j];
      in[j] = ends[i][j] + Left(in[j], sums[i], decay[j]);
    }
  __syncthreads();
#pragma unroll
  for (int n = 0; n < N; ++n) h[n] = room.states[warp][n][lane];
}

}  // namespace zigma::cuda
