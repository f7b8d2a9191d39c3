// What a span of a cut sequence makes of its end while nothing comes in, for tokens of bfloat16 and 16 states:
//
//   forward    h[n] = sum over l of exp(A[n] s[l]) w[l] B[l, n]    w = delta u      s[l]: the time steps behind position l
//   backward  dh[n] = sum over l of exp(A[n] s[l]) w[l] C[l, n]    w = dy silu(z)   s[l]: the time steps up to position l
//
// A quarter of the powers does. A function exp(-a s) is nearly a sum of eight others, exp(-x[k] s), whose rates x, the nodes, are spread over what the channel's
// own rates a = -A[n] span. Of all such sums the nearest in the mean square over s >= 0 has the coefficients
//
//   c[k](a) = 2 x[k] / (a + x[k])  product over j != k of (a - x[j]) / (a + x[j]) (x[k] + x[j]) / (x[k] - x[j])
//
// (the Gram matrix of exponentials is a Cauchy matrix). At s = 0 it is off by the product of all |a - x[k]| / (a + x[k]), and nowhere by more. Four nodes are free
// and the others twice as large, whose exponentials are the squares of the first: 2.3e-4 off at most where rates span a factor of 16, 6e-4 where they span 24,
// as eight free nodes would be. As nodes do not depend on n, the sum over positions is a product of matrices: B or C, [16, positions], the same for all
// channels, times exp(-x[k] s[l]) w[l], [positions, 8].
// Where rates span more, a warp walks twice, each time for one half of what they span on a scale of logarithms. Where that is not enough, or where they are not all
// negative numbers, it walks four times over four of a channel's own rates, and needs no coefficients.
#pragma once

#include "selective_scan.cuh"
#include "state_tile.cuh"

namespace zigma::cuda {

constexpr int kNodes = 4;         // and as many that are twice as large
constexpr int kEndChannels = 16;  // of a warp
constexpr int kEndTile = 16;      // positions
constexpr int kEndPiece = 512;    // of a span's positions, where it is cut once more: what nodes cost is little beside it
constexpr float kWidest = 4.6f;   // what the rates of a walk span at most, as a power of two

// What a warp has in shared memory.
template <bool kBack>
struct alignas(16) EndRoom {
  // B or C, time steps, then u, or dy and z: 32 bytes a position as in device memory, but every fourth position together, so that what lanes read at once lies in
  // different banks.
  uint4 tile[2][kBack ? 4 : 3][2 * kEndTile];
  float4 s[kEndChannels * kEndTile / 4];  // times the rate in the middle of a channel's and log2(e); see `FourOf`
  uint2 w[kEndChannels * kEndTile / 4];   // rounded as their factor B or C is
  float middle[kEndChannels];             // a channel's rate in the middle, or 1 where nodes are its own rates
  float own[kEndChannels][kNodes];        // these
};

// Where half of a position of a tile lies.
__device__ inline int HalfRow(int position, int half) { return (position % 4 * 4 + position / 4) * 2 + half; }

// Where positions 4 `four` to 4 `four` + 3 of a channel lie: what lanes write or read at once is in different banks.
__device__ inline int FourOf(int channel, int four) { return (channel % 2 * 4 + four) * 8 + (channel / 2 ^ 2 * four); }

// How often a warp walks, and over which nodes.
struct Walks {
  int count;
  float width;  // of what the rates of a walk span, as a power of two
  bool own;     // nodes are a channel's own rates

  // For the rates of a warp's channels, a [16, 16]; a lane looks at half a channel. Leaves the rate in the middle of each channel's.
  __device__ Walks(const float* a, int lane, float (&middle)[kEndChannels]) {
    float mine[kTileStates / 2];
    Load(a + lane * (kTileStates / 2), mine);
    bool usable = true;  // said of numbers that are none too
    float low = -mine[0], high = -mine[0];
#pragma unroll
    for (int i = 0; i < kTileStates / 2; ++i) usable = usable && mine[i] < 0.0f, low = fminf(low, -mine[i]), high = fmaxf(high, -mine[i]);
    low = fminf(low, __shfl_xor_sync(kAllLanes, low, 1)), high = fmaxf(high, __shfl_xor_sync(kAllLanes, high, 1));
    width = log2f(high / low);
#pragma unroll
    for (int bit = 2; bit < kWarp; bit *= 2) width = fmaxf(width, __shfl_xor_sync(kAllLanes, width, bit));
    own = !__all_sync(kAllLanes, usable && width <= 2.0f * kWidest);
    count = own ? kTileStates / kNodes : width > kWidest ? 2 : 1;
    width /= float(count);
    middle[lane / 2] = own ? 1.0f : sqrtf(low) * sqrtf(high);
  }

  // Node k below kNodes of a walk, over a channel's middle rate: from the best ones for rates that span 16 to those for 32.
  __device__ float Node(int walk, int k) const {
    const float wide = fmaxf(width - 4.0f, 0.0f), far = 1.944f + 0.472f * wide, near = 1.494f + 0.109f * wide;
    const float at = k == 0 ? -far : k == 1 ? -near : k == 2 ? near - 1.0f : far - 1.0f;
    return Exp2(at + width * (float(walk) - 0.5f * float(count - 1)));
  }

  // Whether a walk makes state n, whose rate is `a` middle rates.
  __device__ bool Makes(int walk, int n, float a) const { return own ? n / kNodes == walk : count == 1 || (a > 1.0f) == (walk == 1); }
};

// Of a channel's eight nodes two lanes have four each, two neighbors and these two doubled. `weight`: what of c[k](a) does not depend on a.
struct HalfOfNodes {
  float x[4], weight[4];

  __device__ HalfOfNodes(const Walks& walks, int walk, int which) {
    float free[kNodes];
#pragma unroll
    for (int k = 0; k < kNodes; ++k) free[k] = walks.Node(walk, k);
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] = (which ? free[2 + i % 2] : free[i % 2]) * (i < 2 ? 1.0f : 2.0f);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      weight[i] = 2.0f * x[i];
#pragma unroll
      for (int k = 0; k < 2 * kNodes; ++k) {
        const float other = free[k % kNodes] * (k < kNodes ? 1.0f : 2.0f);
        if (other != x[i]) weight[i] *= (x[i] + other) * Reciprocal(x[i] - other);
      }
    }
  }

  // The state whose rate is a, from the sums over positions of each node's. Both lanes get it.
  __device__ float Combine(float a, float first, float second, float third, float fourth) const {
    float past[4], sums = 1.0f;
#pragma unroll
    for (int i = 0; i < 4; ++i) past[i] = a - x[i], sums *= a + x[i];
    const float over = Reciprocal(sums), front = past[0] * past[1], back = past[2] * past[3];
    const float others = __shfl_xor_sync(kAllLanes, front * back * over, 1);
    const float of_front = weight[0] * first * past[1] + weight[1] * second * past[0], of_back = weight[2] * third * past[3] + weight[3] * fourth * past[2];
    const float mine = (of_front * back + of_back * front) * over * others;
    return mine + __shfl_xor_sync(kAllLanes, mine, 1);
  }
};

// The tiles of a warp's span, from the end that is asked for to the start of the nearest segment, for nothing passes that.
template <bool kBack>
class EndTiles {
 public:
  static constexpr int kSteps = 1, kFirst = 2, kSecond = 3;  // of a tile, where B or C is 0: time steps; u, or dy; z
  int count;
  bool starts;  // whether a segment starts inside

  __device__ EndTiles(const SelectiveScanParams<Bf16>& p, const Bf16* dy, const Place& at, EndRoom<kBack>& room) : p_(p), dy_(dy), at_(at), room_(room) {
    const int segment = int(p.segment), start = kBack ? (at.first + segment - 1) / segment * segment : (at.last - 1) / segment * segment;
    starts = at.first <= start && start < at.last;
    count = max((kBack && starts ? start : at.last) - (!kBack && starts ? start : at.first), 0) / kEndTile;
  }

  // Begins to load the first one.
  __device__ void Begin() {
    const int l = FirstRow();
    const int64_t here = at_.sequence + int64_t(l) * p_.dim + Column();
    bc_ = (kBack ? p_.c : p_.b) + (int64_t(at_.b) * p_.length + l) * p_.bc_stride + lane_ % 2 * kVector<Bf16>;
    steps_ = p_.delta + here, u_ = p_.u + here;
    Look(0), Fetch(0), Look(1);
  }
  // Waits for tile `tile`, and begins to load the next one in the place of the one before.
  __device__ void Turn(int tile) {
    __pipeline_wait_prior(0);
    __syncwarp();
    Fetch(tile + 1), Look(tile + 2);
  }

 private:
  const SelectiveScanParams<Bf16>& p_;
  const Bf16* const dy_;
  const Place& at_;
  EndRoom<kBack>& room_;
  const int lane_ = threadIdx.x % kWarp;
  const Bf16 *bc_, *steps_, *u_;  // what of the next tile has scan order
  int token_;                     // of the next tile, as it stands in the permutation

  // A lane moves half of a position's channels, and of its states.
  __device__ int FirstRow() const { return (kBack ? at_.first : at_.last - kEndTile) + lane_ / 2; }
  __device__ int Column() const { return at_.columns.first + lane_ % 2 * kVector<Bf16>; }
  __device__ void Look(int tile) {
    if (!kBack || tile >= count) return;
    const int l = FirstRow() + tile * kEndTile;
    token_ = p_.permutation ? p_.permutation[l] : l;
  }
  __device__ void Fetch(int tile) {
    if (tile >= count) return;
    auto& to = room_.tile[tile % 2];
    const auto move = [&](int which, const Bf16* from) { __pipeline_memcpy_async(&to[which][HalfRow(lane_ / 2, lane_ % 2)], from, sizeof(uint4)); };
    constexpr int kOn = kBack ? kEndTile : -kEndTile;
    move(0, bc_), bc_ += kOn * p_.bc_stride;
    move(kSteps, steps_), steps_ += kOn * p_.dim;
    if constexpr (kBack) {
      const unsigned token = min(unsigned(token_), unsigned(p_.length - 1));
      move(kFirst, dy_ + at_.sequence + (token * unsigned(p_.dim) + Column()));
      move(kSecond, p_.z + int64_t(at_.b) * p_.length * p_.z_stride + (token * unsigned(p_.z_stride) + Column()));
    } else {
      move(kFirst, u_), u_ += kOn * p_.dim;
    }
    __pipeline_commit();
  }
};

// Makes s and w of a tile. A lane has four positions of two channels. `scale`: what s of these is multiplied by. `passed`: their time steps so far.
template <bool kBack>
__device__ inline void PutFactors(const uint4 (&tile)[kBack ? 4 : 3][2 * kEndTile], const float (&scale)[2], float (&passed)[2], EndRoom<kBack>& room) {
  const int lane = threadIdx.x % kWarp, pair = lane % 8, four = lane / 8;
  float s[2][4], w[2][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const auto two = [&](int which, float& x, float& y) { Unpack<Bf16>(reinterpret_cast<const uint32_t*>(tile[which])[(i * 4 + four) * 8 + pair], x, y); };
    two(EndTiles<kBack>::kSteps, s[0][i], s[1][i]), two(EndTiles<kBack>::kFirst, w[0][i], w[1][i]);
    if constexpr (kBack) {
      float z[2];
      two(EndTiles<kBack>::kSecond, z[0], z[1]);
#pragma unroll
      for (int j = 0; j < 2; ++j) w[j][i] *= z[j] * Sigmoid(z[j]);
    } else {
#pragma unroll
      for (int j = 0; j < 2; ++j) w[j][i] *= s[j][i];
    }
  }
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    // The steps of the lanes whose positions are passed before these.
    const float mine = (s[j][0] + s[j][1]) + (s[j][2] + s[j][3]), neighbor = __shfl_xor_sync(kAllLanes, mine, 8), both = mine + neighbor;
    const float far = __shfl_xor_sync(kAllLanes, both, 16);
    float sum = passed[j] + (four % 2 == kBack ? neighbor : 0.0f) + (four / 2 == kBack ? far : 0.0f);
    passed[j] += both + far;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float& here = s[j][kBack ? i : 3 - i];
      const float step = here;
      here = (kBack ? sum + step : sum) * scale[j];
      sum += step;
    }
    const int to = FourOf(2 * pair + j, four);
    room.s[to] = make_float4(s[j][0], s[j][1], s[j][2], s[j][3]);
    room.w[to] = make_uint2(Pair<Bf16>(w[j][0], w[j][1]), Pair<Bf16>(w[j][2], w[j][3]));
  }
}

// Of a warp's channels, in pairs, the sums over positions: states lane / 4 and lane / 4 + 8 of node 2 (lane % 2) and the next, then of these doubled. Lanes with
// lane % 4 < 2 have the first channel of a pair.
using NodeSums = float[kEndChannels / 2][2][4];

// Adds up a warp's way through its span, whose first tile is being loaded. kOwn: nodes are the channels' own rates, and nothing is doubled; else `node` is that
// of this lane's column.
template <bool kOwn, bool kBack>
__device__ inline void AddUp(EndTiles<kBack>& tiles, float node, const float (&scale)[2], EndRoom<kBack>& room, NodeSums& sums, float (&passed)[2]) {
  const int lane = threadIdx.x % kWarp, second = lane / 16, column = lane / 4 % 4;
  // Row lane % 8 of matrix lane / 8 of the left factor: positions 4 q and 4 q + 1, or the next two, for lane q multiplies all four.
  const int row = HalfRow(lane % 8 / 2 * 4 + lane / 16 * 2 + lane % 2, lane / 8 % 2);
  for (int i = 0; i < tiles.count; ++i) {
    tiles.Turn(i);
    const auto& tile = room.tile[i % 2];
    PutFactors<kBack>(tile, scale, passed, room);
    uint32_t f[4];
    LoadMatricesTransposed(f, &tile[0][row]);
    __syncwarp();
#pragma unroll
    for (int c = 0; c < kEndChannels / 2; ++c) {
      const int from = FourOf(2 * c + second, lane % 4);
      const float4 s = room.s[from];
      const uint2 w = room.w[from];
      const float rate = kOwn ? room.own[2 * c + second][column] : node;
      const uint32_t front = Pair<Bf16>(Exp2(rate * s.x), Exp2(rate * s.y)), back = Pair<Bf16>(Exp2(rate * s.z), Exp2(rate * s.w));
      const uint32_t of_front = Times(front, w.x), of_back = Times(back, w.y);
      Multiply<Bf16>(sums[c][0], f[0], f[1], f[2], f[3], of_front, of_back);
      if (!kOwn) Multiply<Bf16>(sums[c][1], f[0], f[1], f[2], f[3], Times(front, of_front), Times(back, of_back));
    }
  }
  __pipeline_wait_prior(0);
}

// The ends of gridDim.y spans of every sequence, the first of which is span `ahead`, of `IsUsual` sizes: ends [batch, cuts, 16, dim], and steps
// [batch, cuts, dim], the sum of a span's time steps, or -1 where a segment starts inside.
template <bool kBack>
__global__ void __launch_bounds__(kBlockWarps* kWarp, 3) Ends(SelectiveScanParams<Bf16> p, const Bf16* dy, int span, int shorter, int ahead, float* ends, float* steps) {
  __shared__ EndRoom<kBack> rooms[kBlockWarps];
  EndRoom<kBack>& room = rooms[threadIdx.x / kWarp];
  Place at = PlaceIn<true>(p, 0, span, blockIdx.y + ahead, shorter);
  at.columns.first = (blockIdx.x * kBlockWarps + threadIdx.x / kWarp) * kEndChannels;
  const int lane = at.lane, group = lane / 4, dim = int(p.dim), first = at.columns.first;
  const bool is_second = lane % 2;
  const int64_t cut = int64_t(at.b) * gridDim.y + blockIdx.y;
  const float* const a = p.a + int64_t(first) * kTileStates;
  EndTiles<kBack> tiles(p, dy, at, room);
  tiles.Begin();
  const Walks walks(a, lane, room.middle);
  __syncwarp();
  const float2 middle = reinterpret_cast<const float2*>(room.middle)[lane % 8];
  const float unit = walks.own ? kLog2E : -kLog2E, scale[2] = {middle.x * unit, middle.y * unit};
  const auto write = [&](int n, int channel, float h) { ends[(cut * kTileStates + n) * dim + first + channel] = h; };

  for (int walk = 0; walk < walks.count; ++walk) {
    NodeSums sums = {};
    float passed[2] = {};
    if (walk > 0) __syncwarp(), tiles.Begin();
    if (walks.own) {
      reinterpret_cast<float2*>(room.own)[lane] = reinterpret_cast<const float2*>(a)[lane / 2 * (kTileStates / 2) + walk * (kNodes / 2) + lane % 2];
      AddUp<true>(tiles, 0.0f, scale, room, sums, passed);
      const bool has = is_second == (group % kNodes) / 2;  // a state is the sum of the node that is its own
#pragma unroll
      for (int c = 0; c < kEndChannels / 2; ++c)
#pragma unroll
        for (int i = 0; i < 2; ++i)
          if (has && walks.Makes(walk, i * 8 + group, 0.0f)) write(i * 8 + group, 2 * c + lane % 4 / 2, group % 2 ? sums[c][0][2 * i + 1] : sums[c][0][2 * i]);
    } else {
      AddUp<false>(tiles, walks.Node(walk, group % kNodes), scale, room, sums, passed);
      const HalfOfNodes nodes(walks, walk, is_second);
#pragma unroll
      for (int c = 0; c < kEndChannels / 2; ++c)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int n = i * 8 + group, channel = 2 * c + lane % 4 / 2;
          const float rate = -a[channel * kTileStates + n] * Reciprocal(room.middle[channel]);
          const float h = nodes.Combine(rate, sums[c][0][2 * i], sums[c][0][2 * i + 1], sums[c][1][2 * i], sums[c][1][2 * i + 1]);
          if (!is_second && walks.Makes(walk, n, rate)) write(n, channel, h);
        }
    }
    if (walk == 0 && lane < 8)
      *reinterpret_cast<float2*>(steps + cut * dim + first + 2 * lane) = tiles.starts ? make_float2(-1.0f, -1.0f) : make_float2(passed[0], passed[1]);
  }
}

template <bool kBack, typename T>
void RunEnds(const SelectiveScanParams<T>& p, const T* dy, int span, int shorter, int ahead, int cuts, float* ends, float* steps, const Device& device) {
  if constexpr (std::is_same_v<T, Bf16>) {
    const dim3 grid(unsigned(p.dim) / (kBlockWarps * kEndChannels), cuts, unsigned(p.batch));
    Ends<kBack><<<grid, kBlockWarps * kWarp, 0, device.stream>>>(p, dy, span, shorter, ahead, ends, steps);
  }
}

}  // namespace zigma::cuda
