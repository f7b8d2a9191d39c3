// The way back over a span for tokens of bfloat16 and 16 states, on the tensor cores. What `Backward` (selective_scan_grad.cu) does a channel a lane is done here
// in tiles of 16 channels and 16 states, two a warp, that lie in the lanes as factors and sums of products do:
//
//   dh += g C, h += (delta u) B       products of a column and a row, added to what the lanes have; one factor has zeros but in its first column
//   dot(C, h), dot(B, dh), dot(A, dh decay h)    tiles times columns of C and B, and of ones for what a lane has added up: columns 0, 1 and 2 of one sum
//   dB, dC                            tiles transposed times columns of their channels' steps and gradients
//
// C, B, steps and gradients are TF32 in the first, states and their gradients bfloat16 in the others: as they are kept, and as their results are written.
//
// Registers are what there is least of: a warp has 168. What depends on the lane is computed anew where it is needed (`look`), and the two tiles of a pair of
// positions one after the other.
#pragma once

#include "selective_scan_room.cuh"

namespace zigma::cuda {

// Sizes are usual (`IsUsual`), and chunks as far apart as their borders. Rows of z are `z_times` and those that dz goes to `dz_times` as long as those of the
// other tokens. incoming: what reaches each span's end, [batch, cuts, pieces, 16, dim], of which the first piece's counts. shares [tiles, batch * length, 16, 2]: of dB
// and dC. sums [parts, 16 + 2, dim]: of dA, dD and the gradient of the steps' bias.
__global__ void __launch_bounds__(kBlockWarps* kWarp, 3)
    BackInTiles(SelectiveScanGradParams<Bf16> g, unsigned z_times, unsigned dz_times, int span, int pieces, const float* incoming, float* shares, float* sums) {
  using T = Bf16;
  using Rows = Tile<T, kChunk>;
  using Border = Tile<T, kTileStates>;
  constexpr int N = kTileStates;
  __shared__ __align__(16) CommonFactors common;
  __shared__ __align__(16) float skip[kBlockWarps][kWarp];
  __shared__ int tokens[2][kChunk];  // of this chunk and of the next, as they stand in the permutation
  extern __shared__ __align__(128) char shared[];
  BackRoom* const rooms = reinterpret_cast<BackRoom*>(shared);
  const SelectiveScanParams<T>& p = g.forward;
  const Place at = PlaceOf<true>(p, span, blockIdx.y);
  const int dim = int(p.dim), length = int(p.length), segment = int(p.segment);
  const int64_t part = int64_t(at.b) * gridDim.y + blockIdx.y;

  unsigned lane, warp;
  int64_t sequence;
  const auto look = [&] {
    unsigned thread = threadIdx.x, sample = blockIdx.z;
    Forget(thread), Forget(sample);
    lane = thread % kWarp, warp = thread / kWarp, sequence = int64_t(sample) * length * dim;
  };
  const auto group = [&] { return int(lane / 4); };
  const auto quarter = [&] { return int(lane % 4); };
  const auto columns = [&] { return Columns{int(blockIdx.x * kBlockWarps + warp) * kWarp, kWarp, true}; };
  const auto channel = [&] { return columns().first + 4 * group(); };  // the lane's first of four
  const auto state = [&](int half, int c) { return 8 * half + 2 * quarter() + c; };
  look();

  StateTile a[2], dh[2], d_a[2] = {};
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float2 rates = *reinterpret_cast<const float2*>(p.a + int64_t(channel() + i) * N + state(half, 0));
      a[i / 2][half][i % 2 * 2] = rates.x * kLog2E, a[i / 2][half][i % 2 * 2 + 1] = rates.y * kLog2E;
    }
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const float* const from = incoming + ((part - at.b) * pieces * N + state(half, c)) * dim + channel();
      SetChannels(dh, half, c, at.last < length ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0));
    }
  rooms[warp].SumOf(lane) = make_float2(0, 0);
  skip[warp][lane] = p.d ? p.d[at.e] : 0.0f;
  common.Clear();

  // What is fetched of a chunk ahead. Its border, B and C lie where states are kept while none are.
  unsigned rows[Rows::kEach];
  const auto border = [&] { return Border{reinterpret_cast<T*>(rooms[warp].kept[0])}; };
  const auto raw_common = [&]() -> uint2& { return reinterpret_cast<uint2*>(rooms[warp].kept[1])[lane]; };
  const auto rows_of = [&](int low) { Rows::Offsets(rows, [&](int row) { return unsigned(low + row) * unsigned(dim); }); };
  const auto tokens_of = [&](int turn, int64_t stride) {
    Rows::Offsets(rows, [&](int row) { return min(unsigned(tokens[turn][row]), unsigned(length - 1)) * unsigned(stride); });
  };
  const auto turn_of = [](int low) { return low / kChunk % 2; };
  const auto fetch_steps = [&](int low) {
    rows_of(low);
    Rows{rooms[warp].u[turn_of(low)]}.Fetch(p.u + sequence, rows, columns());
    Rows{rooms[warp].delta[turn_of(low)]}.Fetch(p.delta + sequence, rows, columns());
    __pipeline_commit();
  };
  const auto fetch_start = [&](int low) {
    unsigned states[Border::kEach];
    Border::Offsets(states, [&](int n) { return unsigned(n) * unsigned(dim); });
    border().Fetch(p.borders + (int64_t(at.b) * (length / kChunk) + low / kChunk) * N * dim, states, columns());
    const unsigned thread = warp * kWarp + lane;
    const T* const from = (group() % 2 ? p.c : p.b) + (int64_t(at.b) * length + low + thread / 8) * p.bc_stride + 4 * quarter();
    __pipeline_memcpy_async(&raw_common(), from, sizeof(uint2));
    if (thread < kChunk) {
      if (p.permutation) __pipeline_memcpy_async(&tokens[turn_of(low)][thread], p.permutation + low + thread, sizeof(int));
      else tokens[turn_of(low)][thread] = low + thread;
    }
    __pipeline_commit();
  };
  const auto put_common = [&] { common.Put((warp * kWarp + lane) / 8, group() % 2, quarter(), raw_common()); };

  int low = at.last - kChunk, start = low / segment * segment;
  fetch_steps(low);
  fetch_start(low);
  __pipeline_wait_prior(0);
  __syncthreads();
  put_common();
  __syncthreads();
  for (; low >= at.first; low -= kChunk) {
    look();
    const bool more = low - kChunk >= at.first;
    const int turn = turn_of(low);
    tokens_of(turn, dim);
    Rows{rooms[warp].Dy()}.Fetch(g.dy + sequence, rows, columns());
    tokens_of(turn, p.z_stride);
    Rows{rooms[warp].z}.Fetch(p.z + sequence * z_times, rows, columns());
    __pipeline_commit();
    StateTile h[2];
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        float four[4];
        UnpackFour(*reinterpret_cast<const uint2*>(border().at + state(half, c) * kWarp + 4 * group()), four);
        SetChannels(h, half, c, make_float4(four[0], four[1], four[2], four[3]));
      }
    PutSteps(rooms[warp], turn, lane);
    __syncwarp();

    // The way forward from the border.
    const float* channels_at;  // of steps, and as far behind of gradients
    const T* delta_at;
    uint4* kept_at;
    const uint32_t* outer_at;
    constexpr int kGrad = int(offsetof(BackRoom, grad) - offsetof(BackRoom, step)) / 4;
    const auto go_to = [&](int position) {
      channels_at = rooms[warp].step[position] + 4 * group(), delta_at = rooms[warp].delta[turn] + position * kWarp + 4 * group();
      kept_at = rooms[warp].kept[0][0] + position / kPair * 2 * kWarp + lane;
      outer_at = quarter() == 0 ? common.Row(position) + CommonFactors::kOuter + 2 * group() : common.Zeros();
    };
    const auto move_on = [&](int direction) {
      channels_at += direction * kPair * kWarp, delta_at += direction * kPair * kWarp, kept_at += direction * 2 * kWarp;
      if (quarter() == 0) outer_at += direction * kPair * CommonFactors::kRow;
    };
    const auto step_of = [&](int t) { return *reinterpret_cast<const float4*>(channels_at + t * kWarp); };
    const auto grad_of = [&](int t) { return *reinterpret_cast<const float4*>(channels_at + kGrad + t * kWarp); };
    const auto outer_b = [&](int t) { return *reinterpret_cast<const float2*>(outer_at + t * CommonFactors::kRow); };
    const auto outer_c = [&](int t) { return *reinterpret_cast<const float2*>(outer_at + t * CommonFactors::kRow + 16); };
    const auto deltas_of = [&](int t, float(&delta)[4]) { UnpackFour(*reinterpret_cast<const uint2*>(delta_at + t * kWarp), delta); };
    StateWords last[2];
    go_to(0);
#pragma unroll 2
    for (int i = 0; i < kPairs; ++i) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        StateWords w;
        Round(h[j], w);
        kept_at[j * kWarp] = make_uint4(w[0], w[1], w[2], w[3]);
      }
#pragma unroll
      for (int t = 0; t < kPair; ++t) {
        float delta[4];
        deltas_of(t, delta);
        const float4 step = step_of(t);
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          ForEach([&](int half, int k) {
            const float d = delta[2 * j + k / 2], rate = a[j][half][k];
            h[j][half][k] *= half == 0 && k == 0 ? Exp2OfProduct(d, rate) : Exp2(d * rate);  // the special function unit is what is waited for here
          });
          AddOuter(j ? step.z : step.x, j ? step.w : step.y, outer_b(t), h[j]);
        }
      }
      move_on(1);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) Round(h[j], last[j]);

    look();
    __pipeline_wait_prior(0);
    __syncwarp();
    PutGradients(rooms[warp], lane);
    __syncwarp();
    if (more) fetch_steps(low - kChunk);

    // And back, a pair of positions at a time.
    look();
    go_to(kChunk);
    const uint32_t* dot_b_at = group() == 0 ? common.Row(kChunk) + CommonFactors::kDots + 2 * quarter() : common.Zeros();
    const uint32_t* dot_c_at = group() == 1 ? common.Row(kChunk) + CommonFactors::kDots + 8 + 2 * quarter() : common.Zeros();
    const auto dot_b = [&](int t) { return *reinterpret_cast<const uint2*>(dot_b_at + t * CommonFactors::kRow); };
    const auto dot_c = [&](int t) { return *reinterpret_cast<const uint2*>(dot_c_at + t * CommonFactors::kRow); };
    const float one_of_along = group() == 2 ? 1.0f : 0.0f;
    // Of what is summed over the channels: columns 0 to 3 are the first position's step and gradient, the second one's step, and the gradient before. A lane takes
    // rows 2 q, 2 q + 1, 2 q + 8 and 2 q + 9 of either tile: its eight channels.
    const int column = group() % 4;
    const float* factors_at = rooms[warp].step[kChunk] + column % 2 * kGrad + (column == 2 ? kWarp : column == 3 ? -kWarp : 0) + 8 * quarter();
    const auto factors_of = [&](uint32_t(&factors)[2][2]) {
      const float4 x = *reinterpret_cast<const float4*>(factors_at), y = *reinterpret_cast<const float4*>(factors_at + 4);
      factors[0][0] = Pair<T>(x.x, y.x), factors[0][1] = Pair<T>(x.y, y.y), factors[1][0] = Pair<T>(x.z, y.z), factors[1][1] = Pair<T>(x.w, y.w);
    };
    float2* shares_at = reinterpret_cast<float2*>(rooms[warp].step[kChunk]) + quarter() * N + group();
    {
      uint32_t factors[2][2];
      float dots[2][4] = {}, over_channels[4] = {};
      factors_of(factors);
#pragma unroll
      for (int j = 0; j < 2; ++j) AddDots(last[j], dot_c(-1), dots[j]), AddOverChannels(last[j], factors[j], over_channels);
      __syncwarp();
      if (quarter() == 0) reinterpret_cast<float4*>(rooms[warp].last_y)[group()] = make_float4(dots[0][1], dots[0][3], dots[1][1], dots[1][3]);
      if (quarter() == 1) shares_at[0].y = over_channels[1], shares_at[8].y = over_channels[3];
    }
#pragma unroll 1
    for (int pair = kPairs - 1; pair >= 0; --pair) {
      move_on(-1);
      if (group() == 0) dot_b_at -= kPair * CommonFactors::kRow;
      if (group() == 1) dot_c_at -= kPair * CommonFactors::kRow;
      factors_at -= kPair * kWarp, shares_at -= kPair * N;
      uint32_t factors[2][2];
      factors_of(factors);
      float delta[kPair][4];
      deltas_of(0, delta[0]), deltas_of(1, delta[1]);
      const float4 step = step_of(0), grad[kPair] = {grad_of(0), grad_of(1)};
      const float2 b = outer_b(0), c[kPair] = {outer_c(0), outer_c(1)};
      const uint2 b_dots[kPair] = {dot_b(0), dot_b(1)}, c_before = dot_c(-1), c_dots = dot_c(0);
      float of_first[2][4] = {}, of_second[2][4] = {}, db_first[4] = {}, db_second[4] = {}, dc_first[4] = {}, dc_before[4] = {};
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        if (j) __syncwarp();  // one tile after the other
        const uint4 kept = kept_at[j * kWarp];
        const StateWords before = {kept.x, kept.y, kept.z, kept.w};
        StateWords w;
        StateTile power, between, from;
        Widen(kept, from);
        ForEach([&](int half, int k) {
          power[half][k] = Exp2(delta[0][2 * j + k / 2] * a[j][half][k]);
          between[half][k] = power[half][k] * from[half][k];
        });
        AddOuter(j ? step.z : step.x, j ? step.w : step.y, b, between);
        AddDots(before, c_before, of_second[j]);
        AddOverChannels(before, factors[j], dc_before);
        Round(between, w);
        AddDots(w, c_dots, of_first[j]);
        AddOverChannels(w, factors[j], dc_first);
        // `from`: the states before the position.
        const auto back = [&](int t, float(&out)[4], float(&db)[4], const StateTile& from) {
          AddOuter(j ? grad[t].z : grad[t].x, j ? grad[t].w : grad[t].y, c[t], dh[j]);
          Round(dh[j], w);
          AddDots(w, b_dots[t], out);
          AddOverChannels(w, factors[j], db);
          float along[2] = {};
          ForEach([&](int half, int k) {
            const float d = delta[t][2 * j + k / 2], rate = a[j][half][k];
            dh[j][half][k] *= t == 0 ? power[half][k] : Exp2(d * rate);
            const float through = dh[j][half][k] * from[half][k];
            along[k / 2] += through * rate;
            d_a[j][half][k] += through * d;
          });
          MultiplyTf32(out, along[0], along[1], one_of_along);
        };
        back(1, of_second[j], db_second, between);
        back(0, of_first[j], db_first, from);
      }
      __syncwarp();
      if (quarter() < 2) {
        float4* const results = rooms[warp].Results() + pair * BackRoom::kOfPair + quarter() * BackRoom::kOfA + group();
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          results[j * BackRoom::kOfTile] = make_float4(of_first[j][0], of_first[j][1], of_first[j][2], of_first[j][3]);
          results[j * BackRoom::kOfTile + BackRoom::kOfSecond] = make_float4(of_second[j][0], of_second[j][1], of_second[j][2], of_second[j][3]);
        }
        shares_at[0] = quarter() ? make_float2(db_second[0], dc_before[1]) : make_float2(db_first[0], dc_first[1]);
        shares_at[8] = quarter() ? make_float2(db_second[2], dc_before[3]) : make_float2(db_first[2], dc_first[3]);
      }
    }
    if (low == start) {  // nothing reaches back over the start of a segment
      start -= segment;
#pragma unroll
      for (int j = 0; j < 2; ++j) ForEach([&](int half, int k) { dh[j][half][k] = 0; });
    }

    // What channels have for themselves.
    look();
    __syncwarp();
    float of_channels[8] = {};
    PutResults(rooms[warp], skip[warp], turn, lane, of_channels);
    __syncwarp();
    if (more) fetch_start(low - kChunk);
    rooms[warp].AddUp(of_channels, lane);
    const auto always = [](int) { return true; };
    rows_of(low);
    Rows{rooms[warp].u[turn]}.Store(g.du + sequence, rows, columns(), always);
    Rows{rooms[warp].delta[turn]}.Store(g.d_delta + sequence, rows, columns(), always);
    tokens_of(turn, g.dz_stride);
    Rows{rooms[warp].z}.Store(g.dz + sequence * dz_times, rows, columns(), always);
    __syncthreads();
    AddShares(rooms, warp, lane, shares + ((int64_t(blockIdx.x) * gridDim.z + at.b) * length + low) * 2 * N);
    __pipeline_wait_prior(0);
    if (more) put_common();
    __syncthreads();
  }

#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int c = 0; c < 2; ++c)
      *reinterpret_cast<float4*>(sums + (part * (N + 2) + state(half, c)) * dim + channel()) = ChannelsOf(d_a, half, c);
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float2 two = rooms[warp].sums[i][lane / 2 % 2][lane / 4];
    sums[(part * (N + 2) + N + i) * dim + at.e] = lane % 2 ? two.y : two.x;
  }
}

}  // namespace zigma::cuda
