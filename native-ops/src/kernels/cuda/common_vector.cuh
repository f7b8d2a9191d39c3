// A vector that all lanes of a warp have in common, times numbers of each lane's own: the scans multiply a position's B and C, which are the same for all
// channels, by what every channel has for itself.
//
// From compute capability 8.0 on that is work for the tensor cores, though each product of theirs is of one matrix for the whole warp. Of the left factor and
// of the sum of mma.m16n8k8 (PTX ISA, "Matrix fragments for mma.m16n8k8 with .tf32") lane 4 g + q holds rows g and g + 8: of the left factor columns q and q + 4,
// of the sum columns 2 q and 2 q + 1. Where the right factor's rows q and q + 4 are zero but in those two columns, what reaches a lane's sums comes from
// its own elements alone. Seven of eight multiplications are by zero; the tensor cores have nothing else to do.
//
// Factors are rounded to TF32, 11 bits: elements of 16 bits in common keep all of theirs.
#pragma once

#include "types.cuh"

namespace zigma::cuda {

// N numbers of shared memory, 16 bytes at a time.
template <int N>
__device__ inline void LoadShared(const float* from, float (&to)[N]) {
#pragma unroll
  for (int i = 0; i < N / 4; ++i) {
    const float4 four = reinterpret_cast<const float4*>(from)[i];
    to[4 * i] = four.x, to[4 * i + 1] = four.y, to[4 * i + 2] = four.z, to[4 * i + 3] = four.w;
  }
}

template <typename T, int N>
constexpr bool kOnTensorCores = kHasTensorCores && sizeof(T) == 2 && N == 16;

template <int N, bool kTensorCores>
struct CommonVector {
  float v[N];

  __device__ explicit CommonVector(const float* at) { LoadShared(at, v); }
  // Writes numbers `first` to `first + Count - 1` to shared memory, where a vector begins at `vector`.
  template <int Count>
  __device__ static void Put(float* vector, int first, const float (&numbers)[Count]) { Store<Count>(vector + first, numbers); }

  // h += v x
  __device__ void AddTimes(float x, float (&h)[N]) const {
#pragma unroll
    for (int n = 0; n < N; ++n) h[n] += v[n] * x;
  }
  __device__ static void AddEach(const float* vector, float x, float (&h)[N]) { CommonVector(vector).AddTimes(x, h); }
  // dot(v, h)
  __device__ float Dot(const float (&h)[N]) const {
    float sums[4] = {};
#pragma unroll
    for (int n = 0; n < N; ++n) sums[n % 4] += v[n] * h[n];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
};

// A lane has the numbers of its column of the right factors: the even ones for column 2 q, the odd ones for column 2 q + 1, or zeros.
template <>
struct CommonVector<16, true> {
  float v[8];

  __device__ explicit CommonVector(const float* at) { LoadShared(at, v); }
  // In shared memory lie the even numbers, then the odd ones.
  template <int Count>
  __device__ static void Put(float* vector, int first, const float (&numbers)[Count]) {
    static_assert(Count % 2 == 0);
#pragma unroll
    for (int odd = 0; odd < 2; ++odd) {
      float half[Count / 2];
#pragma unroll
      for (int i = 0; i < Count / 2; ++i) half[i] = numbers[2 * i + odd];
      Store<Count / 2>(vector + odd * 8 + first / 2, half);
    }
  }

  __device__ void AddTimes(float x, float (&h)[16]) const {
    const float rounded = __uint_as_float(__float_as_uint(x) + 0x1000u);  // half of what is cut off; an infinity becomes a NaN
#pragma unroll
    for (int i = 0; i < 4; ++i) MultiplyTf32(h + 4 * i, rounded, 0.0f, 0.0f, rounded, v[2 * i], v[2 * i + 1]);
  }
  // The same without the tensor cores, from where the vector begins: 16 operations instead of 4, but nothing waits for their way through the warp.
  __device__ static void AddEach(const float* vector, float x, float (&h)[16]) {
    float all[16];
    LoadShared(vector, all);
#pragma unroll
    for (int n = 0; n < 16; ++n) h[n] += all[n % 2 * 8 + n / 2] * x;
  }
  __device__ float Dot(const float (&h)[16]) const {
    float sums[2][4] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) MultiplyTf32(sums[i % 2], h[4 * i], h[4 * i + 1], h[4 * i + 2], h[4 * i + 3], v[2 * i], v[2 * i + 1]);
    return (sums[0][0] + sums[1][0]) + (sums[0][3] + sums[1][3]);
  }
};

// Rows of common vectors, two together, as a lane reads them: B of the first row begins at `at`, C N numbers behind, the next row is `row` farther. A lane
// without a column reads zeros over and over.
template <int N, bool kTensorCores>
struct CommonRows {
  const float* at;
  int row;

  // Numbers of zeros that are needed where `Rows` rows are read without moving `at`. They begin half a row away from the banks of the others.
  template <int Rows>
  static constexpr int kZeros = kTensorCores ? Rows * 2 * N + N : 4;

  // `before`: how many of those rows lie before `at`.
  __device__ CommonRows(const float* rows, const float* zeros, int before = 0) {
    const int lane = threadIdx.x % kWarp;
    const bool has = !kTensorCores || lane / 8 == lane % 4;
    at = has ? rows + (kTensorCores ? lane / 4 % 2 * 8 : 0) : zeros + before * 2 * N + N;
    row = has ? 2 * N : 0;
  }
};

}  // namespace zigma::cuda
