// Depthwise causal convolution in scan order. A thread has a few channels (16 bytes of a row) and a run of positions, so that each row of
// tokens is read once, whole, whatever the order; the window slides through registers.
#include <algorithm>

#include "kernels.h"
#include "types.cuh"

namespace zigma::cuda {
namespace {

constexpr int kRun = 32;  // positions of a thread
constexpr int kTile = 4;  // positions loaded together

template <typename T>
struct Shape {
  int vectors, runs;
  dim3 grid, block;
  explicit Shape(int64_t batch, int64_t length, int64_t dim, int each) {
    vectors = DivideUp(dim, each), runs = DivideUp(length, kRun);
    block = dim3(std::min(192, (vectors + 31) / 32 * 32));
    grid = dim3(DivideUp(vectors, block.x), runs, unsigned(batch));
  }
};

template <int W, int V>
__device__ float ConvSum(const float (&weight)[V][W], const float (&bias)[V], const float (&window)[W][V], int c) {
  float sum = bias[c];
#pragma unroll
  for (int k = 0; k < W; ++k) sum += weight[c][k] * window[k][c];
  return sum;
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

// window[k] holds position j - (W - 1) + k; positions before the segment's start count as zero.
template <int W, int V>
__device__ void Slide(float (&window)[W][V], const float (&row)[V], bool starts) {
#pragma unroll
  for (int c = 0; c < V; ++c) {
#pragma unroll
    for (int k = 0; k + 1 < W; ++k) window[k][c] = starts ? 0.0f : window[k + 1][c];
    window[W - 1][c] = row[c];
  }
}

// The window before position `first`: the W - 1 positions of the segment that lie before it.
template <int W, int V, typename P, typename T>
__device__ void Fill(const P& p, const T* x, int first, int channel, float (&window)[W][V]) {
  const int start = first - first % int(p.segment);
  for (int j = max(start, first - (W - 1)); j < first; ++j) {
    float row[1][V];
    LoadRows<V>(p, x, j, channel, row);
    Slide(window, row[0], false);
  }
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
__global__ void Forward(ScanConvParams<T> p) {
  const int vector = blockIdx.x * blockDim.x + threadIdx.x;
  const int channel = vector * V;
  if (channel >= p.dim) return;
  float weight[V][W], bias[V], window[W][V] = {};
  LoadFilter<W, V>(p, channel, weight, bias);
  const T* x = p.x + int64_t(blockIdx.z) * p.length * p.dim;
  T* y = p.y + int64_t(blockIdx.z) * p.length * p.dim;
  const int first = blockIdx.y * kRun, last = min(int(p.length), first + kRun);
  Fill(p, x, first, channel, window);
  int back = first % int(p.segment);  // positions of this segment before j
  for (int j = first; j < last; j += kTile) {
    float rows[kTile][V];
    LoadRows<V>(p, x, j, channel, rows);
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      if (j + t >= last) break;
      Slide(window, rows[t], back == 0);
      if (++back == p.segment) back = 0;
      float out[V];
#pragma unroll
      for (int c = 0; c < V; ++c) {
        const float sum = ConvSum<W, V>(weight, bias, window, c);
        out[c] = sum * Sigmoid(sum);
      }
      Store<V>(y + (unsigned(j + t) * unsigned(p.dim) + channel), out);
    }
  }
}

// g = dy silu'(sum) at position j reaches the tokens of positions j - (W - 1) .. j. The thread owns the tokens of its run, so it also looks at the
// W - 1 positions behind it; `reach` collects what arrives at the positions of the window.
template <typename T, int W, int V>
__global__ void Backward(ScanConvGradParams<T> p, float* shares) {
  const int vector = blockIdx.x * blockDim.x + threadIdx.x;
  const int channel = vector * V;
  if (channel >= p.dim) return;
  float weight[V][W], bias[V], window[W][V] = {}, reach[W][V] = {}, d_weight[W][V] = {}, d_bias[V] = {};
  LoadFilter<W, V>(p, channel, weight, bias);
  const int64_t sample = int64_t(blockIdx.z) * p.length * p.dim;
  const T* x = p.x + sample;
  const T* dy = p.dy + sample + channel;
  const int segment = int(p.segment), length = int(p.length);
  const unsigned stride = unsigned(p.dim);
  const int first = blockIdx.y * kRun, last = min(length, first + kRun), end = last + W - 1;
  Fill(p, x, first, channel, window);
  int next = first % segment;
  for (int tile = first; tile < end; tile += kTile) {
    float rows[kTile][V], gradients[kTile][V];
    LoadRows<V>(p, x, tile, channel, rows);
#pragma unroll
    for (int t = 0; t < kTile; ++t) Load<V>(dy + unsigned(min(tile + t, length - 1)) * stride, gradients[t]);
    if (p.dy_more) {
#pragma unroll
      for (int t = 0; t < kTile; ++t) {
        float more[V];
        Load<V>(p.dy_more + (dy - p.dy) + unsigned(min(tile + t, length - 1)) * stride, more);
#pragma unroll
        for (int c = 0; c < V; ++c) gradients[t][c] += more[c];
      }
    }
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      const int j = tile + t, back = next;  // positions of this segment before j
      next = next + 1 == segment ? 0 : next + 1;
      if (j >= end) break;
#pragma unroll
      for (int c = 0; c < V; ++c) {
#pragma unroll
        for (int k = 0; k + 1 < W; ++k) reach[k][c] = reach[k + 1][c];
        reach[W - 1][c] = 0;
      }
      if (j < length && (j < last || j - back < last)) {  // else nothing of it reaches back into the run
        Slide(window, rows[t], back == 0);
        const float own = j < last ? 1.0f : 0.0f;
#pragma unroll
        for (int c = 0; c < V; ++c) {
          const float sum = ConvSum<W, V>(weight, bias, window, c);
          const float s = Sigmoid(sum);
          const float g = gradients[t][c] * s * (1.0f + sum * (1.0f - s));
          d_bias[c] += own * g;
#pragma unroll
          for (int k = 0; k < W; ++k) {
            if (W - 1 - k > back) continue;
            d_weight[k][c] += own * g * window[k][c];
            reach[k][c] += g * weight[c][k];
          }
        }
      }
      const int done = j - (W - 1);
      if (done >= first) Store<V>(p.dx + sample + (unsigned(Token(p.permutation, done, length)) * stride + channel), reach[0]);
    }
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
  const Shape<T> shape(p.batch, p.length, p.dim, V);
  Forward<T, W, V><<<shape.grid, shape.block, 0, device.stream>>>(p);
  return cudaGetLastError();
}

template <typename T, int W, int V>
cudaError_t Run(const ScanConvGradParams<T>& p, const Device& device) {
  const Shape<T> shape(p.batch, p.length, p.dim, V);
  const int parts = int(p.batch) * shape.runs;
  float* shares = device.Scratch<float>(size_t(parts) * (W + 1) * p.dim);
  Backward<T, W, V><<<shape.grid, shape.block, 0, device.stream>>>(p, shares);
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
