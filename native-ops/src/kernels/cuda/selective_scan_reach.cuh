// The first part of a way back that is cut into spans: what the gradient of a state is at each cut.
#pragma once

#include "selective_scan.cuh"
#include "selective_scan_meeting.cuh"

namespace zigma::cuda {

constexpr int kReachTile = 8;    // positions fetched together
constexpr int kReachPiece = 64;  // of a span's positions, where it is cut once more

// What a warp has in shared memory.
template <typename T, int N>
struct alignas(16) ReachRoom {
  float projection[2][kReachTile * 2 * N];
  T tile[2][3][Tile<T, kReachTile>::kSize];
};

// A warp's way back through its span, from dh, the gradient of the state at its end; it becomes that of the state before the span. `sum`: of the span's time
// steps, or -1 where a segment starts inside.
// kUsual: see `IsUsual`.
template <typename T, int N, bool kUsual>
__device__ inline void Reach(const SelectiveScanGradParams<T>& g, const Place& at, float (&dh)[N], float& sum, ReachRoom<T, N>& room) {
  using Rows = Tile<T, kReachTile>;
  const SelectiveScanParams<T>& p = g.forward;
  const int dim = int(p.dim), length = int(p.length), segment = int(p.segment);
  const bool has_z = kUsual || p.z;
  const Columns& columns = at.columns;
  const Columns z_columns = kUsual ? columns : Columns{columns.first, columns.there, columns.whole && IsWhole(p.z, p.z_stride)};
  auto& projection = room.projection;
  auto& tile = room.tile;
  float a[N];
  LoadDecay<kUsual>(p, at, a);

  Projections<T, N, kReachTile> bc;
  const auto position = [&](int first, int row) { return min(max(first + row, 0), at.last - 1); };
  int later[Rows::kEach];  // tokens of the tile that is fetched next, as they stand in the permutation: nothing waits for them before that
  const auto look = [&](int first) {
#pragma unroll
    for (int i = 0; i < Rows::kEach; ++i) {
      const int l = position(first, Rows::RowOf(i));
      later[i] = p.permutation ? p.permutation[l] : l;
    }
  };
  const auto fetch = [&](int first, auto& to) {
    bc.template Fetch<kUsual>(p, at.b, first, at.last);
    unsigned rows[Rows::kEach], tokens[Rows::kEach];
    const auto tokens_of = [&](int64_t stride) {
#pragma unroll
      for (int i = 0; i < Rows::kEach; ++i) tokens[i] = min(unsigned(later[i]), unsigned(length - 1)) * unsigned(stride);
    };
    tokens_of(dim);
    Rows::Offsets(rows, [&](int row) { return unsigned(position(first, row)) * unsigned(dim); });
    Rows{to[0]}.Fetch(p.delta + at.sequence, rows, columns);
    Rows{to[1]}.Fetch(g.dy + at.sequence, tokens, columns);
    if (has_z) {
      tokens_of(p.z_stride);
      Rows{to[2]}.Fetch(p.z + int64_t(at.b) * p.length * p.z_stride, tokens, z_columns);
    }
    __pipeline_commit();
  };

  int first = (at.last - 1) / kReachTile * kReachTile;
  look(first);
  fetch(first, tile[0]);
  look(first - kReachTile);
  sum = 0;
  for (int turn = 0; first >= at.first; first -= kReachTile, turn ^= 1) {
    bc.Put(projection[turn]);
    __pipeline_wait_prior(0);
    __syncwarp();
    if (first - kReachTile >= at.first) fetch(first - kReachTile, tile[turn ^ 1]), look(first - 2 * kReachTile);
    float delta[kReachTile], grad[kReachTile];
#pragma unroll
    for (int t = 0; t < kReachTile; ++t) {
      delta[t] = Rows{tile[turn][0]}(t);
      grad[t] = Rows{tile[turn][1]}(t);
      const float z = has_z ? Rows{tile[turn][2]}(t) : 0.0f;
      if (has_z) grad[t] *= z * Sigmoid(z);
      if (!kUsual && first + t >= at.last) delta[t] = 0.0f, grad[t] = 0.0f;  // such a position passes nothing on and changes nothing
    }
#pragma unroll
    for (int t = kReachTile - 1; t >= 0; --t) {
      // Nothing reaches back over the start of a segment.
      const bool starts = kUsual ? t == 0 && first % segment == 0 : (first + t) % segment == 0 && first + t < at.last;
      const float keeps = starts ? 0.0f : 1.0f;
      float C[N];
      LoadShared(projection[turn] + t * 2 * N + N, C);
#pragma unroll
      for (int n = 0; n < N; ++n) dh[n] = (dh[n] + C[n] * grad[t]) * Decay<T, N, kUsual>(delta[t], a[n], n) * (!kUsual || t == 0 ? keeps : 1.0f);
      sum = starts || sum < 0.0f ? -1.0f : sum + delta[t];
    }
  }
  __pipeline_wait_prior(0);  // a piece may be empty
}

// What reaches the position before each piece of each span but the first when nothing reaches the piece's end. `piece`: its positions.
template <typename T, int N, bool kUsual>
__global__ void __launch_bounds__(kBlockWarps* kWarp, 3) Reaching(SelectiveScanGradParams<T> g, int piece, int pieces, float* ends, float* steps) {
  __shared__ ReachRoom<T, N> rooms[kBlockWarps];
  const Place at = PlaceOf<kUsual>(g.forward, piece, blockIdx.y + pieces);
  float dh[N] = {}, sum;
  Reach<T, N, kUsual>(g, at, dh, sum, rooms[threadIdx.x / kWarp]);
  Leave(at, int64_t(at.b) * gridDim.y + blockIdx.y, int(g.forward.dim), dh, sum, ends, steps);
}

// What truly reaches it, where spans are short: blocks wait for those behind them. incoming [batch, cuts, N, dim]
template <typename T, int N>
__global__ void __launch_bounds__(kBlockWarps* kWarp, 3) WholeReach(SelectiveScanGradParams<T> g, int span, int cuts, Meetings meetings, float* incoming) {
  __shared__ ReachRoom<T, N> rooms[kBlockWarps];
  __shared__ Meeting<N> meeting;
  const SelectiveScanParams<T>& p = g.forward;
  const int warp = threadIdx.x / kWarp, nth = cuts - int(blockIdx.y * kBlockWarps) - warp;  // its span
  const Place at = PlaceIn<true>(p, blockIdx.x, span, max(nth, 0));
  const float* const a = p.a + int64_t(at.e) * N;
  float own[N] = {}, sum = 0;
  if (nth > 0) Reach<T, N, true>(g, at, own, sum, rooms[warp]);
  float dh[N];
#pragma unroll
  for (int n = 0; n < N; ++n) dh[n] = own[n];
  Meet(meeting, meetings, a, dh, sum);
  if (nth > 0) {
#pragma unroll
    for (int n = 0; n < N; ++n) incoming[((int64_t(at.b) * cuts + nth - 1) * N + n) * p.dim + at.e] = own[n] + Left(dh[n], sum, a[n] * kLog2E);
  }
  meetings.Leave();
}

}  // namespace zigma::cuda
