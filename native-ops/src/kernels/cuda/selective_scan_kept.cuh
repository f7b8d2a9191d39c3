// States that the scan's way back keeps in shared memory, and what multiplies them there: sums over the channels, which lie in the lanes.
#pragma once

#include "selective_scan.cuh"
#include "tensor_cores.cuh"

namespace zigma::cuda {

constexpr int kPair = 2;  // positions that are walked back over together

// States of 32 channels, N each, in shared memory: of a thread's own channel, 16-bit elements in pairs.
template <typename T, int N, bool kTensorCores>
struct States {
  static constexpr int kWords = sizeof(T) == 2 ? N / 2 : N;
  static constexpr int kSize = kWords * kWarp;  // words
  uint32_t* const words;                        // [kWords, 32]

  __device__ void Put(int lane, const float (&h)[N]) const {
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      if constexpr (sizeof(T) == 2) {
        uint32_t pair;
        T* parts = reinterpret_cast<T*>(&pair);
        parts[0] = FromFloat<T>(h[2 * i]), parts[1] = FromFloat<T>(h[2 * i + 1]);
        words[i * kWarp + lane] = pair;
      } else {
        words[i * kWarp + lane] = __float_as_uint(h[i]);
      }
    }
  }

  __device__ void Get(int lane, float (&h)[N]) const {
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      const uint32_t word = words[i * kWarp + lane];
      if constexpr (sizeof(T) == 2) {
        const T* parts = reinterpret_cast<const T*>(&word);
        h[2 * i] = ToFloat(parts[0]), h[2 * i + 1] = ToFloat(parts[1]);
      } else {
        h[i] = __uint_as_float(word);
      }
    }
  }
};

// 16 states of 16 bits as the tensor cores take them: a channel's 32 bytes together, its two halves changing places every four channels, so that
// neither threads nor matrices meet in a bank.
template <typename T>
struct States<T, 16, true> {
  static constexpr int kSize = 8 * kWarp;
  uint32_t* const words;

  __device__ uint4* Half(int channel, int half) const { return reinterpret_cast<uint4*>(words) + channel * 2 + (half ^ (channel >> 2 & 1)); }

  template <typename As = T>
  __device__ void Put(int lane, const float (&h)[16]) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float* const x = h + 8 * half;
      *Half(lane, half) = make_uint4(Pair<As>(x[0], x[1]), Pair<As>(x[2], x[3]), Pair<As>(x[4], x[5]), Pair<As>(x[6], x[7]));
    }
  }

  __device__ void Get(int lane, float (&h)[16]) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint4 raw = *Half(lane, half);
      Unpack<T>(raw.x, h[8 * half], h[8 * half + 1]), Unpack<T>(raw.y, h[8 * half + 2], h[8 * half + 3]);
      Unpack<T>(raw.z, h[8 * half + 4], h[8 * half + 5]), Unpack<T>(raw.w, h[8 * half + 6], h[8 * half + 7]);
    }
  }

  // The states of channels 16 `part` to 16 `part` + 15 as left factor [state, channel].
  __device__ void Load(int lane, int part, uint32_t (&f)[4]) const {
    LoadMatricesTransposed(f, Half(part * 16 + lane / 16 * 8 + lane % 8, lane / 8 % 2));
  }
};

// Adds each of M values over the 32 lanes by halves: at every step a lane gives away one half of its values and takes the other's share of the
// half it keeps. Lane i ends with the sum of value i * M / 32; there are 32 values at most.
template <int M>
__device__ inline void SumOverLanes(int lane, float (&v)[M]) {
  int many = M;
#pragma unroll
  for (int bit = kWarp / 2; bit > 0; bit /= 2) {
    const bool upper = lane & bit;
    if (many > 1) {
      many /= 2;
#pragma unroll
      for (int i = 0; i < M / 2; ++i) {
        if (i >= many) break;
        const float give = upper ? v[i] : v[i + many], keep = upper ? v[i + many] : v[i];
        v[i] = keep + __shfl_xor_sync(kAllLanes, give, bit);
      }
    } else {
      v[0] += __shfl_xor_sync(kAllLanes, v[0], bit);
    }
  }
}

// By what a pair of positions multiplies the states of 32 channels, to be summed over these on the tensor cores: column 2 `position` of the right factor
// [channel, 8] are the channels' steps, for dh, and column 2 `position` + 1 their gradients, for h: sums of either are dB and dC of that position.
struct Factors {
  uint4 columns[2 * kPair][4];  // what lanes 4 column to 4 column + 3 take: of either 16 channels two registers

  // Where a lane puts its channel's numbers of the first position.
  __device__ uint16_t* Mine(int lane) {
    const int part = lane / 16, upper = lane / 8 % 2, quarter = lane % 8 / 2, second = lane % 2;
    return reinterpret_cast<uint16_t*>(&columns[0][quarter]) + (part * 2 + upper) * 2 + second;
  }
  template <typename T>
  __device__ static void Put(uint16_t* mine, int position, float step, float grad) {
    constexpr int kColumn = sizeof(columns[0]) / 2;
    reinterpret_cast<__nv_bfloat16&>(mine[2 * position * kColumn]) = __float2bfloat16_rn(step);
    reinterpret_cast<T&>(mine[(2 * position + 1) * kColumn]) = FromFloat<T>(grad);
  }
  // What a lane takes to multiply with; columns behind the last one are the first ones again.
  __device__ uint4 Take(int lane) const { return columns[lane / 4 % (2 * kPair)][lane % 4]; }
};

// The states of 32 channels, whose elements are As, on their way to the tensor cores: what is taken from shared memory early is multiplied later, when it has
// arrived. They are multiplied by all factors, though one column alone is theirs: zeros in the place of the others would have
// to be loaded for every product.
template <typename As>
struct Product {
  uint32_t f[2][4];

  template <typename Kept>
  __device__ void Take(int lane, const Kept& states) {
#pragma unroll
    for (int part = 0; part < 2; ++part) states.Load(lane, part, f[part]);
  }
  // A lane with columns 2 q and 2 q + 1 of the factors gets of each their sums for state lane / 4, then those for state lane / 4 + 8.
  __device__ void Times(const uint4& factors, float (&sums)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] = 0;
    Multiply<As>(sums, f[0][0], f[0][1], f[0][2], f[0][3], factors.x, factors.y);
    Multiply<As>(sums, f[1][0], f[1][1], f[1][2], f[1][3], factors.z, factors.w);
  }
};

}  // namespace zigma::cuda
