// The stream between the mixers: residual sum, norm and modulation in one pass over a token's channels, a warp a token; and the gate.
#include <algorithm>

#include "columns.cuh"
#include "kernels.h"

namespace zigma::cuda {
namespace {

constexpr int kWarps = 8;       // of a block

// Lane `lane` has K pieces of V neighboring channels: piece k begins at channel (k 32 + lane) V.
template <int V>
__device__ inline int Channel(int k) { return (k * kWarp + int(threadIdx.x) % kWarp) * V; }

template <int K, int V, typename T>
__device__ inline void LoadRow(const T* row, int dim, float (&to)[K][V]) {
#pragma unroll
  for (int k = 0; k < K; ++k)
    if (row && Channel<V>(k) < dim) Load<V>(row + Channel<V>(k), to[k]);
    else
#pragma unroll
      for (int i = 0; i < V; ++i) to[k][i] = 0;
}

template <int K, int V, typename T>
__device__ inline void StoreRow(T* row, int dim, const float (&from)[K][V]) {
#pragma unroll
  for (int k = 0; k < K; ++k)
    if (Channel<V>(k) < dim) Store<V>(row + Channel<V>(k), from[k]);
}

template <typename T, int V, int K, bool kGated>
__global__ void __launch_bounds__(kWarps* kWarp) Norm(AddNormModulateParams<T> p) {
  const int64_t row = int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (row >= p.batch * p.length) return;
  const int dim = int(p.dim), b = int(row / p.length);
  const int64_t at = row * dim, sample = int64_t(b) * dim;
  float r[K][V], other[K][V];
  LoadRow<K, V>(p.h + at, dim, r);
  LoadRow<K, V>(p.residual ? p.residual + at : nullptr, dim, other);
  if constexpr (kGated) {
    float y[K][V];
    LoadRow<K, V>(p.y + at, dim, y);
#pragma unroll
    for (int k = 0; k < K; ++k) {
      if (Channel<V>(k) >= dim) continue;
      float gate[V];
      Load<V>(p.gate + sample + Channel<V>(k), gate);
#pragma unroll
      for (int i = 0; i < V; ++i) r[k][i] += gate[i] * y[k][i];
    }
    if (p.gated) StoreRow<K, V>(p.gated + at, dim, r);
  }
  const float keep = p.keep ? p.keep[b] : 1.0f;
  float sum = 0, power = 0;
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int i = 0; i < V; ++i) r[k][i] = r[k][i] * keep + other[k][i], sum += r[k][i];
  if (p.new_residual) StoreRow<K, V>(p.new_residual + at, dim, r);
  const float mean = p.layer_norm ? WarpSum(sum) / float(dim) : 0.0f;
#pragma unroll
  for (int k = 0; k < K; ++k)
    if (Channel<V>(k) < dim)
#pragma unroll
      for (int i = 0; i < V; ++i) power += (r[k][i] - mean) * (r[k][i] - mean);
  const float rstd = rsqrtf(WarpSum(power) / float(dim) + float(p.epsilon));
  if (threadIdx.x % kWarp == 0) {
    if (p.mean) p.mean[row] = mean;
    if (p.rstd) p.rstd[row] = rstd;
  }
#pragma unroll
  for (int k = 0; k < K; ++k) {
    const int channel = Channel<V>(k);
    if (channel >= dim) continue;
    float weight[V], bias[V] = {}, scale[V] = {}, shift[V] = {}, n[V], m[V];
    if (p.weight) Load<V>(p.weight + channel, weight);
    if (p.bias) Load<V>(p.bias + channel, bias);
    if (p.scale) Load<V>(p.scale + sample + channel, scale);
    if (p.shift) Load<V>(p.shift + sample + channel, shift);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      n[i] = (r[k][i] - mean) * rstd * (p.weight ? weight[i] : 1.0f) + bias[i];
      m[i] = n[i] * (1.0f + scale[i]) + shift[i];
    }
    if (p.normalized) Store<V>(p.normalized + at + channel, n);
    Store<V>(p.modulated + at + channel, m);
  }
}

// Tokens whose gradients a block adds up: fewer where there are few tokens, so that every multiprocessor has a block.
inline int RowsOfBlock(int64_t batch, int64_t length, int processors) {
  int rows = 64;
  while (rows > kWarps && batch * DivideUp(length, rows) < processors) rows /= 2;
  return rows;
}

// Sums of a block's tokens: weight, bias, shift, scale, gate, in this order, each where it is wanted.
constexpr int kSums = 5;

template <typename T, int V, int K, bool kBias, bool kModulated, bool kGated>
__global__ void __launch_bounds__(kWarps* kWarp) NormGrad(AddNormModulateGradParams<T> p, int rows, float* shares) {
  __shared__ float room[kWarps][kWarp];
  const int dim = int(p.dim), b = blockIdx.y, length = int(p.length);
  const int64_t sample = int64_t(b) * dim;
  float d_weight[K][V] = {}, d_bias[kBias ? K : 1][V] = {}, d_shift[kModulated ? K : 1][V] = {}, d_scale[kModulated ? K : 1][V] = {};
  float d_gate[kGated ? K : 1][V] = {};
  const float keep = p.keep ? p.keep[b] : 1.0f;
  const int last = min(length, int(blockIdx.x + 1) * rows);
  for (int l = blockIdx.x * rows + threadIdx.x / kWarp; l < last; l += kWarps) {
    const int64_t row = int64_t(b) * length + l, at = row * dim;
    float normal[K][V], g[K][V], direct[K][V];
    LoadRow<K, V>(p.r + at, dim, normal);
    LoadRow<K, V>(p.d_modulated + at, dim, g);
    LoadRow<K, V>(p.d_modulated_more ? p.d_modulated_more + at : nullptr, dim, direct);
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int i = 0; i < V; ++i) g[k][i] += direct[k][i];
    LoadRow<K, V>(p.d_normalized ? p.d_normalized + at : nullptr, dim, direct);
    const float mean = p.layer_norm ? p.mean[row] : 0.0f, rstd = p.rstd[row];
    float sum = 0, along = 0;
#pragma unroll
    for (int k = 0; k < K; ++k) {
      const int channel = Channel<V>(k);
      if (channel >= dim) continue;
      float weight[V], bias[V] = {}, scale[V] = {};
      if (p.weight) Load<V>(p.weight + channel, weight);
      if (kBias && p.bias) Load<V>(p.bias + channel, bias);
      if (kModulated && p.scale) Load<V>(p.scale + sample + channel, scale);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        const float w = p.weight ? weight[i] : 1.0f, dm = g[k][i];
        normal[k][i] = (normal[k][i] - mean) * rstd;
        const float dn = dm * (1.0f + scale[i]) + direct[k][i];
        if constexpr (kModulated) d_shift[k][i] += dm, d_scale[k][i] += dm * (normal[k][i] * w + bias[i]);
        d_weight[k][i] += dn * normal[k][i];
        if constexpr (kBias) d_bias[k][i] += dn;
        g[k][i] = dn * w;
        sum += g[k][i], along += g[k][i] * normal[k][i];
      }
    }
    const float mean_g = p.layer_norm ? WarpSum(sum) / float(dim) : 0.0f, mean_gn = WarpSum(along) / float(dim);
    LoadRow<K, V>(p.d_residual ? p.d_residual + at : nullptr, dim, direct);
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int i = 0; i < V; ++i) g[k][i] = rstd * (g[k][i] - mean_g - normal[k][i] * mean_gn) + direct[k][i];
    if (p.d_residual_in) StoreRow<K, V>(p.d_residual_in + at, dim, g);
#pragma unroll
    for (int k = 0; k < K; ++k) {
      const int channel = Channel<V>(k);
      if (channel >= dim) continue;
      float more[V] = {};
      if (p.d_gated) Load<V>(p.d_gated + at + channel, more);
#pragma unroll
      for (int i = 0; i < V; ++i) g[k][i] = g[k][i] * keep + more[i];
      Store<V>(p.dh + at + channel, g[k]);
      if constexpr (kGated) {
        float y[V], gate[V];
        Load<V>(p.y + at + channel, y);
        Load<V>(p.gate + sample + channel, gate);
#pragma unroll
        for (int i = 0; i < V; ++i) d_gate[k][i] += g[k][i] * y[i], g[k][i] *= gate[i];
        Store<V>(p.dy + at + channel, g[k]);
      }
    }
  }
  const auto add = [&](int which, auto& values, bool wanted) {
    if (!wanted) return;  // the same for all threads
    float* share = shares + ((int64_t(which) * gridDim.y + b) * gridDim.x + blockIdx.x) * dim;
#pragma unroll
    for (int k = 0; k < K; ++k)
      SumOverWarps(values[k], room, [&](int i, float sum) {
        if (Channel<V>(k) < dim) share[Channel<V>(k) + i] = sum;
      });
  };
  add(0, d_weight, p.d_weight);
  if constexpr (kBias) add(1, d_bias, p.d_bias);
  if constexpr (kModulated) add(2, d_shift, p.d_shift), add(3, d_scale, p.d_scale);
  if constexpr (kGated) add(4, d_gate, true);
}

template <typename T, int V>
__global__ void Gate(GateAddParams<T> p) {
  const int64_t piece = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, pieces = p.dim / V;
  if (piece >= p.batch * p.length * pieces) return;
  const int64_t row = piece / pieces, channel = piece % pieces * V, at = row * p.dim + channel;
  float n[V], gate[V], y[V];
  Load<V>(p.n + at, n);
  Load<V>(p.y + at, y);
  Load<V>(p.gate + row / p.length * p.dim + channel, gate);
#pragma unroll
  for (int i = 0; i < V; ++i) n[i] += gate[i] * y[i];
  Store<V>(p.out + at, n);
}

template <typename T, int V>
__global__ void __launch_bounds__(kWarps* kWarp) GateGrad(GateAddGradParams<T> p, int rows, float* shares) {
  __shared__ float room[kWarps][kWarp];
  const int dim = int(p.dim), b = blockIdx.z, channel = int(blockIdx.x) * kWarp * V + Channel<V>(0);
  const bool inside = channel < dim;
  float gate[V] = {}, d_gate[V] = {};
  if (inside) Load<V>(p.gate + int64_t(b) * dim + channel, gate);
  const int last = min(int(p.length), int(blockIdx.y + 1) * rows);
#pragma unroll 4
  for (int l = blockIdx.y * rows + threadIdx.x / kWarp; l < last; l += kWarps) {
    if (!inside) continue;
    const int64_t at = (int64_t(b) * p.length + l) * dim + channel;
    float d_out[V], y[V];
    Load<V>(p.d_out + at, d_out);
    Load<V>(p.y + at, y);
#pragma unroll
    for (int i = 0; i < V; ++i) d_gate[i] += d_out[i] * y[i], d_out[i] *= gate[i];
    Store<V>(p.dy + at, d_out);
  }
  float* share = shares + (int64_t(b) * gridDim.y + blockIdx.y) * dim + channel;
  SumOverWarps(d_gate, room, [&](int i, float sum) {
    if (inside) share[i] = sum;
  });
}

template <typename T, int V>
cudaError_t RunGate(const GateAddParams<T>& p, const Device& device) {
  Gate<T, V><<<DivideUp(p.batch * p.length * (p.dim / V), 256), 256, 0, device.stream>>>(p);
  return cudaGetLastError();
}

template <typename T, int V>
cudaError_t RunGate(const GateAddGradParams<T>& p, const Device& device) {
  const int rows = RowsOfBlock(p.batch, p.length, device.processors), parts = DivideUp(p.length, rows);
  float* shares = device.Scratch<float>(p.batch * parts * p.dim);
  GateGrad<T, V><<<dim3(DivideUp(p.dim, kWarp * V), parts, unsigned(p.batch)), kWarps * kWarp, 0, device.stream>>>(p, rows, shares);
  AddShares(shares, p.batch, parts, p.dim, p.d_gate, device.stream);
  return cudaGetLastError();
}

// Channels a lane up to which the gate's sums fit into registers beside the norm's. Beyond that, and with a bias, its gradient is a kernel of its own.
constexpr int kGatedChannels = 24;

template <typename T, int V, int K>
cudaError_t Run(const AddNormModulateParams<T>& p, const Device& device) {
  const auto kernel = p.gate ? Norm<T, V, K, true> : Norm<T, V, K, false>;
  kernel<<<DivideUp(p.batch * p.length, kWarps), kWarps * kWarp, 0, device.stream>>>(p);
  return cudaGetLastError();
}

template <typename T, int V, int K>
cudaError_t Run(const AddNormModulateGradParams<T>& p, const Device& device) {
  const int rows = RowsOfBlock(p.batch, p.length, device.processors), parts = DivideUp(p.length, rows);
  const int64_t each = p.batch * parts * p.dim;
  float* shares = device.Scratch<float>(kSums * each);
  const dim3 grid(parts, unsigned(p.batch));
  const bool has_bias = p.bias || p.d_bias, modulated = p.scale || p.shift || p.d_scale || p.d_shift;
  const bool together = p.gate && !has_bias && K * V <= kGatedChannels;
  const auto kernel = together ? NormGrad<T, V, K, false, true, K * V <= kGatedChannels>
                      : has_bias ? modulated ? NormGrad<T, V, K, true, true, false> : NormGrad<T, V, K, true, false, false>
                                 : modulated ? NormGrad<T, V, K, false, true, false> : NormGrad<T, V, K, false, false, false>;
  kernel<<<grid, kWarps * kWarp, 0, device.stream>>>(p, rows, shares);
  if (p.d_weight) AddShares(shares, 1, int(p.batch) * parts, p.dim, p.d_weight, device.stream);
  if (p.d_bias) AddShares(shares + each, 1, int(p.batch) * parts, p.dim, p.d_bias, device.stream);
  if (p.d_shift) AddShares(shares + 2 * each, p.batch, parts, p.dim, p.d_shift, device.stream);
  if (p.d_scale) AddShares(shares + 3 * each, p.batch, parts, p.dim, p.d_scale, device.stream);
  if (together) AddShares(shares + 4 * each, p.batch, parts, p.dim, p.d_gate, device.stream);
  if (p.gate && !together) return RunGate<T, V>(GateAddGradParams<T>{p.batch, p.length, p.dim, p.gate, p.y, p.dh, p.d_gate, p.dy}, device);
  return cudaGetLastError();
}

// The fewest pieces that hold a token. Channels that do not fill 16 bytes go one by one.
template <typename T, template <typename> typename P>
cudaError_t Dispatch(const P<T>& p, const Device& device) {
  constexpr int V = kVector<T>;
  if (p.dim % V == 0) {
    switch (DivideUp(p.dim, kWarp * V)) {
      case 1: return Run<T, V, 1>(p, device);
      case 2: return Run<T, V, 2>(p, device);
      case 3: return Run<T, V, 3>(p, device);
      case 4: return Run<T, V, 4>(p, device);
      case 5: case 6: return Run<T, V, 6>(p, device);
      case 7: case 8: return Run<T, V, 8>(p, device);
    }
  }
  if (p.dim <= kWarp * 2) return Run<T, 1, 2>(p, device);
  if (p.dim <= kWarp * 8) return Run<T, 1, 8>(p, device);
  if (p.dim <= kWarp * 32) return Run<T, 1, 32>(p, device);
  return cudaErrorInvalidValue;
}

}  // namespace

template <typename T>
cudaError_t AddNormModulate(const AddNormModulateParams<T>& p, const Device& device) { return Dispatch<T>(p, device); }
template <typename T>
cudaError_t AddNormModulateGrad(const AddNormModulateGradParams<T>& p, const Device& device) { return Dispatch<T>(p, device); }
template <typename T>
cudaError_t GateAdd(const GateAddParams<T>& p, const Device& device) {
  return p.dim % kVector<T> == 0 ? RunGate<T, kVector<T>>(p, device) : RunGate<T, 1>(p, device);
}
template <typename T>
cudaError_t GateAddGrad(const GateAddGradParams<T>& p, const Device& device) {
  return p.dim % kVector<T> == 0 ? RunGate<T, kVector<T>>(p, device) : RunGate<T, 1>(p, device);
}

#define ZIGMA_INSTANTIATE(T)                                                                       \
  template cudaError_t AddNormModulate<T>(const AddNormModulateParams<T>&, const Device&);         \
  template cudaError_t AddNormModulateGrad<T>(const AddNormModulateGradParams<T>&, const Device&); \
  template cudaError_t GateAdd<T>(const GateAddParams<T>&, const Device&);                         \
  template cudaError_t GateAddGrad<T>(const GateAddGradParams<T>&, const Device&);
ZIGMA_INSTANTIATE(float)
ZIGMA_INSTANTIATE(__half)
ZIGMA_INSTANTIATE(__nv_bfloat16)

}  // namespace zigma::cuda
