// Attention on the tensor cores (Dao, "FlashAttention-2", 2023): a warp has 16 queries and meets the keys a tile at a time; scores and weights stay in
// its registers. Backward makes the weights again from the kept logarithm of the sum, once by queries, for dq, and once by keys, for dk and dv:
// seven products instead of five, and no sum in an order left to chance. Weights and their gradients are rounded to T before they are multiplied.
#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "attention.cuh"
#include "kernels.h"
#include "tensor_cores.cuh"

namespace zigma::cuda {
namespace {

constexpr int kMostWarps = 8;  // of a block
constexpr int kOwn = 16;      // rows of a warp
constexpr int kPad = 8;       // elements after each row of shared memory: eight rows lie in different banks
template <int D> constexpr int kTile = D <= 64 ? 32 : 16;  // rows that a block reads at a time

template <typename T, int Rows, int D>
struct Tile {
  static constexpr int kStride = D + kPad;
  __align__(16) T rows[Rows][kStride];

  // Begins to fetch rows first.. of a head, by `threads` threads of which this is `thread`; zeros beyond `count` rows and the head's own channels.
  __device__ void Fetch(const T* from, int64_t width, int first, int count, int head_dim, int thread, int threads) {
    constexpr int vectors = D / kVector<T>;
    for (int i = thread; i < Rows * vectors; i += threads) {
      const int row = i / vectors, c = i % vectors * kVector<T>;
      const bool there = first + row < count && c < head_dim;
      __pipeline_memcpy_async(&rows[row][c], there ? from + int64_t(first + row) * width + c : from, 16, there ? 0 : 16);
    }
  }
};

using Own = float[4];  // of a lane: rows lane / 4 (two columns) and lane / 4 + 8 (two columns) of a tile of 16 x 8

// The rows of one warp, on their way to its registers and from them to memory.
template <typename T, int D>
struct OwnRows {
  Tile<T, kOwn, D> tile;

  __device__ void Fetch(const T* from, int64_t width, int first, int count, int head_dim) {
    tile.Fetch(from, width, first, count, head_dim, threadIdx.x % kWarp, kWarp);
  }

  __device__ void Load(const T* from, int64_t width, int first, int count, int head_dim) {
    __syncwarp();
    Fetch(from, width, first, count, head_dim);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncwarp();
  }

  __device__ void Fragments(uint32_t (&f)[D / 16][4]) const {
#pragma unroll
    for (int k = 0; k < D / 16; ++k) LoadFragment(f[k], &tile.rows[0][16 * k], tile.kStride);
  }

  __device__ void Store(T* to, int64_t width, int first, int count, int head_dim, const Own (&values)[D / 8], float factor0, float factor8) {
    const int lane = threadIdx.x % kWarp, row = lane / 4, column = lane % 4 * 2;
    __syncwarp();
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      *reinterpret_cast<uint32_t*>(&tile.rows[row][8 * n + column]) = Pair<T>(values[n][0] * factor0, values[n][1] * factor0);
      *reinterpret_cast<uint32_t*>(&tile.rows[row + 8][8 * n + column]) = Pair<T>(values[n][2] * factor8, values[n][3] * factor8);
    }
    __syncwarp();
    constexpr int vectors = D / kVector<T>;
    for (int i = lane; i < kOwn * vectors; i += kWarp) {
      const int r = i / vectors, c = i % vectors * kVector<T>;
      if (first + r < count && c < head_dim)
        *reinterpret_cast<uint4*>(to + int64_t(first + r) * width + c) = *reinterpret_cast<const uint4*>(&tile.rows[r][c]);
    }
  }
};

// s [16, R] = own rows times the tile's rows: sums over channels.
template <typename T, int R, int D>
__device__ void Scores(Own (&s)[R / 8], const uint32_t (&own)[D / 16][4], const Tile<T, R, D>& tile) {
#pragma unroll
  for (int n = 0; n < R / 8; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) s[n][i] = 0;
#pragma unroll
  for (int n = 0; n < R / 16; ++n) {
#pragma unroll
    for (int k = 0; k < D / 16; ++k) {
      uint32_t f[4];
      LoadFragment(f, &tile.rows[16 * n][16 * k], tile.kStride);
      const auto& a = own[k];
      Multiply<T>(s[2 * n], a[0], a[1], a[2], a[3], f[0], f[2]);
      Multiply<T>(s[2 * n + 1], a[0], a[1], a[2], a[3], f[1], f[3]);
    }
  }
}

// sum [16, D] += weights [16, R] times the tile's rows.
template <typename T, int R, int D>
__device__ void AddWeighted(Own (&sum)[D / 8], const Own (&weights)[R / 8], const Tile<T, R, D>& tile) {
#pragma unroll
  for (int k = 0; k < R / 16; ++k) {
    const Own &left = weights[2 * k], &right = weights[2 * k + 1];
    const uint32_t a0 = Pair<T>(left[0], left[1]), a1 = Pair<T>(left[2], left[3]), a2 = Pair<T>(right[0], right[1]), a3 = Pair<T>(right[2], right[3]);
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      uint32_t f[4];
      LoadTransposed(f, &tile.rows[16 * k][16 * n], tile.kStride);
      Multiply<T>(sum[2 * n], a0, a1, a2, a3, f[0], f[1]);
      Multiply<T>(sum[2 * n + 1], a0, a1, a2, a3, f[2], f[3]);
    }
  }
}

// What a block has in shared memory: two pairs of tiles, one read while the next is fetched, and each warp's own rows.
template <typename T, int D>
struct Room {
  struct Pair {
    Tile<T, kTile<D>, D> first, second;
  };
  Pair pairs[2];
  OwnRows<T, D> owns[1];  // as many as there are warps, and where keys own as many again

  static size_t Bytes(int owns) { return sizeof(Room) + (owns - 1) * sizeof(OwnRows<T, D>); }
};

// Meets the rows of two tensors a tile at a time: `fetch(pair, first)` begins to read, `meet(pair, first)` computes.
template <typename T, int D, typename FetchTiles, typename Meet>
__device__ inline void ForEachTile(Room<T, D>& room, int count, const FetchTiles& fetch, const Meet& meet) {
  fetch(room.pairs[0], 0);
  __pipeline_commit();
  for (int first = 0, turn = 0; first < count; first += kTile<D>, turn ^= 1) {
    __pipeline_wait_prior(0);
    __syncthreads();
    if (first + kTile<D> < count) fetch(room.pairs[turn ^ 1], first + kTile<D>), __pipeline_commit();
    meet(room.pairs[turn], first);
  }
}

extern __shared__ __align__(16) char attention_room[];

// Over the four lanes that hold a row.
__device__ inline float RowSum(float x) {
  x += __shfl_xor_sync(kAllLanes, x, 1);
  return x + __shfl_xor_sync(kAllLanes, x, 2);
}
__device__ inline float RowMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, 1));
  return fmaxf(x, __shfl_xor_sync(kAllLanes, x, 2));
}

template <typename T, int D>
__global__ void __launch_bounds__(kMostWarps* kWarp) Forward(AttentionParams<T> p) {
  constexpr int R = kTile<D>;
  Room<T, D>& room = *reinterpret_cast<Room<T, D>*>(attention_room);
  const Head head(p);
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, own = (blockIdx.x * (blockDim.x / kWarp) + warp) * kOwn;
  OwnRows<T, D>* const owns = room.owns;
  const int queries = int(p.queries), key_count = int(p.keys), head_dim = int(p.head_dim);
  const float scale = float(p.scale) * kLog2E;
  uint32_t q[D / 16][4];
  owns[warp].Load(p.q + head.queries, head.width, own, queries, head_dim);
  owns[warp].Fragments(q);
  Own o[D / 8] = {};
  float largest[2] = {-INFINITY, -INFINITY}, total[2] = {};
  const auto fetch = [&](auto& pair, int first) {
    pair.first.Fetch(p.k + head.keys, head.width, first, key_count, head_dim, threadIdx.x, blockDim.x);
    pair.second.Fetch(p.v + head.keys, head.width, first, key_count, head_dim, threadIdx.x, blockDim.x);
  };
  ForEachTile(room, key_count, fetch, [&](const auto& pair, int first) {
    Own s[R / 8];
    Scores<T, R, D>(s, q, pair.first);
    float top[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int n = 0; n < R / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        s[n][i] = first + 8 * n + lane % 4 * 2 + i % 2 < key_count ? s[n][i] * scale : -INFINITY;
        top[i / 2] = fmaxf(top[i / 2], s[n][i]);
      }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float now = fmaxf(largest[r], RowMax(top[r])), shrink = Exp2(largest[r] - now);
      largest[r] = now, total[r] *= shrink;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) o[n][2 * r] *= shrink, o[n][2 * r + 1] *= shrink;
    }
#pragma unroll
    for (int n = 0; n < R / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) s[n][i] = Exp2(s[n][i] - largest[i / 2]), total[i / 2] += s[n][i];
    AddWeighted<T, R, D>(o, s, pair.second);
  });
  total[0] = RowSum(total[0]), total[1] = RowSum(total[1]);
  owns[warp].Store(p.o + head.queries, head.width, own, queries, head_dim, o, 1.0f / total[0], 1.0f / total[1]);
  if (p.log_sum_exp && lane % 4 == 0) {
    const int64_t row = (int64_t(blockIdx.z) * p.heads + blockIdx.y) * p.queries + own + lane / 4;
#pragma unroll
    for (int r = 0; r < 2; ++r)
      if (own + lane / 4 + 8 * r < queries) p.log_sum_exp[row + 8 * r] = (largest[r] + log2f(total[r])) * kLn2;
  }
}

// along [batch, heads, queries] = dot(dO, o)
template <typename T, int D>
__global__ void __launch_bounds__(kMostWarps* kWarp) QueryGrad(AttentionGradParams<T> p, float* along) {
  constexpr int R = kTile<D>;
  Room<T, D>& room = *reinterpret_cast<Room<T, D>*>(attention_room);
  const Head head(p);
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, own = (blockIdx.x * (blockDim.x / kWarp) + warp) * kOwn;
  OwnRows<T, D>* const owns = room.owns;
  const int queries = int(p.queries), key_count = int(p.keys), head_dim = int(p.head_dim);
  const float scale = float(p.scale) * kLog2E;
  uint32_t q[D / 16][4], d_o[D / 16][4];
  float dots[2] = {}, log_sum[2];
  owns[warp].Load(p.d_o + head.queries, head.width, own, queries, head_dim);
  owns[warp].Fragments(d_o);
  owns[warp].Load(p.o + head.queries, head.width, own, queries, head_dim);
  owns[warp].Fragments(q);
#pragma unroll
  for (int k = 0; k < D / 16; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const T *x = reinterpret_cast<const T*>(&d_o[k][i]), *y = reinterpret_cast<const T*>(&q[k][i]);
      dots[i % 2] += ToFloat(x[0]) * ToFloat(y[0]) + ToFloat(x[1]) * ToFloat(y[1]);
    }
  owns[warp].Load(p.q + head.queries, head.width, own, queries, head_dim);
  owns[warp].Fragments(q);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int i = own + lane / 4 + 8 * r;
    const int64_t row = (int64_t(blockIdx.z) * p.heads + blockIdx.y) * p.queries + i;
    dots[r] = RowSum(dots[r]);
    log_sum[r] = i < queries ? p.log_sum_exp[row] * kLog2E : INFINITY;
    if (lane % 4 == 0 && i < queries) along[row] = dots[r];
  }
  Own dq[D / 8] = {};
  const auto fetch = [&](auto& pair, int first) {
    pair.first.Fetch(p.k + head.keys, head.width, first, key_count, head_dim, threadIdx.x, blockDim.x);
    pair.second.Fetch(p.v + head.keys, head.width, first, key_count, head_dim, threadIdx.x, blockDim.x);
  };
  ForEachTile(room, key_count, fetch, [&](const auto& pair, int first) {
    Own s[R / 8], ds[R / 8];
    Scores<T, R, D>(s, q, pair.first);
    Scores<T, R, D>(ds, d_o, pair.second);
#pragma unroll
    for (int n = 0; n < R / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const bool inside = first + 8 * n + lane % 4 * 2 + i % 2 < key_count;
        ds[n][i] = inside ? Exp2(s[n][i] * scale - log_sum[i / 2]) * (ds[n][i] - dots[i / 2]) : 0.0f;
      }
    AddWeighted<T, R, D>(dq, ds, pair.first);
  });
  owns[warp].Store(p.dq + head.queries, head.width, own, queries, head_dim, dq, float(p.scale), float(p.scale));
}

template <typename T, int D>
__global__ void __launch_bounds__(kMostWarps* kWarp) KeyGrad(AttentionGradParams<T> p, const float* along) {
  constexpr int R = kTile<D>;
  Room<T, D>& room = *reinterpret_cast<Room<T, D>*>(attention_room);
  __shared__ float log_sums[2][R], dots[2][R];
  const Head head(p);
  const int warps = blockDim.x / kWarp, warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, own = (blockIdx.x * warps + warp) * kOwn;
  const int query_count = int(p.queries), keys = int(p.keys), head_dim = int(p.head_dim);
  const int64_t rows = (int64_t(blockIdx.z) * p.heads + blockIdx.y) * p.queries;
  const float scale = float(p.scale) * kLog2E;
  OwnRows<T, D>&own_keys = room.owns[warp], &own_values = room.owns[warps + warp];
  own_keys.Fetch(p.k + head.keys, head.width, own, keys, head_dim);
  own_values.Fetch(p.v + head.keys, head.width, own, keys, head_dim);
  Own dk[D / 8] = {}, dv[D / 8] = {};
  const auto fetch = [&](auto& pair, int first) {
    pair.first.Fetch(p.q + head.queries, head.width, first, query_count, head_dim, threadIdx.x, blockDim.x);
    pair.second.Fetch(p.d_o + head.queries, head.width, first, query_count, head_dim, threadIdx.x, blockDim.x);
    const int turn = &pair == room.pairs ? 0 : 1;
    for (int i = threadIdx.x; i < R; i += blockDim.x) {
      const bool there = first + i < query_count;
      log_sums[turn][i] = there ? p.log_sum_exp[rows + first + i] * kLog2E : INFINITY;
      dots[turn][i] = there ? along[rows + first + i] : 0.0f;
    }
  };
  ForEachTile(room, query_count, fetch, [&](const auto& pair, int) {
    const int turn = &pair == room.pairs ? 0 : 1;
    uint32_t f[D / 16][4];
    Own w[R / 8], ds[R / 8];
    own_keys.Fragments(f);
    Scores<T, R, D>(w, f, pair.first);
    own_values.Fragments(f);
    Scores<T, R, D>(ds, f, pair.second);
#pragma unroll
    for (int n = 0; n < R / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int query = 8 * n + lane % 4 * 2 + i % 2;
        w[n][i] = Exp2(w[n][i] * scale - log_sums[turn][query]);
        ds[n][i] = w[n][i] * (ds[n][i] - dots[turn][query]);
      }
    AddWeighted<T, R, D>(dv, w, pair.second);
    AddWeighted<T, R, D>(dk, ds, pair.first);
  });
  own_keys.Store(p.dk + head.keys, head.width, own, keys, head_dim, dk, float(p.scale), float(p.scale));
  own_values.Store(p.dv + head.keys, head.width, own, keys, head_dim, dv, 1.0f, 1.0f);
}

// One block has all rows of a head where they are few; else as many as eight warps own, or four, `tensors` of them at a time in shared memory.
template <typename T, int D, typename P, typename... Arguments>
cudaError_t Launch(void (*kernel)(P, Arguments...), const Device& device, int64_t rows, int most, int tensors, const P& p, Arguments... arguments) {
  const int warps = std::min(most, DivideUp(rows, kOwn));
  const size_t bytes = Room<T, D>::Bytes(tensors * warps);
  const cudaError_t allowed = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
  if (allowed != cudaSuccess) return allowed;
  kernel<<<dim3(DivideUp(rows, warps * kOwn), unsigned(p.heads), unsigned(p.batch)), warps * kWarp, bytes, device.stream>>>(p, arguments...);
  return cudaGetLastError();
}

template <typename T, int D>
cudaError_t Run(const AttentionParams<T>& p, const Device& device) {
  return Launch<T, D>(Forward<T, D>, device, p.queries, 4, 1, p);
}

template <typename T, int D>
cudaError_t Run(const AttentionGradParams<T>& p, const Device& device) {
  float* along = device.Scratch<float>(p.batch * p.heads * p.queries);
  const cudaError_t launched = Launch<T, D>(QueryGrad<T, D>, device, p.queries, 4, 1, p, along);
  if (launched != cudaSuccess) return launched;
  return Launch<T, D>(KeyGrad<T, D>, device, p.keys, kMostWarps, 2, p, static_cast<const float*>(along));
}

}  // namespace

template <typename T, template <typename> typename P>
cudaError_t OnTensorCores(const P<T>& p, const Device& device) {
  if (p.head_dim <= 32) return Run<T, 32>(p, device);
  if (p.head_dim <= 64) return Run<T, 64>(p, device);
  if (p.head_dim <= 128) return Run<T, 128>(p, device);
  return cudaErrorInvalidValue;
}

template cudaError_t OnTensorCores(const AttentionParams<__half>&, const Device&);
template cudaError_t OnTensorCores(const AttentionParams<__nv_bfloat16>&, const Device&);
template cudaError_t OnTensorCores(const AttentionGradParams<__half>&, const Device&);
template cudaError_t OnTensorCores(const AttentionGradParams<__nv_bfloat16>&, const Device&);

}  // namespace zigma::cuda
