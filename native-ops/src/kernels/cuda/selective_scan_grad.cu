// The gradient of the selective scan, a chunk at a time from the end: the chunk is run forward from the state at its border, every other state is
// kept in shared memory (with the elements' own precision), then it is walked back, two positions together. Here a lane has a channel; bfloat16 of usual
// sizes goes by tiles (selective_scan_back.cuh, ../../../../docs/decisions/0011-scan-gradient-in-tiles.md).
//
//   dh[l] += C[l] g[l]                     g = dy silu(z)
//   dC[l] = g h[l]   dB[l] = dh[l] delta u     summed over the channels, which lie in the lanes
//   du = D g + delta dot(dh, B)            ddelta = u dot(dh, B) + dot(dh, decay A h[l-1])
//   dA += dh decay delta h[l-1]            dh[l-1] = dh[l] decay
#include <algorithm>

#include "selective_scan.cuh"
#include "selective_scan_back.cuh"
#include "selective_scan_ends.cuh"
#include "selective_scan_kept.cuh"
#include "selective_scan_reach.cuh"
#include "selective_scan_steps.cuh"
#include "selective_scan_sums.cuh"

namespace zigma::cuda {
namespace {

constexpr int kSide = 4;  // positions that are walked over together on the way forward

// h += v x, where v is in shared memory and the same for all channels.
template <int N>
__device__ inline void AddTimes(const float* vector, float x, float (&h)[N]) {
  float v[N];
  LoadShared(vector, v);
#pragma unroll
  for (int n = 0; n < N; ++n) h[n] += v[n] * x;
}

template <int N>
__device__ inline float Dot(const float* vector, const float (&h)[N]) {
  float v[N], sums[4] = {};
  LoadShared(vector, v);
#pragma unroll
  for (int n = 0; n < N; ++n) sums[n % 4] += v[n] * h[n];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// What a warp of `Backward` has in shared memory.
template <typename T, int N>
struct Room {
  using Kept = States<T, N>;
  float before[2 * N];                 // lies where the position before the first one would: it is read, and means nothing
  float projection[kChunk * 2 * N];    // B and C; then the warp's share of their gradients takes their place, in pairs
  uint32_t kept[kPairs + 1][Kept::kSize];  // the states before every other position and behind the last one
  T u[2][kChunk * kWarp], delta[2][kChunk * kWarp];  // of this chunk and of the next; then du and ddelta take their place
  T z[kChunk * kWarp], dy[kChunk * kWarp];  // then dz takes z's place
  int tokens[2][kChunk];               // of this chunk and of the next, as they stand in the permutation
};

// kUsual: chunks are whole and as far apart as their borders, segments start with a chunk, warps have all of their channels and states, and nothing is
// left out. A segment's start needs no attention then: the state at its border is zero. Rows of z are then `z_times` and those that dz goes to `dz_times` as
// long as those of the other tokens.
// Warps: of a block, with neighboring channels.
template <typename T, int N, bool kUsual, int Warps = kBlockWarps>
__global__ void __launch_bounds__(Warps* kWarp, sizeof(T) == 2 && N <= 16 && Warps == kBlockWarps ? 3 : 1)
    Backward(SelectiveScanGradParams<T> g, unsigned z_times, unsigned dz_times, int span, int pieces, const float* incoming, float* shares, float* sums) {
  using Rows = Tile<T, kChunk>;
  using Border = Tile<T, N>;
  const SelectiveScanParams<T>& p = g.forward;
  const Place at = PlaceIn<kUsual>(p, blockIdx.x * Warps + threadIdx.x / kWarp, span, blockIdx.y);
  const int dim = int(p.dim), length = int(p.length), segment = int(p.segment), lane = at.lane;
  const int state = kUsual ? N : int(p.state), chunk = kUsual ? kChunk : int(p.chunk);
  const bool softplus = kUsual || p.delta_softplus, has_z = kUsual || p.z, wants_dz = kUsual || g.dz;
  const Columns& columns = at.columns;
  const auto columns_of = [&](const T* rows, int64_t stride) { return kUsual ? columns : Columns{columns.first, columns.there, columns.whole && IsWhole(rows, stride)}; };
  const auto sequence_of = [&](int64_t stride, unsigned times) { return kUsual ? at.sequence * times : int64_t(at.b) * p.length * stride; };
  extern __shared__ __align__(128) char shared[];
  Room<T, N>* const rooms = reinterpret_cast<Room<T, N>*>(shared);
  Room<T, N>& room = rooms[threadIdx.x / kWarp];
  float* const projection = room.projection;
  const auto kept = [&](int pair) { return typename Room<T, N>::Kept{room.kept[pair]}; };
  const Border border_rows{reinterpret_cast<T*>(room.kept[kPairs - 1])};  // of the next chunk, once the states there are read
  const Rows z_rows{room.z}, dy_rows{room.dy};

  float a[N], dh[N], d_a[N] = {}, d_skip = 0, d_bias = 0;
  LoadDecay<kUsual>(p, at, a);
  const int64_t part = int64_t(at.b) * gridDim.y + blockIdx.y;
  const float counts = kUsual || at.inside ? 1.0f : 0.0f;  // in what is summed over the channels
#pragma unroll
  for (int n = 0; n < N; ++n) dh[n] = at.last < length ? counts * incoming[((part - at.b) * pieces * N + n) * dim + at.e] : 0.0f;
  const float skip = p.d ? p.d[at.e] : 0.0f;
  const int64_t chunks = (p.length + chunk - 1) / chunk;

  // Positions behind the last one are read again from it. Offsets inside a sequence have 32 bits.
  const auto position = [&](int low, int row) { return kUsual ? low + row : min(max(low + row, 0), at.last - 1); };
  const auto rows_of = [&](int low, unsigned(&offsets)[Rows::kEach]) {
    Rows::Offsets(offsets, [&](int row) { return unsigned(position(low, row)) * unsigned(dim); });
  };
  const auto look = [&](int low, int turn) {
    if (lane >= kChunk) return;
    if (p.permutation) __pipeline_memcpy_async(&room.tokens[turn][lane], p.permutation + position(low, lane), sizeof(int));
    else room.tokens[turn][lane] = position(low, lane);
  };
  const auto fetch_steps = [&](int low, int turn) {
    unsigned rows[Rows::kEach];
    rows_of(low, rows);
    Rows{room.u[turn]}.Fetch(p.u + at.sequence, rows, columns);
    Rows{room.delta[turn]}.Fetch(p.delta + at.sequence, rows, columns);
  };
  const auto fetch_border = [&](int low) {
    unsigned rows[Border::kEach];
    Border::Offsets(rows, [&](int n) { return unsigned(min(n, state - 1)) * unsigned(dim); });
    border_rows.Fetch(p.borders + (at.b * chunks + low / chunk) * state * dim, rows, columns);
  };

  int low = (at.last - 1) / kChunk * kChunk;
  look(low, 0);
  fetch_steps(low, 0);
  fetch_border(low);
  __pipeline_commit();
  for (int turn = 0; low >= at.first; low -= kChunk, turn ^= 1) {
    const int high = kUsual ? low + kChunk : min(low + kChunk, at.last), border = low / chunk;
    const bool more = low - kChunk >= at.first;
    const Rows u_rows{room.u[turn]}, delta_rows{room.delta[turn]};
    unsigned starts = 0;  // bit i: a segment starts at position low + i
    if (!kUsual)
      for (int l = (low + segment - 1) / segment * segment; l < high; l += segment) starts |= 1u << (l - low);
    const auto decay = [&](float delta, float a, int i) {  // nothing passes the start of a segment
      return kUsual ? Exp2(delta * a) : Exp2(delta * a + (starts >> i & 1 ? -INFINITY : 0.0f));
    };
    Projections<T, N, kChunk> bc;
    bc.template Fetch<kUsual>(p, at.b, low, at.last);
    __pipeline_wait_prior(0);
    bc.Put(projection);
    __syncwarp();
    float h[N];
#pragma unroll
    for (int n = 0; n < N; ++n) h[n] = n < state ? border_rows(n) : 0.0f;
    __syncwarp();
    unsigned tokens[Rows::kEach];
    const auto tokens_of = [&](int64_t stride) {
      Rows::Offsets(tokens, [&](int row) { return min(unsigned(room.tokens[turn][row]), unsigned(length - 1)) * unsigned(stride); });
    };
    tokens_of(dim);
    dy_rows.Fetch(g.dy + at.sequence, tokens, columns);
    if (has_z) {
      tokens_of(p.z_stride);
      z_rows.Fetch(p.z + sequence_of(p.z_stride, z_times), tokens, columns_of(p.z, p.z_stride));
    }
    __pipeline_commit();

    // Borders farther apart than the chunks: the way from the border to here once more. A lane without a channel reads another warp's steps, which may be
    // gradients by now, and makes nothing of them.
    if (!kUsual)
      for (int l = border * chunk; l < low; ++l) {
        const int64_t row = at.sequence + int64_t(l) * dim + at.e;
        const float delta = counts * ToFloat(p.delta[row]);
        const float step = delta * ToFloat(p.u[row]), cut_here = l % segment == 0 ? -INFINITY : 0.0f;
#pragma unroll
        for (int n = 0; n < N; ++n) {
          const float B = n < state ? ToFloat(p.b[(int64_t(at.b) * length + l) * p.bc_stride + n]) : 0.0f;
          h[n] = Exp2(delta * a[n] + cut_here) * h[n] + B * step;
        }
      }
    // A position behind the last one has a step of zero: it changes no state and reaches nothing.
    const auto step_at = [&](int i) { return kUsual || low + i < high ? delta_rows(i) : 0.0f; };
    const float* common = projection;  // B and C of a position
#pragma unroll 1
    for (int i = 0; i < kChunk; i += kSide) {
      float delta[kSide], step[kSide];
#pragma unroll
      for (int t = 0; t < kSide; ++t) {
        delta[t] = step_at(i + t);
        step[t] = delta[t] * u_rows(i + t);
      }
#pragma unroll
      for (int t = 0; t < kSide; ++t) {
        if (t % kPair == 0) kept((i + t) / kPair).Put(lane, h);
        float added[N] = {};
        AddTimes(common + t * 2 * N, step[t], added);
#pragma unroll
        for (int n = 0; n < N; ++n) h[n] = decay(delta[t], a[n], i + t) * h[n] + added[n];
      }
      common += kSide * 2 * N;
    }
    kept(kPairs).Put(lane, h);
    float y = Dot(common - N, h);  // dot(C, h) of a pair's second position
    __pipeline_wait_prior(0);
    __syncwarp();
    if (more) look(low - kChunk, turn ^ 1), fetch_steps(low - kChunk, turn ^ 1), __pipeline_commit();

#pragma unroll 1
    for (int pair = kPairs - 1; pair >= 0; --pair) {
      const int i = pair * kPair;
      float* const row = projection + i * 2 * N;
      float delta[kPair], u[kPair], grad[kPair], slope[kPair];
#pragma unroll
      for (int t = 0; t < kPair; ++t) {
        delta[t] = step_at(i + t), u[t] = u_rows(i + t);
        const float dy = kUsual ? dy_rows(i + t) : low + i + t < high ? counts * dy_rows(i + t) : 0.0f;
        const float z = has_z ? z_rows(i + t) : 0.0f, s = Sigmoid(z);
        grad[t] = has_z ? dy * z * s : dy;
        slope[t] = dy * s * (1.0f + z * (1.0f - s));
      }
      float before[N], between[N] = {}, power[N], values[kPair];
      kept(pair).Get(lane, before);
      AddTimes(row, delta[0] * u[0], between);
#pragma unroll
      for (int n = 0; n < N; ++n) power[n] = decay(delta[0], a[n], i), between[n] += power[n] * before[n];
      if (wants_dz) {
        z_rows.Put(i + 1, (y + skip * u[1]) * slope[1]);
        z_rows.Put(i, (Dot(row + N, between) + skip * u[0]) * slope[0]);
        y = Dot(row - N, before);  // of the position before, where there is one
      }
      // `from` and `to`: the states before and behind the position.
      const auto back = [&](int t, float sum_b, const float(&from)[N], const float(&to)[N]) {
        float shares[2 * N];
#pragma unroll
        for (int n = 0; n < N; ++n) shares[2 * n] = dh[n] * (delta[t] * u[t]), shares[2 * n + 1] = grad[t] * to[n];
        SumOverLanes(lane, shares);
        values[t] = shares[0];
        float along_a[2] = {};
#pragma unroll
        for (int n = 0; n < N; ++n) {
          dh[n] *= t == 0 ? power[n] : decay(delta[t], a[n], i + t);
          const float through = dh[n] * from[n];
          along_a[n % 2] += through * a[n];
          d_a[n] += through * delta[t];
        }
        d_skip += grad[t] * u[t];
        const float rise = softplus ? 1.0f - Exp2(-kLog2E * delta[t]) : 1.0f;  // the slope of softplus, seen from its result
        const float d_delta = (u[t] * sum_b + kLn2 * (along_a[0] + along_a[1])) * rise;
        if (kUsual || low + i + t < high) d_bias += d_delta;
        u_rows.Put(i + t, skip * grad[t] + delta[t] * sum_b);
        delta_rows.Put(i + t, d_delta);
      };
      float after[N];
      kept(pair + 1).Get(lane, after);
      AddTimes(row + 3 * N, grad[1], dh);
      back(1, Dot(row + 2 * N, dh), between, after);
      AddTimes(row + N, grad[0], dh);
      back(0, Dot(row, dh), before, between);
      __syncwarp();
#pragma unroll
      for (int t = 0; t < kPair; ++t) row[t * 2 * N + lane * 2 * N / kWarp] = values[t];
      if (pair == kPairs - 2 && more) fetch_border(low - kChunk), __pipeline_commit();
    }
    if (kUsual && low % segment == 0) {  // nothing reaches back over the start of a segment
#pragma unroll
      for (int n = 0; n < N; ++n) dh[n] = 0;
    }
    __syncwarp();
    unsigned rows[Rows::kEach];
    rows_of(low, rows);
    const auto writes = [&](int row) { return kUsual || low + row < high; };
    u_rows.Store(g.du + at.sequence, rows, columns, writes);
    delta_rows.Store(g.d_delta + at.sequence, rows, columns, writes);
    if (wants_dz) {
      tokens_of(g.dz_stride);
      z_rows.Store(g.dz + sequence_of(g.dz_stride, dz_times), tokens, columns_of(g.dz, g.dz_stride), writes);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < (high - low) * 2 * N; i += blockDim.x) {
      float total = 0;
#pragma unroll
      for (int w = 0; w < Warps; ++w) total += rooms[w].projection[i];
      shares[((int64_t(blockIdx.x) * gridDim.z + at.b) * length + low) * 2 * N + i] = total;
    }
    __syncthreads();
  }

  if (!kUsual && !at.inside) return;
#pragma unroll
  for (int n = 0; n < N; ++n) sums[(part * (N + 2) + n) * dim + at.e] = d_a[n];
  sums[(part * (N + 2) + N) * dim + at.e] = d_skip;
  sums[(part * (N + 2) + N + 1) * dim + at.e] = d_bias;
}

// Positions that one block must walk back over alone. It reads again what lies between a border and a chunk, where no other may have written gradients yet.
// And where du can take the place of borders that have fewer states than a chunk positions, they lie under positions of earlier chunks.
template <typename T>
int64_t WalkedAlone(const SelectiveScanParams<T>& p) {
  const int64_t chunk = std::min(p.chunk, p.length);
  const bool displaced = p.state != chunk && DivideUp(p.length, chunk) * p.state == p.length;
  return displaced ? p.length : chunk;
}

template <typename T, int N>
cudaError_t Run(SelectiveScanGradParams<T> g, const Device& device) {
  if (const cudaError_t status = GiveSteps(g.forward, device); status != cudaSuccess) return status;
  const SelectiveScanParams<T>& p = g.forward;
  const Spans spans(p.batch, p.length, p.dim, device.processors, WalkedAlone(p));
  const dim3 block(kBlockWarps * kWarp);
  const int parts = int(p.batch) * spans.count, cuts = spans.count - 1;
  float* incoming = nullptr;  // [batch, cuts, pieces, N, dim], of which the first piece's count: what reaches the end of the span in front of a cut
  int pieces = 1;
  const bool usual = IsUsual<N>(p);
  if (cuts > 0) {
    const bool meets = sizeof(T) == 2 && usual && spans.meeting > 0 && FitsAtOnce(WholeReach<T, N>);
    const bool by_nodes = usual && HasTiles<T, N>(device);
    pieces = meets ? 1 : PiecesOf(spans.span, by_nodes ? kEndPiece : kReachPiece);
    const int all = cuts * pieces;
    incoming = device.Scratch<float>(size_t(p.batch) * all * N * p.dim);
    if (meets) {
      const dim3 whole = spans.MeetingGrid(p.batch);
      WholeReach<T, N><<<whole, block, 0, device.stream>>>(g, spans.span, cuts, Meetings::Of<N>(whole, device), incoming);
    } else {
      float* steps = device.Scratch<float>(size_t(p.batch) * all * p.dim);
      if (by_nodes) {
        RunEnds<true>(p, g.dy, spans.span / pieces, 0, pieces, all, incoming, steps, device);
      } else {
        const auto reaching = usual ? Reaching<T, N, true> : Reaching<T, N, false>;
        reaching<<<spans.Grid(p.batch, all), block, 0, device.stream>>>(g, spans.span / pieces, pieces, incoming, steps);
      }
      Carry<N><<<dim3(DivideUp(p.dim, 128), N, unsigned(p.batch)), 128, 0, device.stream>>>(incoming, steps, p.a, all, int(p.state), int(p.dim), -1);
    }
  }
  const bool plain = usual && p.delta_softplus && p.chunk == kChunk && g.dz && IsWhole(g.dz, g.dz_stride);
  const bool in_tiles = plain && HasTiles<T, N>(device);
  const int warps = in_tiles || kBlockWarps * sizeof(Room<T, N>) <= size_t(device.shared_bytes) ? kBlockWarps : 1;  // of a block
  const int block_tiles = DivideUp(spans.tiles, warps);
  float* shares = device.Scratch<float>(size_t(block_tiles) * p.batch * p.length * 2 * N);
  float* sums = device.Scratch<float>(size_t(parts) * (N + 2) * p.dim);
  const auto run = [&](auto kernel, size_t room) {
    const int bytes = int(warps * room);
    if (const cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes); status != cudaSuccess) return status;
    const dim3 grid(block_tiles, spans.count, unsigned(p.batch));
    kernel<<<grid, warps * kWarp, bytes, device.stream>>>(g, unsigned(p.z_stride / p.dim), unsigned(g.dz_stride / p.dim), spans.span, pieces, incoming, shares, sums);
    return cudaGetLastError();
  };
  const auto walk_back = [&] {
    if constexpr (std::is_same_v<T, Bf16> && N == kTileStates)
      if (in_tiles) return run(BackInTiles, sizeof(BackRoom));
    if (warps == 1) return run(Backward<T, N, false, 1>, sizeof(Room<T, N>));
    return run(plain ? Backward<T, N, true> : Backward<T, N, false>, sizeof(Room<T, N>));
  };
  if (const cudaError_t status = walk_back(); status != cudaSuccess) return status;
  const int row_blocks = DivideUp(p.batch * p.length * 2 * N, kAddingThreads), sum_blocks = DivideUp(p.dim, kAddingThreads) * (N + 2);
  AddUp<T, N><<<row_blocks + sum_blocks, kAddingThreads, 0, device.stream>>>(g, shares, block_tiles, row_blocks, sums, parts);
  return cudaGetLastError();
}

}  // namespace

template <typename T>
cudaError_t SelectiveScanGrad(const SelectiveScanGradParams<T>& g, const Device& device) {
  const SelectiveScanParams<T>& p = g.forward;
  if (p.chunk % kChunk != 0 && p.chunk < p.length) return cudaErrorInvalidValue;
  if (p.state <= 4) return Run<T, 4>(g, device);
  if (p.state <= 16) return Run<T, 16>(g, device);
  return cudaErrorInvalidValue;
}

template cudaError_t SelectiveScanGrad<float>(const SelectiveScanGradParams<float>&, const Device&);
template cudaError_t SelectiveScanGrad<__half>(const SelectiveScanGradParams<__half>&, const Device&);
template cudaError_t SelectiveScanGrad<__nv_bfloat16>(const SelectiveScanGradParams<__nv_bfloat16>&, const Device&);

}  // namespace zigma::cuda
