// Depthwise causal convolution in scan order. A thread has a few channels (16 bytes of a row) and a run of positions, so that each row of
// tokens is read once, whole, whatever the order; the window slides through registers.
#include <algorithm>

#include "kernels.h"
#include "types.cuh"

namespace zigma::cuda {
namespace {

constexpr int kLongestRun = 32, kShortestRun = 8;  // positions of a thread
constexpr int kTile = 4;                           // positions loaded together
constexpr int kBusy = 512;                         // threads that keep a multiprocessor busy

template <typename T>
struct Shape {
  int vectors, run, runs;
  dim3 grid, block;
  // Runs are shorter where there are few: each looks again at what lies before and behind it.
  Shape(int64_t batch, int64_t length, int64_t dim, int each, int processors) {
    vectors = DivideUp(dim, each), run = kLongestRun;
    while (run > kShortestRun && batch * vectors * DivideUp(length, run) < int64_t(processors) * kBusy) run /= 2;
    runs = DivideUp(length, run);
    block = dim3(std::min(192, (vectors + 31) / 32 * 32));
    grid = dim3(DivideUp(vectors, block.x), runs, unsigned(batch));
  }
};

// A window holds the W - 1 rows before a tile and the tile's own: position t of the tile sees window[t .. t + W - 1].
template <int W>
constexpr int kWindow = W - 1 + kTile;

template <int W, int V>
__device__ float ConvSum(const float (&weight)[V][W], const float (&bias)[V], const float (&window)[kWindow<W>][V], int t, int c) {
  float sum = bias[c];
#pragma unroll
  for (int k = 0; k < W; ++k) sum += weight[c][k] * window[t + k][c];
  return sum;
}

// A segment that starts at position t of the tile sees nothing before it.
template <int W, int V>
__device__ void Forget(float (&window)[kWindow<W>][V], int t) {
#pragma unroll
  for (int k = 0; k < W - 1; ++k)
#pragma unroll
    for (int c = 0; c < V; ++c) window[t + k][c] = 0;
}

// The rows of `Count` positions from j on, those behind the sequence's end as zero.
template <int V, int Count, typename P, typename T>
__device__ void LoadRows(const P& p, const T* x, int j, int channel, float (&rows)[Count][V]) {
  int token[Count];
#pragma unroll
  for (int t = 0; t < Count; ++t) token[t] = Token(p.permutation, min(j + t, int(p.length) - 1), p.length);
#pragma unroll
  for (int t = 0; t < Count; ++t) Load<V>(x + (unsigned(token[t]) * unsigned(p.dim) + channel), rows[t]);  // 32-bit offsets inside a sequence
}

// The rows before position `first` that belong to its segment, at most W - 1; others are zero.
template <int W, int V, int Count, typename P, typename T>
__device__ void Fill(const P& p, const T* x, int first, int channel, float (&window)[Count][V]) {
  const int before = min(first % int(p.segment), W - 1);
#pragma unroll
  for (int k = 0; k < W - 1; ++k) {
    float row[1][V] = {};
    if (W - 1 - k <= before) LoadRows<V>(p, x, first - (W - 1) + k, channel, row);
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
#pragma unroll
  for (int c = 0; c < V; ++c) {
    bias[c] = p.bias[channel + c];
#pragma unroll
    for (int k = 0; k < W; ++k) weight[c][k] = p.weight[(channel + c) * W + k];
  }
}

template <typename T, int W, int V>
__global__ void Forward(ScanConvParams<T> p, int run) {
  const int vector = blockIdx.x * blockDim.x + threadIdx.x;
  const int channel = vector * V;
  if (channel >= p.dim) return;
  float weight[V][W], bias[V], window[kWindow<W>][V];
  LoadFilter<W, V>(p, channel, weight, bias);
  const T* x = p.x + int64_t(blockIdx.z) * p.length * p.dim;
  T* y = p.y + int64_t(blockIdx.z) * p.length * p.dim + channel;
  const int first = blockIdx.y * run, last = min(int(p.length), first + run), segment = int(p.segment);
  Fill<W>(p, x, first, channel, window);
  int back = first % segment;  // positions of this segment before the tile
  for (int tile = first; tile < last; tile += kTile) {
    float(&rows)[kTile][V] = *reinterpret_cast<float(*)[kTile][V]>(window + (W - 1));
    LoadRows<V>(p, x, tile, channel, rows);
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      if (back == 0) Forget<W, V>(window, t);
      back = back + 1 == segment ? 0 : back + 1;
      float out[V];
#pragma unroll
      for (int c = 0; c < V; ++c) {
        const float sum = ConvSum<W, V>(weight, bias, window, t, c);
        out[c] = sum * Sigmoid(sum);
      }
      if (tile + t < last) Store<V>(y + unsigned(tile + t) * unsigned(p.dim), out);
    }
    KeepLast<W, V>(window);
  }
}

// g = dy silu'(sum) at position j reaches the tokens of positions j - (W - 1) .. j. The thread owns the tokens of its run, so it also looks at the
// W - 1 positions behind it; reach[t + k] collects what arrives at the rows of the window.
template <typename T, int W, int V>
__global__ void Backward(ScanConvGradParams<T> p, int run, float* shares) {
  const int vector = blockIdx.x * blockDim.x + threadIdx.x;
  const int channel = vector * V;
  if (channel >= p.dim) return;
  float weight[V][W], bias[V], window[kWindow<W>][V], reach[kWindow<W>][V] = {}, d_weight[W][V] = {}, d_bias[V] = {};
  LoadFilter<W, V>(p, channel, weight, bias);
  const int64_t sample = int64_t(blockIdx.z) * p.length * p.dim;
  const T* x = p.x + sample;
  const T* dy = p.dy + sample + channel;
  const T* dy_more = p.dy_more ? p.dy_more + sample + channel : nullptr;
  T* dx = p.dx + sample + channel;
  const int segment = int(p.segment), length = int(p.length);
  const unsigned stride = unsigned(p.dim);
  const int first = blockIdx.y * run, last = min(length, first + run), end = last + W - 1;
  Fill<W>(p, x, first, channel, window);
  int back = first % segment;  // positions of this segment before the tile
  for (int tile = first; tile < end; tile += kTile) {
    float(&rows)[kTile][V] = *reinterpret_cast<float(*)[kTile][V]>(window + (W - 1));
    float gradients[kTile][V];
    LoadRows<V>(p, x, tile, channel, rows);
#pragma unroll
    for (int t = 0; t < kTile; ++t) Load<V>(dy + unsigned(min(tile + t, length - 1)) * stride, gradients[t]);
    if (dy_more) {
#pragma unroll
      for (int t = 0; t < kTile; ++t) {
        float more[V];
        Load<V>(dy_more + unsigned(min(tile + t, length - 1)) * stride, more);
#pragma unroll
        for (int c = 0; c < V; ++c) gradients[t][c] += more[c];
      }
    }
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      const int j = tile + t;
      if (back == 0) Forget<W, V>(window, t);
      // A position behind the run counts as far as it reaches back into it: not when its segment starts behind the run too.
      const float counts = j < length && (j < last || j - back < last) ? 1.0f : 0.0f, own = j < last ? 1.0f : 0.0f;
#pragma unroll
      for (int c = 0; c < V; ++c) {
        const float sum = ConvSum<W, V>(weight, bias, window, t, c);
        const float s = Sigmoid(sum);
        const float g = counts * gradients[t][c] * s * (1.0f + sum * (1.0f - s)), mine = own * g;
        d_bias[c] += mine;
#pragma unroll
        for (int k = 0; k < W; ++k) {
          d_weight[k][c] += mine * window[t + k][c];
          reach[t + k][c] += W - 1 - k > back ? 0.0f : g * weight[c][k];
        }
      }
      back = back + 1 == segment ? 0 : back + 1;
    }
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      const int done = tile + t - (W - 1);
      if (done >= first && done < last) Store<V>(dx + unsigned(Token(p.permutation, done, length)) * stride, reach[t]);
    }
    KeepLast<W, V>(window);
    KeepLast<W, V>(reach);
#pragma unroll
    for (int k = W - 1; k < kWindow<W>; ++k)
#pragma unroll
      for (int c = 0; c < V; ++c) reach[k][c] = 0;
  }
  float* share = shares + (int64_t(blockIdx.z) * gridDim.y + blockIdx.y) * (W + 1) * p.dim + channel;
#pragma unroll
  for (int k = 0; k < W; ++k) Store<V>(share + int64_t(k) * p.dim, d_weight[k]);
  Store<V>(share + int64_t(W) * p.dim, d_bias);
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
  const Shape<T> shape(p.batch, p.length, p.dim, V, device.processors);
  Forward<T, W, V><<<shape.grid, shape.block, 0, device.stream>>>(p, shape.run);
  return cudaGetLastError();
}

template <typename T, int W, int V>
cudaError_t Run(const ScanConvGradParams<T>& p, const Device& device) {
  const Shape<T> shape(p.batch, p.length, p.dim, V, device.processors);
  const int parts = int(p.batch) * shape.runs;
  float* shares = device.Scratch<float>(size_t(parts) * (W + 1) * p.dim);
  Backward<T, W, V><<<shape.grid, shape.block, 0, device.stream>>>(p, shape.run, shares);
  AddShares<T><<<DivideUp((W + 1) * p.dim, 32), dim3(32, 32), 0, device.stream>>>(shares, parts, W, p.dim, p);
  return cudaGetLastError();
}

// V: channels of a thread. The gradient holds three windows of them, so it takes half as many.
template <typename T, int V, template <typename> typename P>
cudaError_t Dispatch(const P<T>& p, const Device& device) {
  if (p.width == 4) return p.dim % kVector<T> == 0 ? Run<T, 4, V>(p, device) : Run<T, 4, 1>(p, device);
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

}  // namespace

template <typename T>
cudaError_t ScanConv(const ScanConvParams<T>& p, const Device& device) { return Dispatch<T, kVector<T>>(p, device); }
template <typename T>
cudaError_t ScanConvGrad(const ScanConvGradParams<T>& p, const Device& device) { return Dispatch<T, kVector<T> / 2>(p, device); }

#define ZIGMA_INSTANTIATE(T)                                                         \
  template cudaError_t ScanConv<T>(const ScanConvParams<T>&, const Device&);         \
  template cudaError_t ScanConvGrad<T>(const ScanConvGradParams<T>&, const Device&);
ZIGMA_INSTANTIATE(float)
ZIGMA_INSTANTIATE(__half)
ZIGMA_INSTANTIATE(__nv_bfloat16)

}  // namespace zigma::cuda
