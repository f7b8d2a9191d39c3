// Attention in plain float arithmetic, for 32-bit elements and where there are no tensor cores for the others.
// softmax(Q Kᵀ scale) V without the matrix: a thread has a query and meets the keys a tile at a time, keeping the largest score and the sum so
// far (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018). Backward makes the weights again from the kept logarithm of
// the sum: once with a thread a query, for dq, once with a thread a key, for dk and dv, so that nothing is added in an order left to chance.
#include "attention.cuh"
#include "kernels.h"
#include "tensor_cores.cuh"

namespace zigma::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kTile = 16;  // rows in shared memory

template <int D, typename T>
__device__ void LoadTile(float (&tile)[kTile][D], const T* rows, int64_t width, int first, int count, int head_dim) {
  for (int i = threadIdx.x; i < kTile * D; i += kThreads) {
    const int row = i / D, c = i % D;
    tile[row][c] = first + row < count && c < head_dim ? ToFloat(rows[int64_t(first + row) * width + c]) : 0.0f;
  }
}

template <int D, typename T>
__device__ void LoadOwn(float (&own)[D], const T* row, bool inside, int head_dim) {
#pragma unroll
  for (int c = 0; c < D; ++c) own[c] = inside && c < head_dim ? ToFloat(row[c]) : 0.0f;
}

template <int D>
__device__ float Dot(const float (&a)[D], const float* b) {
  float sum[2] = {};
#pragma unroll
  for (int c = 0; c < D; ++c) sum[c % 2] += a[c] * b[c];
  return sum[0] + sum[1];
}

template <typename T, int D>
__global__ void __launch_bounds__(kThreads) Forward(AttentionParams<T> p) {
  __shared__ float keys[kTile][D], values[kTile][D];
  const Head head(p);
  const int i = blockIdx.x * kThreads + threadIdx.x;
  const bool inside = i < p.queries;
  const int64_t at = head.queries + i * head.width;
  const float scale = float(p.scale) * kLog2E;
  float q[D], o[D] = {}, largest = -INFINITY, total = 0;
  LoadOwn(q, p.q + at, inside, int(p.head_dim));
  for (int first = 0; first < p.keys; first += kTile) {
    __syncthreads();
    LoadTile(keys, p.k + head.keys, head.width, first, int(p.keys), int(p.head_dim));
    LoadTile(values, p.v + head.keys, head.width, first, int(p.keys), int(p.head_dim));
    __syncthreads();
    const int count = min(kTile, int(p.keys) - first);
    for (int j = 0; j < count; ++j) {
      const float score = Dot(q, keys[j]) * scale;
      if (score > largest) {
        const float shrink = Exp2(largest - score);
        total *= shrink, largest = score;
#pragma unroll
        for (int c = 0; c < D; ++c) o[c] *= shrink;
      }
      const float w = Exp2(score - largest);
      total += w;
#pragma unroll
      for (int c = 0; c < D; ++c) o[c] += w * values[j][c];
    }
  }
  if (!inside) return;
#pragma unroll
  for (int c = 0; c < D; ++c)
    if (c < p.head_dim) p.o[at + c] = FromFloat<T>(o[c] / total);
  if (p.log_sum_exp) p.log_sum_exp[(int64_t(blockIdx.z) * p.heads + blockIdx.y) * p.queries + i] = (largest + log2f(total)) * kLn2;
}

// along [batch, heads, queries] = dot(dO, o)
template <typename T, int D>
__global__ void __launch_bounds__(kThreads) QueryGrad(AttentionGradParams<T> p, float* along) {
  __shared__ float keys[kTile][D], values[kTile][D];
  const Head head(p);
  const int i = blockIdx.x * kThreads + threadIdx.x;
  const bool inside = i < p.queries;
  const int64_t at = head.queries + i * head.width, row = (int64_t(blockIdx.z) * p.heads + blockIdx.y) * p.queries + i;
  float q[D], d_o[D], dq[D], own = 0;
  LoadOwn(q, p.q + at, inside, int(p.head_dim));
  LoadOwn(d_o, p.d_o + at, inside, int(p.head_dim));
  LoadOwn(dq, p.o + at, inside, int(p.head_dim));
#pragma unroll
  for (int c = 0; c < D; ++c) own += d_o[c] * dq[c], dq[c] = 0;
  if (inside) along[row] = own;
  const float log_sum = inside ? p.log_sum_exp[row] * kLog2E : INFINITY, scale = float(p.scale);
  for (int first = 0; first < p.keys; first += kTile) {
    __syncthreads();
    LoadTile(keys, p.k + head.keys, head.width, first, int(p.keys), int(p.head_dim));
    LoadTile(values, p.v + head.keys, head.width, first, int(p.keys), int(p.head_dim));
    __syncthreads();
    const int count = min(kTile, int(p.keys) - first);
    for (int j = 0; j < count; ++j) {
      const float w = Exp2(Dot(q, keys[j]) * scale * kLog2E - log_sum);
      const float ds = w * (Dot(d_o, values[j]) - own) * scale;
#pragma unroll
      for (int c = 0; c < D; ++c) dq[c] += ds * keys[j][c];
    }
  }
  if (!inside) return;
#pragma unroll
  for (int c = 0; c < D; ++c)
    if (c < p.head_dim) p.dq[at + c] = FromFloat<T>(dq[c]);
}

template <typename T, int D>
__global__ void __launch_bounds__(kThreads) KeyGrad(AttentionGradParams<T> p, const float* along) {
  __shared__ float queries[kTile][D], gradients[kTile][D], log_sums[kTile], alongs[kTile];
  const Head head(p);
  const int j = blockIdx.x * kThreads + threadIdx.x;
  const bool inside = j < p.keys;
  const int64_t at = head.keys + j * head.width, rows = (int64_t(blockIdx.z) * p.heads + blockIdx.y) * p.queries;
  const float scale = float(p.scale);
  float k[D], v[D], dk[D] = {}, dv[D] = {};
  LoadOwn(k, p.k + at, inside, int(p.head_dim));
  LoadOwn(v, p.v + at, inside, int(p.head_dim));
  for (int first = 0; first < p.queries; first += kTile) {
    __syncthreads();
    LoadTile(queries, p.q + head.queries, head.width, first, int(p.queries), int(p.head_dim));
    LoadTile(gradients, p.d_o + head.queries, head.width, first, int(p.queries), int(p.head_dim));
    const int count = min(kTile, int(p.queries) - first);
    if (int(threadIdx.x) < count) {
      log_sums[threadIdx.x] = p.log_sum_exp[rows + first + threadIdx.x] * kLog2E;
      alongs[threadIdx.x] = along[rows + first + threadIdx.x];
    }
    __syncthreads();
    if (!inside) continue;
    for (int i = 0; i < count; ++i) {
      const float w = Exp2(Dot(k, queries[i]) * scale * kLog2E - log_sums[i]);
      const float ds = w * (Dot(v, gradients[i]) - alongs[i]) * scale;
#pragma unroll
      for (int c = 0; c < D; ++c) dk[c] += ds * queries[i][c], dv[c] += w * gradients[i][c];
    }
  }
  if (!inside) return;
#pragma unroll
  for (int c = 0; c < D; ++c)
    if (c < p.head_dim) p.dk[at + c] = FromFloat<T>(dk[c]), p.dv[at + c] = FromFloat<T>(dv[c]);
}

template <typename T, int D>
cudaError_t Run(const AttentionParams<T>& p, const Device& device) {
  Forward<T, D><<<dim3(DivideUp(p.queries, kThreads), unsigned(p.heads), unsigned(p.batch)), kThreads, 0, device.stream>>>(p);
  return cudaGetLastError();
}

template <typename T, int D>
cudaError_t Run(const AttentionGradParams<T>& p, const Device& device) {
  float* along = device.Scratch<float>(p.batch * p.heads * p.queries);
  QueryGrad<T, D><<<dim3(DivideUp(p.queries, kThreads), unsigned(p.heads), unsigned(p.batch)), kThreads, 0, device.stream>>>(p, along);
  KeyGrad<T, D><<<dim3(DivideUp(p.keys, kThreads), unsigned(p.heads), unsigned(p.batch)), kThreads, 0, device.stream>>>(p, along);
  return cudaGetLastError();
}

template <typename T, template <typename> typename P>
cudaError_t Dispatch(const P<T>& p, const Device& device) {
  if constexpr (sizeof(T) == 2)
    if (device.capability >= kTensorCapability && p.head_dim % kVector<T> == 0) return OnTensorCores(p, device);
  if (p.head_dim <= 16) return Run<T, 16>(p, device);
  if (p.head_dim <= 32) return Run<T, 32>(p, device);
  if (p.head_dim <= 48) return Run<T, 48>(p, device);
  if (p.head_dim <= 64) return Run<T, 64>(p, device);
  if (p.head_dim <= 128) return Run<T, 128>(p, device);
  return cudaErrorInvalidValue;
}

}  // namespace

template <typename T>
cudaError_t Attention(const AttentionParams<T>& p, const Device& device) { return Dispatch<T>(p, device); }
template <typename T>
cudaError_t AttentionGrad(const AttentionGradParams<T>& p, const Device& device) { return Dispatch<T>(p, device); }

#define ZIGMA_INSTANTIATE(T)                                                           \
  template cudaError_t Attention<T>(const AttentionParams<T>&, const Device&);         \
  template cudaError_t AttentionGrad<T>(const AttentionGradParams<T>&, const Device&);
ZIGMA_INSTANTIATE(float)
ZIGMA_INSTANTIATE(__half)
ZIGMA_INSTANTIATE(__nv_bfloat16)

}  // namespace zigma::cuda
