// Depthwise causal convolution in scan order. A thread has a few channels (8 bytes of a row, one channel in the gradient) and a run of positions, so that each row of
// tokens is read once, whole, whatever the order; the window slides through registers.
#include <algorithm>

#include "kernels.h"
#include "tile.cuh"
#include "types.cuh"

namespace zigma::cuda {
namespace {

constexpr int kTile = 4, kGradTile = 8;               // positions loaded together
constexpr int kShortest = 2;                          // tiles of a run: each run looks again at what lies before it, or behind
constexpr int kWarps = 4, kThreads = kWarps * kWarp;  // of a block
constexpr int kBlocks = 8;                            // of a multiprocessor

// Tiles of a run, of whose positions the last `behind` belong to the next one. A run of all sequences takes `blocks` blocks, and the chip has `places` for them: as
// all blocks take equally long, a last wave of a few would leave it idle.
int EvenTiles(int64_t length, int tile, int behind, int64_t blocks, int64_t places) {
  constexpr int kMostWaves = 4;
  int best = 0;
  int64_t least = 0;
  for (int waves = 1; waves <= kMostWaves; ++waves) {
    const int64_t runs = std::max<int64_t>(1, waves * places / blocks);
    const int tiles = std::max(kShortest, DivideUp(DivideUp(length, runs) + behind, tile));
    const int64_t took = int64_t(tiles) * DivideUp(DivideUp(length, tiles * tile - behind) * blocks, places);
    if (best == 0 || took < least) best = tiles, least = took;
  }
  return best;
}

// A window holds the W - 1 rows before a tile and the tile's own: position t of the tile sees window[t .. t + W - 1].
template <int W>
constexpr int kWindow = W - 1 + kTile;

template <int W, int V, int Count>
__device__ float ConvSum(const float (&weight)[V][W], const float (&bias)[V], const float (&window)[Count][V], int t, int c) {
  float sum = bias[c];
#pragma unroll
  for (int k = 0; k < W; ++k) sum += weight[c][k] * window[t + k][c];
  return sum;
}

// A segment that starts at position t of the tile sees nothing before it.
template <int W, int V, int Count>
__device__ void Forget(float (&window)[Count][V], int t) {
#pragma unroll
  for (int k = 0; k < W - 1; ++k)
#pragma unroll
    for (int c = 0; c < V; ++c) window[t + k][c] = 0;
}

// The rows of `Count` positions from j on, those behind the sequence's end as zero. Tokens are `stride` apart.
template <int V, int Count, typename P, typename T>
__device__ void LoadRows(const P& p, const T* x, int64_t stride, int j, int channel, float (&rows)[Count][V]) {
  int token[Count];
#pragma unroll
  for (int t = 0; t < Count; ++t) token[t] = Token(p.permutation, min(j + t, int(p.length) - 1), p.length);
#pragma unroll
  for (int t = 0; t < Count; ++t) Load<V>(x + (unsigned(token[t]) * unsigned(stride) + channel), rows[t]);  // 32-bit offsets inside a sequence
}

// The rows before position `first` that belong to its segment, at most W - 1; others are zero.
template <int W, int V, int Count, typename P, typename T>
__device__ void Fill(const P& p, const T* x, int64_t stride, int first, int channel, float (&window)[Count][V]) {
  const int before = min(first % int(p.segment), W - 1);
#pragma unroll
  for (int k = 0; k < W - 1; ++k) {
    float row[1][V] = {};
    if (W - 1 - k <= before) LoadRows<V>(p, x, stride, first - (W - 1) + k, channel, row);
#pragma unroll
    for (int c = 0; c < V; ++c) window[k][c] = row[0][c];
  }
}

// The last rows of a tile are the first of the next one's window.
template <int W, int V, int Count>
__device__ void KeepLast(float (&window)[Count][V]) {
#pragma unroll
  for (int k = 0; k < W - 1; ++k)
#pragma unroll
    for (int c = 0; c < V; ++c) window[k][c] = window[Count - (W - 1) + k][c];
}

template <int W, int V, typename P>
__device__ void LoadFilter(const P& p, int channel, float (&weight)[V][W], float (&bias)[V]) {
  if constexpr (V > 1) {  // then they are aligned
    Load(p.bias + channel, bias);
    Load(p.weight + channel * W, reinterpret_cast<float(&)[V * W]>(weight));
  } else {
    bias[0] = p.bias[channel];
#pragma unroll
    for (int k = 0; k < W; ++k) weight[0][k] = p.weight[channel * W + k];
  }
}

// kWhole: tiles are whole, and segments start with one.
template <typename T, int W, int V, bool kWhole>
__global__ void __launch_bounds__(kThreads, kBlocks) Forward(ScanConvParams<T> p, int run) {
  const int vector = blockIdx.x * blockDim.x + threadIdx.x;
  const int channel = vector * V;
  if (channel >= p.dim) return;
  float weight[V][W], bias[V], window[kWindow<W>][V];
  LoadFilter<W, V>(p, channel, weight, bias);
  const T* x = p.x + int64_t(blockIdx.z) * p.length * p.x_stride;
  T* y = p.y + int64_t(blockIdx.z) * p.length * p.dim + channel;
  const int first = blockIdx.y * run, last = min(int(p.length), first + run), segment = int(p.segment);
  Fill<W>(p, x, p.x_stride, first, channel, window);
  int back = first % segment;  // positions of this segment before the tile
  for (int tile = first; tile < last; tile += kTile) {
    float(&rows)[kTile][V] = *reinterpret_cast<float(*)[kTile][V]>(window + (W - 1));
    LoadRows<V>(p, x, p.x_stride, tile, channel, rows);
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      if (!kWhole || t == 0) {
        if (back == 0) Forget<W, V>(window, t);
        back = back + (kWhole ? kTile : 1) == segment ? 0 : back + (kWhole ? kTile : 1);
      }
      float out[V];
#pragma unroll
      for (int c = 0; c < V; ++c) {
        const float sum = ConvSum<W, V>(weight, bias, window, t, c);
        out[c] = sum * Sigmoid(sum);
      }
      if (kWhole || tile + t < last) Store<V>(y + unsigned(tile + t) * unsigned(p.dim), out);
    }
    KeepLast<W, V>(window);
  }
}

// g = dy silu'(sum) at position j reaches the tokens of positions j - (W - 1) .. j. A thread has one channel and owns the tokens of its run, so it also
// looks at the W - 1 positions behind it; reach[t + k] collects what arrives at the rows of the window. A warp's rows are fetched a tile ahead.
// Of width 4, in 16 bits, registers are held to those with which eight blocks fit on a multiprocessor: what tells rows of different widths apart takes some.
template <typename T, int W>
__global__ void __launch_bounds__(kThreads, sizeof(T) == 2 && W == 4 ? kBlocks : 0) Backward(ScanConvGradParams<T> p, int run, float* shares) {
  using Rows = Tile<T, kGradTile>;
  constexpr int kLength = W - 1 + kGradTile;
  __shared__ __align__(16) T tiles[kWarps][2][3][Rows::kSize];
  auto& tile_rows = tiles[threadIdx.x / kWarp];
  const int dim = int(p.dim), length = int(p.length), segment = int(p.segment), lane = threadIdx.x % kWarp;
  const int first_channel = (blockIdx.x * kWarps + threadIdx.x / kWarp) * kWarp, channel = min(first_channel + lane, dim - 1);
  const bool whole = dim % kVector<T> == 0 && IsWhole(p.x, p.x_stride) && IsWhole(p.dx, p.dx_stride);
  const Columns columns = {min(first_channel, dim), max(dim - first_channel, 0), whole};
  const int64_t first_token = int64_t(blockIdx.z) * p.length, sequence = first_token * p.dim;
  float weight[1][W], bias[1], window[kLength][1], reach[kLength] = {}, d_weight[W] = {}, d_bias = 0;
  LoadFilter<W, 1>(p, channel, weight, bias);
  const int first = blockIdx.y * run, last = min(length, first + run), end = last + W - 1;

  const auto token_of = [&](int j) { return unsigned(Token(p.permutation, min(max(j, 0), length - 1), length)); };
  unsigned tokens[Rows::kEach];
  const auto fetch = [&](int tile, auto& to) {
    unsigned rows[Rows::kEach];
    Rows::Offsets(rows, [&](int row) { return unsigned(min(tile + row, length - 1)) * unsigned(dim); });
    Rows{to[0]}.Fetch(p.x + first_token * p.x_stride, tokens, columns);
    Rows{to[1]}.Fetch(p.dy + sequence, rows, columns);
    if (p.dy_more) Rows{to[2]}.Fetch(p.dy_more + sequence, rows, columns);
    __pipeline_commit();
    Rows::Offsets(tokens, [&](int row) { return token_of(tile + kGradTile + row) * unsigned(p.x_stride); });
  };
  Rows::Offsets(tokens, [&](int row) { return token_of(first + row) * unsigned(p.x_stride); });
  fetch(first, tile_rows[0]);
  Fill<W>(p, p.x + first_token * p.x_stride, p.x_stride, first, channel, window);
  int back = first % segment;  // positions of this segment before the tile
  for (int tile = first, turn = 0; tile < end; tile += kGradTile, turn ^= 1) {
    __pipeline_wait_prior(0);
    __syncwarp();
    unsigned owners[Rows::kEach];  // of the rows that are complete at the end of this tile
    Rows::Offsets(owners, [&](int row) { return token_of(tile - (W - 1) + row) * unsigned(p.dx_stride); });
    if (tile + kGradTile < end) fetch(tile + kGradTile, tile_rows[turn ^ 1]);
    const Rows x_rows{tile_rows[turn][0]}, dy_rows{tile_rows[turn][1]}, more_rows{tile_rows[turn][2]};  // dx takes the place of x
    float gradients[kGradTile];
#pragma unroll
    for (int t = 0; t < kGradTile; ++t) {
      window[W - 1 + t][0] = x_rows(t);
      gradients[t] = dy_rows(t) + (p.dy_more ? more_rows(t) : 0.0f);
    }
#pragma unroll
    for (int t = 0; t < kGradTile; ++t) {
      const int j = tile + t;
      if (back == 0) Forget<W, 1>(window, t);
      // A position behind the run counts as far as it reaches back into it: not when its segment starts behind the run too.
      const float counts = j < length && (j < last || j - back < last) ? 1.0f : 0.0f, own = j < last ? 1.0f : 0.0f;
      const float sum = ConvSum<W, 1>(weight, bias, window, t, 0), s = Sigmoid(sum);
      const float g = counts * gradients[t] * s * (1.0f + sum * (1.0f - s)), mine = own * g;
      d_bias += mine;
#pragma unroll
      for (int k = 0; k < W; ++k) {
        d_weight[k] += mine * window[t + k][0];
        reach[t + k] += W - 1 - k > back ? 0.0f : g * weight[0][k];
      }
      back = back + 1 == segment ? 0 : back + 1;
    }
#pragma unroll
    for (int t = 0; t < kGradTile; ++t) x_rows.Put(t, reach[t]);
    __syncwarp();
    x_rows.Store(p.dx + first_token * p.dx_stride, owners, columns, [&](int row) { return tile - (W - 1) + row >= first && tile - (W - 1) + row < last; });
    KeepLast<W, 1>(window);
#pragma unroll
    for (int k = 0; k < kLength; ++k) reach[k] = k < W - 1 ? reach[k + kGradTile] : 0.0f;
  }
  if (first_channel + lane >= dim) return;
  float* const share = shares + (int64_t(blockIdx.z) * gridDim.y + blockIdx.y) * (W + 1) * dim + channel;
#pragma unroll
  for (int k = 0; k < W; ++k) share[k * dim] = d_weight[k];
  share[W * dim] = d_bias;
}

// shares [parts, (W + 1), dim] -> d_weight [dim, W], d_bias [dim]. A block adds 32 columns; its warps take the parts in turn.
template <typename T>
__global__ void AddShares(const float* shares, int parts, int width, int64_t dim, ScanConvGradParams<T> p) {
  __shared__ float sums[32][33];
  const int64_t column = int64_t(blockIdx.x) * 32 + threadIdx.x, columns = (width + 1) * dim;
  float sum = 0;
  if (column < columns)
    for (int part = threadIdx.y; part < parts; part += 32) sum += shares[part * columns + column];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  const float total = WarpSum(sums[threadIdx.x][threadIdx.y]);
  const int64_t mine = int64_t(blockIdx.x) * 32 + threadIdx.y;
  if (threadIdx.x != 0 || mine >= columns) return;
  const int64_t k = mine / dim, e = mine % dim;
  if (k == width) p.d_bias[e] = total;
  else p.d_weight[e * width + k] = total;
}

template <typename T, int W, int V>
cudaError_t Run(const ScanConvParams<T>& p, const Device& device) {
  const int vectors = DivideUp(p.dim, V), threads = std::min(kThreads, DivideUp(vectors, kWarp) * kWarp), blocks = DivideUp(vectors, threads);
  const int run = kTile * EvenTiles(p.length, kTile, 0, p.batch * blocks, int64_t(device.processors) * kBlocks);
  const auto forward = p.length % kTile == 0 && p.segment % kTile == 0 ? Forward<T, W, V, (V > 1)> : Forward<T, W, V, false>;
  forward<<<dim3(blocks, DivideUp(p.length, run), unsigned(p.batch)), threads, 0, device.stream>>>(p, run);
  return cudaGetLastError();
}

template <typename T, int W>
cudaError_t Run(const ScanConvGradParams<T>& p, const Device& device) {
  // Tiles begin with a run's first position and end with the W - 1 behind its last.
  const int blocks = DivideUp(p.dim, kThreads);
  const int run = kGradTile * EvenTiles(p.length, kGradTile, W - 1, p.batch * blocks, int64_t(device.processors) * kBlocks) - (W - 1);
  const int runs = DivideUp(p.length, run), parts = int(p.batch) * runs;
  float* shares = device.Scratch<float>(size_t(parts) * (W + 1) * p.dim);
  Backward<T, W><<<dim3(blocks, runs, unsigned(p.batch)), kThreads, 0, device.stream>>>(p, run, shares);
  AddShares<T><<<DivideUp((W + 1) * p.dim, 32), dim3(32, 32), 0, device.stream>>>(shares, parts, W, p.dim, p);
  return cudaGetLastError();
}

// As many channels of a thread as registers allow.
template <typename T>
cudaError_t Dispatch(const ScanConvParams<T>& p, const Device& device) {
  constexpr int kEach = kVector<T> / 2;
  const bool whole = p.dim % kVector<T> == 0 && IsWhole<kEach * sizeof(T)>(p.x, p.x_stride) && IsWhole(p.weight, p.width) && IsWhole(p.bias, p.dim);
  if (p.width == 4) return whole ? Run<T, 4, kEach>(p, device) : Run<T, 4, 1>(p, device);
  switch (p.width) {
    case 1: return Run<T, 1, 1>(p, device);
    case 2: return Run<T, 2, 1>(p, device);
    case 3: return Run<T, 3, 1>(p, device);
    case 5: return Run<T, 5, 1>(p, device);
    case 6: return Run<T, 6, 1>(p, device);
    case 7: return Run<T, 7, 1>(p, device);
    default: return Run<T, 8, 1>(p, device);
  }
}

template <typename T>
cudaError_t Dispatch(const ScanConvGradParams<T>& p, const Device& device) {
  switch (p.width) {
    case 1: return Run<T, 1>(p, device);
    case 2: return Run<T, 2>(p, device);
    case 3: return Run<T, 3>(p, device);
    case 4: return Run<T, 4>(p, device);
    case 5: return Run<T, 5>(p, device);
    case 6: return Run<T, 6>(p, device);
    case 7: return Run<T, 7>(p, device);
    default: return Run<T, 8>(p, device);
  }
}

}  // namespace

template <typename T>
cudaError_t ScanConv(const ScanConvParams<T>& p, const Device& device) { return Dispatch(p, device); }
template <typename T>
cudaError_t ScanConvGrad(const ScanConvGradParams<T>& p, const Device& device) { return Dispatch(p, device); }

#define ZIGMA_INSTANTIATE(T)                                                         \
  template cudaError_t ScanConv<T>(const ScanConvParams<T>&, const Device&);         \
  template cudaError_t ScanConvGrad<T>(const ScanConvGradParams<T>&, const Device&);
ZIGMA_INSTANTIATE(float)
ZIGMA_INSTANTIATE(__half)
ZIGMA_INSTANTIATE(__nv_bfloat16)

}  // namespace zigma::cuda
