// The last part of a scan's gradient: what the blocks of its way back left of sums over channels, and of sums over positions and samples.
#pragma once

#include "types.cuh"

namespace zigma::cuda {

// The shares of d_b and d_c, and zeros beside them where they are columns of wider rows: shares [tiles, batch * length, N, 2] -> [batch, length, state] each.
template <typename T, int N>
__device__ inline void AddRowShares(const float* shares, int tiles, int64_t row, int k, const SelectiveScanGradParams<T>& g) {
  const int64_t rows = g.forward.batch * g.forward.length;
  if (row >= rows) return;
  const int n = k / 2, state = int(g.forward.state);
  if (T* const to = k % 2 == 0 ? g.d_b : g.d_c; to && n < state) {
    float sum = 0;
#pragma unroll 12
    for (int tile = 0; tile < tiles; ++tile) sum += shares[(tile * rows + row) * 2 * N + k];
    to[row * g.d_bc_stride + n] = FromFloat<T>(sum);
  }
  if (!g.d_rows) return;
  const int b = int(g.d_b - g.d_rows), c = int(g.d_c - g.d_rows), others = int(g.d_bc_stride) - 2 * state;
  for (int i = k; i < others; i += 2 * N) {
    const int behind_first = i < min(b, c) ? i : i + state, column = behind_first < max(b, c) ? behind_first : behind_first + state;
    g.d_rows[row * g.d_bc_stride + column] = FromFloat<T>(0.0f);
  }
}

// The sums of what has no positions: sums [parts, N + 2, dim] -> d_a [dim, state], d_d [dim], d_delta_bias [dim]
template <typename T, int N>
__device__ inline void AddPartSums(const float* sums, int parts, int e, int k, const SelectiveScanGradParams<T>& g) {
  const int dim = int(g.forward.dim), state = int(g.forward.state);
  if (e >= dim || (k < N && k >= state)) return;
  float sum = 0;
#pragma unroll 16
  for (int part = 0; part < parts; ++part) sum += sums[(int64_t(part) * (N + 2) + k) * dim + e];
  if (k < N) g.d_a[int64_t(e) * state + k] = sum;
  else if (k == N && g.d_d) g.d_d[e] = sum;
  else if (k == N + 1 && g.d_delta_bias) g.d_delta_bias[e] = sum;
}

// Both in one launch: `row_blocks` blocks for the rows, the others for the sums.
constexpr int kAddingThreads = 256;
template <typename T, int N>
__global__ void __launch_bounds__(kAddingThreads) AddUp(SelectiveScanGradParams<T> g, const float* shares, int tiles, int row_blocks, const float* sums, int parts) {
  const int block = blockIdx.x, thread = threadIdx.x;
  if (block < row_blocks) {
    constexpr int kRows = kAddingThreads / (2 * N);
    AddRowShares<T, N>(shares, tiles, int64_t(block) * kRows + thread / (2 * N), thread % (2 * N), g);
  } else {
    const int nth = block - row_blocks;
    AddPartSums<T, N>(sums, parts, nth / (N + 2) * kAddingThreads + thread, nth % (N + 2), g);
  }
}

}  // namespace zigma::cuda
