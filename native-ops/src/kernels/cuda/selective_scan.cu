// h[l] = exp(delta[l] A) h[l-1] + delta[l] B[l] u[l];   y[l] = dot(C[l], h[l]) + D u[l], gated by silu(z)
#include <climits>

#include "selective_scan.cuh"
#include "selective_scan_ends.cuh"
#include "selective_scan_meeting.cuh"
#include "selective_scan_steps.cuh"

namespace zigma::cuda {
namespace {

constexpr int kTile = 8;  // positions that are fetched ahead and whose steps and gates are computed side by side

template <typename T, int N>
using States = Tile<T, (N < 16 ? N : 16)>;

// What a warp has in shared memory. kHeld: its time steps lie elsewhere.
template <typename T, int N, bool kHeld = false>
struct alignas(16) Room {
  static constexpr int kZ = kHeld ? 1 : 2;  // of a tile: u, time steps, z
  float projection[2][kTile * 2 * N];
  T tile[2][kZ + 1][Tile<T, kTile>::kSize];
  T states[States<T, N>::kSize];
};

// A warp's way through its span, from the state h, which `enter` makes while the first rows are on their way, and which becomes the one at its end.
// kStates: nothing comes of it but that state, and the sum of the span's time steps, or -1 where the state starts anew inside; else the results.
// kUsual: tiles are whole, segments start with a tile, warps have all of their channels and states, nothing is left out, and rows of z are `z_times` as
// long as those of the other tokens.
// kHeld: its time steps are in `held`, [positions, 32]; else they are given.
template <typename T, int N, bool kStates, bool kUsual, bool kHeld, typename Enter>
__device__ inline void Walk(const SelectiveScanParams<T>& p, const Place& at, unsigned z_times, float (&h)[N], float& sum, Room<T, N, kHeld>& room, const Enter& enter,
                            const float* held = nullptr) {
  using Rows = Tile<T, kTile>;
  using States = States<T, N>;
  auto& projection = room.projection;
  auto& tile = room.tile;
  const int length = int(p.length), dim = int(p.dim), segment = int(p.segment), chunk = int(p.chunk), state = kUsual ? N : int(p.state);
  const bool has_z = !kStates && (kUsual || p.z);
  const Columns& columns = at.columns;
  const Columns z_columns = kUsual ? columns : Columns{columns.first, columns.there, columns.whole && IsWhole(p.z, p.z_stride)};
  const int64_t z_sequence = int64_t(at.b) * p.length * p.z_stride;

  float a[N];
  LoadDecay<kUsual>(p, at, a);
  const float skip = p.d ? p.d[at.e] : 0.0f;
  const auto next = [&](int every) { return (at.first + every - 1) / every * every; };
  int next_start = next(segment), next_border = kStates || !p.borders ? INT_MAX : next(chunk);
  T* border = p.borders ? p.borders + (at.b * ((p.length + p.chunk - 1) / p.chunk) + next_border / chunk) * state * dim : nullptr;
  unsigned state_rows[States::kEach];
  States::Offsets(state_rows, [&](int n) { return unsigned(n) * unsigned(dim); });

  // Positions behind the last one are read again from it; what comes of them is not kept. Offsets inside a sequence have 32 bits.
  Projections<T, N, kTile> bc;
  unsigned tokens[Rows::kEach], next_tokens[Rows::kEach];
  int later[Rows::kEach];  // of the tile behind the next one, as they stand in the permutation
  const auto look = [&](int first) {
    if constexpr (!kStates) {
#pragma unroll
      for (int i = 0; i < Rows::kEach; ++i) {
        const int l = min(first + Rows::RowOf(i), at.last - 1);
        later[i] = p.permutation ? p.permutation[l] : l;
      }
    }
  };
  const auto to_tokens = [&](unsigned(&offsets)[Rows::kEach]) {
#pragma unroll
    for (int i = 0; i < Rows::kEach; ++i) offsets[i] = kStates ? 0 : min(unsigned(later[i]), unsigned(length - 1)) * unsigned(dim);
  };
  const auto fetch = [&](int first, const unsigned(&token)[Rows::kEach], auto& to) {
    bc.template Fetch<kUsual>(p, at.b, first, at.last);
    unsigned rows[Rows::kEach];
    Rows::Offsets(rows, [&](int row) { return unsigned(kUsual ? first + row : min(first + row, at.last - 1)) * unsigned(dim); });
    Rows{to[0]}.Fetch(p.u + at.sequence, rows, columns);
    if (!kHeld) Rows{to[1]}.Fetch(p.delta + at.sequence, rows, columns);
    if (has_z) {
#pragma unroll
      for (int i = 0; i < Rows::kEach; ++i) rows[i] = kUsual ? token[i] * z_times : token[i] / unsigned(dim) * unsigned(p.z_stride);
      Rows{to[kStates ? 0 : room.kZ]}.Fetch(p.z + z_sequence, rows, z_columns);
    }
    __pipeline_commit();
  };
  sum = 0;
  const auto start = [&] {
#pragma unroll
    for (int n = 0; n < N; ++n) h[n] = 0;
    sum = -1.0f, next_start += segment;
  };

  const int begin = kUsual ? min(at.first, length - kTile) : at.first;  // a span may be empty
  look(begin), to_tokens(tokens), look(begin + kTile);
  fetch(begin, tokens, tile[0]);
  enter();
  const bool even = kUsual || segment % kTile == 0;  // then a state starts anew at the beginning of a tile only
  for (int first = at.first, turn = 0; first < at.last; first += kTile, turn ^= 1) {
    bc.Put(projection[turn]);
    __pipeline_wait_prior(0);
    __syncwarp();
    to_tokens(next_tokens);
    if (first + kTile < at.last) fetch(first + kTile, next_tokens, tile[turn ^ 1]), look(first + 2 * kTile);
    if (first == next_start) start();
    if (!kStates && first == next_border) {
      const States rows{room.states};
#pragma unroll
      for (int from = 0; from < N; from += States::kRows) {
#pragma unroll
        for (int n = 0; n < States::kRows; ++n) rows.Put(n, h[from + n]);
        __syncwarp();
        rows.Store(border + int64_t(from) * dim, state_rows, columns, [&](int n) { return kUsual || from + n < state; });
        if (N > States::kRows) __syncwarp();
      }
      border += state * dim, next_border += chunk;
    }

    const Rows u_rows{tile[turn][0]}, delta_rows{tile[turn][1]}, y_rows{tile[turn][kStates ? 0 : room.kZ]};  // y takes the place of z
    float delta[kTile], u[kTile], gate[kTile];
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      u[t] = u_rows(t);
      delta[t] = kHeld ? held[(first - at.first + t) * kWarp + at.lane] : delta_rows(t);
      const float z = has_z ? y_rows(t) : 0.0f;
      gate[t] = has_z ? z * Sigmoid(z) : 1.0f;
    }
    const auto advance = [&](int t) {
      float B[N], C[N], y[4] = {skip * u[t], 0.0f, 0.0f, 0.0f};
      LoadShared(projection[turn] + t * 2 * N, B);
      if constexpr (!kStates) LoadShared(projection[turn] + t * 2 * N + N, C);
      const float step = delta[t] * u[t];
#pragma unroll
      for (int n = 0; n < N; ++n) {
        h[n] = Decay<T, N, kUsual>(delta[t], a[n], n) * h[n] + B[n] * step;
        if constexpr (!kStates) y[n % 4] += C[n] * h[n];
      }
      if constexpr (!kStates) y_rows.Put(t, ((y[0] + y[1]) + (y[2] + y[3])) * gate[t]);
    };
    if (kUsual || (even && first + kTile <= at.last)) {
#pragma unroll
      for (int t = 0; t < kTile; ++t) {
        advance(t);
        if (kStates && sum >= 0.0f) sum += delta[t];
      }
    } else {
#pragma unroll
      for (int t = 0; t < kTile; ++t) {
        if (first + t >= at.last) continue;
        if (t > 0 && first + t == next_start) start();
        advance(t);
        if (kStates && sum >= 0.0f) sum += delta[t];
      }
    }
    if constexpr (kStates) continue;
    __syncwarp();
    y_rows.Store(p.y + at.sequence, tokens, columns, [&](int row) { return kUsual || first + row < at.last; });
#pragma unroll
    for (int i = 0; i < Rows::kEach; ++i) tokens[i] = next_tokens[i];
  }
  __pipeline_wait_prior(0);  // what an empty span fetched
}

// The states at the ends of all spans but the last, from zero. Of the first one that is the true state: where `finishes`, it is done with here.
template <typename T, int N, bool kUsual>
__global__ void __launch_bounds__(kBlockWarps* kWarp, N <= 16 ? 3 : 2)
    FirstWalk(SelectiveScanParams<T> p, int span, int shorter, unsigned z_times, bool finishes, float* ends, float* steps) {
  __shared__ Room<T, N> rooms[kBlockWarps];
  Room<T, N>& room = rooms[threadIdx.x / kWarp];
  const Place at = PlaceOf<kUsual>(p, span, blockIdx.y, shorter);
  float h[N] = {}, sum;
  const auto from_zero = [] {};
  if (finishes && blockIdx.y == 0) Walk<T, N, false, kUsual, false>(p, at, z_times, h, sum, room, from_zero);
  else Walk<T, N, true, kUsual, false>(p, at, z_times, h, sum, room, from_zero);
  Leave(at, int64_t(at.b) * gridDim.y + blockIdx.y, int(p.dim), h, sum, ends, steps);
}

// The spans that are not done yet, from the states they start with: starts [batch, cuts, pieces, N, dim], of which the last piece's count.
template <typename T, int N, bool kUsual>
__global__ void __launch_bounds__(kBlockWarps* kWarp, N <= 16 ? 3 : 2)
    LastWalk(SelectiveScanParams<T> p, int span, int shorter, int pieces, unsigned z_times, int done, const float* starts) {
  __shared__ Room<T, N> rooms[kBlockWarps];
  const int nth = blockIdx.y + done, cuts = gridDim.y + done - 1;
  const Place at = PlaceOf<kUsual>(p, span, nth, shorter);
  float h[N], sum;
  Walk<T, N, false, kUsual, false>(p, at, z_times, h, sum, rooms[threadIdx.x / kWarp], [&] {
#pragma unroll
    for (int n = 0; n < N; ++n) h[n] = nth > 0 ? starts[(((int64_t(at.b) * cuts + nth) * pieces - 1) * N + n) * p.dim + at.e] : 0.0f;
  });
}

// All of it at once, where spans are short: their states are carried over the cuts by blocks that wait for each other. kMakes: a warp makes the time steps of
// its span first, of kStepTile positions at most.
template <typename T, int N, bool kMakes>
__global__ void __launch_bounds__(kBlockWarps* kWarp, 3) WholeWalk(SelectiveScanParams<T> p, int span, unsigned z_times, Meetings meetings) {
  __shared__ Room<T, N, kMakes> rooms[kBlockWarps];
  __shared__ Meeting<N> meeting;
  __shared__ __align__(16) float steps[kMakes ? kBlockWarps : 1][kMakes ? kStepTile * kWarp : 1];
  const int warp = threadIdx.x / kWarp;
  const Place at = PlaceIn<true>(p, blockIdx.x, span, blockIdx.y * kBlockWarps + warp);
  float* const held = steps[kMakes ? warp : 0];
  if constexpr (kMakes) {
    // Its factors take places that are not needed yet.
    static_assert(sizeof(StepRows<T>) <= sizeof(rooms[0]) && sizeof(StepRows<T>) <= sizeof(meeting.states));
    const float* const bias = p.delta_bias ? p.delta_bias + at.columns.first : nullptr;
    MakeSteps(p, at, at.first, reinterpret_cast<StepRows<T>&>(rooms[warp]), reinterpret_cast<StepRows<T>&>(meeting.states), [&](int row, int channel, float x, float y) {
      const float2 raw = bias ? make_float2(x + bias[channel], y + bias[channel + 1]) : make_float2(x, y);
      *reinterpret_cast<float2*>(held + row * kWarp + channel) = p.delta_softplus ? make_float2(Softplus<T>(raw.x), Softplus<T>(raw.y)) : raw;
    });
  }
  float h[N] = {}, passed, sum;
  Walk<T, N, true, true, kMakes>(p, at, z_times, h, passed, rooms[warp], [] {}, held);
  __syncwarp();
  Walk<T, N, false, true, kMakes>(p, at, z_times, h, sum, rooms[warp], [&] { Meet(meeting, meetings, p.a + int64_t(at.e) * N, h, passed); }, held);
  meetings.Leave();
}

template <typename T, int N>
cudaError_t RunWhole(SelectiveScanParams<T> p, const Spans& spans, const Device& device) {
  auto walk = WholeWalk<T, N, false>;
  if constexpr (N == 16)
    if (p.low && spans.span <= kStepTile && CanMakeSteps(p, device) && FitsAtOnce(WholeWalk<T, N, true>)) walk = WholeWalk<T, N, true>;
  if (walk == WholeWalk<T, N, false>)
    if (const cudaError_t status = GiveSteps(p, device); status != cudaSuccess) return status;
  const dim3 grid = spans.MeetingGrid(p.batch);
  walk<<<grid, kBlockWarps * kWarp, 0, device.stream>>>(p, spans.span, unsigned(p.z_stride / p.dim), Meetings::Of<N>(grid, device));
  return cudaGetLastError();
}

template <typename T, int N>
cudaError_t Run(SelectiveScanParams<T> p, const Device& device) {
  // Where spans are few, one more of them that is done early makes all shorter; where they are many, that is little, and the first pass waits for it.
  constexpr int kFew = 8;
  const Spans even(p.batch, p.length, p.dim, device.processors);
  const bool usual = IsUsual<N>(p);
  if constexpr (sizeof(T) == 2 && N <= 16)
    if (usual && even.meeting > 0 && FitsAtOnce(WholeWalk<T, N, false>)) return RunWhole<T, N>(p, even, device);
  if (const cudaError_t status = GiveSteps(p, device); status != cudaSuccess) return status;
  const bool by_nodes = usual && HasTiles<T, N>(device);
  const Spans spans = by_nodes ? even.WithLongFirst(p.length) : even.count > 1 && even.count <= kFew ? even.WithEarlyOne(p.length) : even;
  const bool finishes = !by_nodes && spans.count > even.count;
  const dim3 block(kBlockWarps * kWarp);
  const unsigned z_times = unsigned(p.z_stride / p.dim);
  const int pieces = by_nodes ? PiecesOf(spans.span, kEndPiece) : 1;
  float* ends = nullptr;
  if (const int cuts = (spans.count - 1) * pieces; cuts > 0) {
    ends = device.Scratch<float>(size_t(p.batch) * cuts * N * p.dim);
    float* steps = device.Scratch<float>(size_t(p.batch) * cuts * p.dim);
    if (by_nodes) {
      RunEnds<false>(p, static_cast<const T*>(nullptr), spans.span / pieces, spans.shorter, 0, cuts, ends, steps, device);
    } else {
      const auto first = usual ? FirstWalk<T, N, true> : FirstWalk<T, N, false>;
      first<<<spans.Grid(p.batch, cuts), block, 0, device.stream>>>(p, spans.span, spans.shorter, z_times, finishes, ends, steps);
    }
    Carry<N><<<dim3(DivideUp(p.dim, 128), N, unsigned(p.batch)), 128, 0, device.stream>>>(ends, steps, p.a, cuts, int(p.state), int(p.dim), 1);
  }
  const auto last = usual ? LastWalk<T, N, true> : LastWalk<T, N, false>;
  last<<<spans.Grid(p.batch, spans.count - finishes), block, 0, device.stream>>>(p, spans.span, spans.shorter, pieces, z_times, finishes, ends);
  return cudaGetLastError();
}

}  // namespace

template <typename T>
cudaError_t SelectiveScan(const SelectiveScanParams<T>& p, const Device& device) {
  if (p.borders && p.chunk % kChunk != 0 && p.chunk < p.length) return cudaErrorInvalidValue;
  if (p.state <= 4) return Run<T, 4>(p, device);
  if (p.state <= 16) return Run<T, 16>(p, device);
  if (p.state <= 32) return Run<T, 32>(p, device);
  return cudaErrorInvalidValue;
}

template cudaError_t SelectiveScan<float>(const SelectiveScanParams<float>&, const Device&);
template cudaError_t SelectiveScan<__half>(const SelectiveScanParams<__half>&, const Device&);
template cudaError_t SelectiveScan<__nv_bfloat16>(const SelectiveScanParams<__nv_bfloat16>&, const Device&);

}  // namespace zigma::cuda
