// What `BackInTiles` (selective_scan_back.cuh) has in shared memory, and what a warp does there before and behind its walk: all that belongs to channels alone.
#pragma once

#include "selective_scan.cuh"
#include "selective_scan_kept.cuh"
#include "state_tile.cuh"

namespace zigma::cuda {

constexpr int kPair = 2;  // positions that are walked back over together
constexpr int kPairs = kChunk / kPair;

// What B and C of a chunk are as factors, a row for each position: of `AddOuter` B and C [8, 2], then of `AddDots` B and C [4, 2]. Lanes without a column read
// rows of zeros before them, where they stay: a pair of positions, and the one before it.
struct CommonFactors {
  static constexpr int kRow = 48, kZeroRows = kPair + 1, kOuter = 0, kDots = 32;
  uint32_t words[(kZeroRows + kChunk) * kRow];

  __device__ const uint32_t* Zeros() const { return words + kRow; }
  __device__ const uint32_t* Row(int position) const { return words + (kZeroRows + position) * kRow; }
  __device__ void Clear() {
    for (int i = threadIdx.x; i < kZeroRows * kRow; i += blockDim.x) words[i] = 0;
  }
  // Puts states 4 `four` to 4 `four` + 3 of B (`which` = 0) or C (1).
  __device__ void Put(int position, int which, int four, const uint2& states) {
    uint32_t* const row = words + (kZeroRows + position) * kRow;
    uint32_t* const outer = row + kOuter + which * 16 + four % 2 * 8 + four / 2;
    outer[0] = states.x << 16, outer[2] = states.x & 0xffff0000u, outer[4] = states.y << 16, outer[6] = states.y & 0xffff0000u;
    uint32_t* const dots = row + kDots + which * 8 + four % 2 * 4 + four / 2;
    dots[0] = states.x, dots[2] = states.y;
  }
};

// What a warp has in shared memory.
struct alignas(16) BackRoom {
  // The states before every other position, a lane's words of either tile together; then what a pair of positions gives, see `Results`.
  uint4 kept[kPairs][2][kWarp];
  // Channels' steps delta u, as TF32; then the warp's shares of dB and dC of a pair of positions i and i + 1 take their place, [2][16 states][2]: of
  // dB[i] and dC[i], then of dB[i + 1] and dC[i - 1]. One pair more is for dC of the last position.
  float step[kChunk + kPair][kWarp];
  uint4 apart;                          // step and grad are read together, from different banks
  float grad[kChunk][kWarp];            // dy before; then g = dy silu(z), as TF32
  Bf16 z[kChunk * kWarp];      // then the slope of the gate, then dz
  Bf16 u[2][kChunk * kWarp], delta[2][kChunk * kWarp];  // of this chunk and of the next; then du and ddelta
  float2 sums[2][2][8];                 // over the positions, [of dD or of the steps' bias][channels 0 and 1 of four, or 2 and 3][four]
  float last_y[kWarp];                  // dot(C, h) of the last position

  // What a pair gives, [2 positions][2][tile][four]: of channels 4 `four` + 2 `tile` and the next dot(B, dh) and dot(C, h) each, then dot(A, dh decay h) and what means
  // nothing. dot(C, h) is that of the position itself, but with the second position that of the one before the pair.
  static constexpr int kOfTile = 8, kOfA = 2 * kOfTile, kOfSecond = 2 * kOfA, kOfPair = 2 * kOfSecond;
  __device__ float4* Results() { return reinterpret_cast<float4*>(kept); }

  __device__ Bf16* Dy() { return reinterpret_cast<Bf16*>(grad); }

  __device__ float2& SumOf(unsigned lane) { return (&sums[0][0][0])[lane]; }

  // Adds to `sums` what a lane has for dD and the steps' bias of four channels: four lanes have the same ones, and each keeps a quarter.
  __device__ void AddUp(float (&mine)[8], unsigned lane) {
    SumOverLanes<8, 8>(int(lane), mine);
    float2& to = SumOf(lane);
    to.x += mine[0], to.y += mine[1];
  }
};
static_assert(sizeof(BackRoom::kept[0]) == BackRoom::kOfPair * sizeof(float4));

// What channels have for themselves a warp computes before and behind its walk: a lane has four of every fourth position, from lane / 8 on, which is piece `lane` of
// each four rows.
__device__ inline uint2& PieceOf(Bf16* rows, int m, unsigned lane) { return reinterpret_cast<uint2*>(rows)[m * kWarp + lane]; }
__device__ inline float4& PieceOf(float (*rows)[kWarp], int m, unsigned lane) { return reinterpret_cast<float4*>(rows)[m * kWarp + lane]; }
__device__ inline void GetFour(Bf16* rows, int m, unsigned lane, float (&x)[4]) { UnpackFour(PieceOf(rows, m, lane), x); }
__device__ inline void PutFour(Bf16* rows, int m, unsigned lane, const float (&x)[4]) {
  PieceOf(rows, m, lane) = make_uint2(Pair<Bf16>(x[0], x[1]), Pair<Bf16>(x[2], x[3]));
}
constexpr int kFours = kChunk / 4;

__device__ inline void PutSteps(BackRoom& room, int turn, unsigned lane) {
#pragma unroll
  for (int m = 0; m < kFours; ++m) {
    float u[4], delta[4];
    GetFour(room.u[turn], m, lane, u), GetFour(room.delta[turn], m, lane, delta);
#pragma unroll
    for (int c = 0; c < 4; ++c) u[c] = RoundToTf32(u[c] * delta[c]);
    PieceOf(room.step, m, lane) = make_float4(u[0], u[1], u[2], u[3]);
  }
}

// The gradients that reach the states in the place of dy, which all lanes have read before, and the slopes of the gates in that of z.
__device__ inline void PutGradients(BackRoom& room, unsigned lane) {
  float dy[kFours][4];
#pragma unroll
  for (int m = 0; m < kFours; ++m) GetFour(room.Dy(), m, lane, dy[m]);
  __syncwarp();
#pragma unroll
  for (int m = 0; m < kFours; ++m) {
    float z[4], slope[4], grad[4];
    GetFour(room.z, m, lane, z);
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const float s = Sigmoid(z[c]), gated = dy[m][c] * s;
      grad[c] = gated * z[c];
      slope[c] = grad[c] * (1.0f - s) + gated;
      grad[c] = RoundToTf32(grad[c]);
    }
    PieceOf(room.grad, m, lane) = make_float4(grad[0], grad[1], grad[2], grad[3]);
    PutFour(room.z, m, lane, slope);
  }
}

// du, ddelta and dz. `skip`: D of the warp's channels; `sums`: what the lane has for dD of four channels, then for the gradient of the steps' bias.
__device__ inline void PutResults(BackRoom& room, const float (&skip)[kWarp], int turn, unsigned lane, float (&sums)[8]) {
  const int four = int(lane % 8);
  float d[4];
  LoadShared(skip + 4 * four, d);
#pragma unroll
  for (int m = 0; m < kFours; ++m) {
    const bool is_second = lane / 8 % 2, is_last = m == kFours - 1 && lane / 8 == 3;
    const float4* const results = room.Results() + 2 * m * BackRoom::kOfPair + (lane / 16 * BackRoom::kOfPair + lane / 8 % 2 * BackRoom::kOfSecond + lane % 8);
    const float4 first = results[0], other = results[BackRoom::kOfTile], first_a = results[BackRoom::kOfA], other_a = results[BackRoom::kOfA + BackRoom::kOfTile];
    const float sum_b[4] = {first.x, first.z, other.x, other.z}, along[4] = {first_a.x, first_a.z, other_a.x, other_a.z};
    float y[4] = {first.y, first.w, other.y, other.w};
    if (is_second) {
      if (is_last) {
        LoadShared(room.last_y + 4 * four, y);
      } else {
        const float4 next = results[BackRoom::kOfPair], other_next = results[BackRoom::kOfPair + BackRoom::kOfTile];
        y[0] = next.y, y[1] = next.w, y[2] = other_next.y, y[3] = other_next.w;
      }
    }
    float u[4], delta[4], slope[4], du[4], d_delta[4], dz[4];
    const float4 wide = PieceOf(room.grad, m, lane);
    const float grad[4] = {wide.x, wide.y, wide.z, wide.w};
    GetFour(room.u[turn], m, lane, u), GetFour(room.delta[turn], m, lane, delta), GetFour(room.z, m, lane, slope);
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const float rise = 1.0f - Exp2(-kLog2E * delta[c]);  // the slope of softplus, seen from its result
      d_delta[c] = (u[c] * sum_b[c] + kLn2 * kCut * along[c]) * rise;
      du[c] = d[c] * grad[c] + delta[c] * sum_b[c];
      dz[c] = (y[c] + d[c] * u[c]) * slope[c];
      sums[c] += grad[c] * u[c], sums[4 + c] += d_delta[c];
    }
    PutFour(room.u[turn], m, lane, du), PutFour(room.delta[turn], m, lane, d_delta), PutFour(room.z, m, lane, dz);
  }
}

// The shares of dB and dC of a block's warps in a chunk, [16 positions, 16 states, 2]: each warp adds up every fourth position. dC of a pair's second one lies with the
// next pair.
__device__ inline void AddShares(BackRoom* rooms, unsigned warp, unsigned lane, float* shares) {
  constexpr int kRow = 2 * kTileStates;
  const unsigned next = warp % 2 && lane % 2 ? kPair : 0;
  const float* const from = rooms[0].step[warp + next] + lane;
  float* const to = shares + warp * kRow + lane;
#pragma unroll
  for (int l = 0; l < kChunk; l += kBlockWarps) {
    float total = 0;
#pragma unroll
    for (int w = 0; w < kBlockWarps; ++w) total += from[w * int(sizeof(BackRoom) / sizeof(float)) + l * kWarp];
    to[l * kRow] = total;
  }
}

}  // namespace zigma::cuda
