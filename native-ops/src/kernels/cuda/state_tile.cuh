// States of 16 channels, 16 each, as the tensor cores lay factors and sums of products over the lanes of a warp, in bfloat16 and TF32.
#pragma once

#include "device.h"
#include "tensor_cores.cuh"

namespace zigma::cuda {

using Bf16 = __nv_bfloat16;

constexpr int kTileStates = 16;

// Whether scans of such tokens and so many states go by what is made for these, where their sizes are usual.
template <typename T, int N>
bool HasTiles(const Device& device) {
  return std::is_same_v<T, Bf16> && N == kTileStates && device.capability >= kTensorCapability;
}

// Of a tile a lane has rows (channels) lane / 4 and lane / 4 + 8, and of each half of the columns (states) numbers 2 (lane % 4) and the next, as the sum of a
// product ("Matrix fragments for mma.m16n8k16"): [half of the columns][row, column]. Row lane / 4 + 8 `r` of tile `j` is channel 4 (lane / 4) + 2 `j` + `r` of the warp.
using StateTile = float[2][4];
using StateWords = uint32_t[4];  // the same in bfloat16, as left factor

template <typename F>
__device__ inline void ForEach(const F& f) {
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int k = 0; k < 4; ++k) f(half, k);
}

__device__ inline void Round(const StateTile& v, StateWords& w) {
#pragma unroll
  for (int i = 0; i < 4; ++i) w[i] = Pair<Bf16>(v[i / 2][i % 2 * 2], v[i / 2][i % 2 * 2 + 1]);
}

__device__ inline void Widen(const uint4& words, StateTile& v) {
  const uint32_t w[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) Unpack<Bf16>(w[i], v[i / 2][i % 2 * 2], v[i / 2][i % 2 * 2 + 1]);
}

__device__ inline void UnpackFour(const uint2& words, float (&x)[4]) {
  Unpack<Bf16>(words.x, x[0], x[1]), Unpack<Bf16>(words.y, x[2], x[3]);
}

// v += channels' numbers times states' numbers. `first`, `second`: of a lane's rows; `of_states`: of states lane / 4 and lane / 4 + 8, zeros where lane % 4 is not 0.
__device__ inline void AddOuter(float first, float second, const float2& of_states, StateTile& v) {
  MultiplyTf32(v[0], first, second, of_states.x), MultiplyTf32(v[1], first, second, of_states.y);
}

// out += the tile times a right factor [state, 8] of which a lane has states 2 (lane % 4) and the next of column lane / 4, of both halves.
__device__ inline void AddDots(const StateWords& w, const uint2& factor, float (&out)[4]) {
  Multiply<Bf16>(out, w[0], w[1], w[2], w[3], factor.x, factor.y);
}

// out += the tile transposed times a right factor [channel, 8].
__device__ inline void AddOverChannels(const StateWords& w, const uint32_t (&factor)[2], float (&out)[4]) {
  Multiply<Bf16>(out, Transpose(w[0]), Transpose(w[2]), Transpose(w[1]), Transpose(w[3]), factor[0], factor[1]);
}

// By so much a number is larger, on the average, than what is left of it as a factor in TF32 that was not rounded.
constexpr float kCut = 1.00035f;

// To the nearest number of TF32.
__device__ inline float RoundToTf32(float x) { return __uint_as_float((__float_as_uint(x) + 0x1000u) & 0xffffe000u); }

// Of a warp's two tiles state 8 `half` + 2 (lane % 4) + `c` of the lane's four channels.
__device__ inline float4 ChannelsOf(const StateTile (&v)[2], int half, int c) { return make_float4(v[0][half][c], v[0][half][2 + c], v[1][half][c], v[1][half][2 + c]); }
__device__ inline void SetChannels(StateTile (&v)[2], int half, int c, const float4& four) {
  v[0][half][c] = four.x, v[0][half][2 + c] = four.y, v[1][half][c] = four.z, v[1][half][2 + c] = four.w;
}

}  // namespace zigma::cuda
