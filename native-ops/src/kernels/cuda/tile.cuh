// Rows of a warp's 32 neighboring channels in shared memory, as they lie in device memory: all lanes together move them, 16 bytes at a time and without
// registers between, where the rows' lengths allow it; else each lane its own channel. What a lane computes with it reads at its own column.
#pragma once

#include <cuda_pipeline_primitives.h>

#include "types.cuh"

namespace zigma::cuda {

// Which channels a warp works on: its first, how many the tensor has from there on (perhaps none), and whether rows are whole pieces of 16 bytes.
struct Columns {
  int first, there;
  bool whole;
};

template <typename T, int Rows>
struct Tile {
  static constexpr int kRows = Rows;
  static constexpr int kPieces = kWarp / kVector<T>;                      // of a row
  static constexpr int kEach = (Rows * kPieces + kWarp - 1) / kWarp;      // of a lane
  static constexpr int kSize = Rows * kWarp;                              // elements
  T* const at;

  // The row of a lane's piece `i`: a lane moves the same few rows of every tile, and so needs to know where only those lie.
  __device__ static int RowOf(int i) { return (i * kWarp + int(threadIdx.x) % kWarp) / kPieces; }

  // Offsets of the rows a lane moves: row -> elements from the first position.
  template <typename Where>
  __device__ static void Offsets(unsigned (&offsets)[kEach], const Where& where) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) offsets[i] = where(RowOf(i));
  }

  // Begins to load what lies at `from`, the sequence's first position. Channels that are not there become zero; those of other warps are not read, for they
  // may be written over.
  __device__ void Fetch(const T* from, const unsigned (&offsets)[kEach], const Columns& columns) const {
    const int lane = threadIdx.x % kWarp;
    if (columns.whole) {
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        const int piece = i * kWarp + lane, channel = piece % kPieces * kVector<T>;
        if (piece >= Rows * kPieces) break;
        const bool there = channel < columns.there;
        __pipeline_memcpy_async(at + piece * kVector<T>, from + (there ? offsets[i] + columns.first + channel : 0), 16, there ? 0 : 16);
      }
    } else {
#pragma unroll
      for (int row = 0; row < Rows; ++row) {
        const unsigned offset = OffsetOf(offsets, row);
        at[row * kWarp + lane] = lane < columns.there ? from[offset + columns.first + lane] : FromFloat<T>(0.0f);
      }
    }
  }

  // Writes the rows that `writes` says yes to.
  template <typename Writes>
  __device__ void Store(T* to, const unsigned (&offsets)[kEach], const Columns& columns, const Writes& writes) const {
    const int lane = threadIdx.x % kWarp;
    if (columns.whole) {
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        const int piece = i * kWarp + lane, channel = piece % kPieces * kVector<T>;
        if (piece < Rows * kPieces && channel < columns.there && writes(piece / kPieces))
          *reinterpret_cast<uint4*>(to + offsets[i] + columns.first + channel) = *reinterpret_cast<const uint4*>(at + piece * kVector<T>);
      }
    } else {
#pragma unroll
      for (int row = 0; row < Rows; ++row) {
        const unsigned offset = OffsetOf(offsets, row);
        if (lane < columns.there && writes(row)) to[offset + columns.first + lane] = at[row * kWarp + lane];
      }
    }
  }

  __device__ float operator()(int row) const { return ToFloat(at[row * kWarp + threadIdx.x % kWarp]); }
  __device__ void Put(int row, float number) const { at[row * kWarp + threadIdx.x % kWarp] = FromFloat<T>(number); }

 private:
  __device__ static unsigned OffsetOf(const unsigned (&offsets)[kEach], int row) {
    return __shfl_sync(kAllLanes, offsets[row * kPieces / kWarp], row * kPieces % kWarp);
  }
};

}  // namespace zigma::cuda
