// States that the scan's way back keeps in shared memory, and sums over the channels, which lie in the lanes.
#pragma once

#include "selective_scan.cuh"

namespace zigma::cuda {

// States of 32 channels, N each, in shared memory: of a thread's own channel, 16-bit elements in pairs.
template <typename T, int N>
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
        Unpack<T>(word, h[2 * i], h[2 * i + 1]);
      } else {
        h[i] = __uint_as_float(word);
      }
    }
  }
};

// Adds each of M values over the 32 lanes by halves: at every step a lane gives away one half of its values and takes the other's share of the
// half it keeps. Lane i ends with the sum of value i * M / 32; there are 32 values at most. Last: of lanes that differ by less it does not add; then lane i ends with
// the sums of values from i / Last * M * Last / 32 on.
template <int M, int Last = 1>
__device__ inline void SumOverLanes(int lane, float (&v)[M]) {
  int many = M;
#pragma unroll
  for (int bit = kWarp / 2; bit >= Last; bit /= 2) {
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

}  // namespace zigma::cuda
