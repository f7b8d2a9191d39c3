// The optimizer over all tensors at once: a launch takes as many of them as fit into a kernel's parameters, and a block one stretch of one.
#include <algorithm>
#include <initializer_list>

#include "kernels.h"
#include "types.cuh"

namespace zigma::cuda {
namespace {

constexpr int kTensors = 280;     // of a launch
constexpr int kStretch = 16384;  // elements of a block: many blocks, so that the last ones are a small part of the time
constexpr int kThreads = 256;
constexpr int kWeights = 4;  // that a thread updates at once: 16 bytes of each tensor of floats

struct Group {
  int count;
  int first_block[kTensors + 1];
  TrainedTensor tensors[kTensors];
};
static_assert(sizeof(Group) <= 32000, "a kernel takes at most 32764 bytes of parameters");

// Which stretch of which tensor is this block's.
struct Stretch {
  int tensor;
  int64_t first, last;
};

__device__ Stretch StretchOf(const Group& group) {
  int low = 0, high = group.count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (group.first_block[middle] <= int(blockIdx.x)) low = middle;
    else high = middle - 1;
  }
  const int64_t first = int64_t(blockIdx.x - group.first_block[low]) * kStretch;
  return {low, first, min(first + kStretch, group.tensors[low].size)};
}

__device__ bool Aligned(std::initializer_list<const void*> addresses) {
  uintptr_t all = 0;
  for (const void* address : addresses) all |= reinterpret_cast<uintptr_t>(address);
  return all % 16 == 0;
}

template <int V>
__device__ void LoadGradient(const TrainedTensor& tensor, int64_t i, float (&g)[V]) {
  if (tensor.gradient_bits == 32) Load<V>(static_cast<const float*>(tensor.gradient) + i, g);
  else if (tensor.gradient_bits == 16) Load<V>(static_cast<const __nv_bfloat16*>(tensor.gradient) + i, g);
  else Load<V>(static_cast<const __half*>(tensor.gradient) + i, g);
}

template <int V>
__device__ void StoreShadow(const TrainedTensor& tensor, int64_t i, const float (&param)[V]) {
  if (tensor.shadow_bits == 32) Store<V>(static_cast<float*>(tensor.shadow) + i, param);
  else if (tensor.shadow_bits == 16) Store<V>(static_cast<__nv_bfloat16*>(tensor.shadow) + i, param);
  else Store<V>(static_cast<__half*>(tensor.shadow) + i, param);
}

// The threads' shares of `step(i)` over a stretch: V elements at once where their addresses allow it, and one by one what is left.
template <int V, typename Step, typename StepOfOne>
__device__ void Walk(const Stretch& stretch, bool aligned, const Step& step, const StepOfOne& step_of_one) {
  const int64_t whole = aligned ? stretch.first + (stretch.last - stretch.first) / V * V : stretch.first;
  for (int64_t i = stretch.first + int64_t(threadIdx.x) * V; i < whole; i += kThreads * V) step(i);
  for (int64_t i = whole + threadIdx.x; i < stretch.last; i += kThreads) step_of_one(i);
}

template <typename T>
__device__ float SquareSum(const T* gradient, const Stretch& stretch) {
  float sum = 0;
  const auto add = [&](auto& g) {
#pragma unroll
    for (float x : g) sum += x * x;
  };
  constexpr int V = kVector<T>;
  Walk<V>(
      stretch, Aligned({gradient}),
      [&](int64_t i) {
        float g[V];
        Load<V>(gradient + i, g);
        add(g);
      },
      [&](int64_t i) {
        float g[1];
        Load<1>(gradient + i, g);
        add(g);
      });
  return sum;
}

__global__ void __launch_bounds__(kThreads) SquareSums(const __grid_constant__ Group group, float* shares) {
  __shared__ float room[kThreads / kWarp];
  const Stretch stretch = StretchOf(group);
  const TrainedTensor& tensor = group.tensors[stretch.tensor];
  float sum = tensor.gradient_bits == 32   ? SquareSum(static_cast<const float*>(tensor.gradient), stretch)
              : tensor.gradient_bits == 16 ? SquareSum(static_cast<const __nv_bfloat16*>(tensor.gradient), stretch)
                                           : SquareSum(static_cast<const __half*>(tensor.gradient), stretch);
  sum = WarpSum(sum);
  if (threadIdx.x % kWarp == 0) room[threadIdx.x / kWarp] = sum;
  __syncthreads();
  if (threadIdx.x >= kWarp) return;
  const float total = WarpSum(threadIdx.x < kThreads / kWarp ? room[threadIdx.x] : 0.0f);
  if (threadIdx.x == 0) shares[blockIdx.x] = total;
}

__global__ void Root(const float* shares, int count, float* norm) {
  __shared__ double room[1024];
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += 1024) sum += shares[i];
  room[threadIdx.x] = sum;
  for (int half = 512; half > 0; half /= 2) {
    __syncthreads();
    if (int(threadIdx.x) < half) room[threadIdx.x] += room[threadIdx.x + half];
  }
  if (threadIdx.x == 0) *norm = float(sqrt(room[0]));
}

// Numbers that all weights of a tensor share.
struct Rates {
  float rate, beta1, beta2, epsilon, ema_decay, factor, correction1, correction2, kept;
  bool skip;
};

// As reference::AdamW, for V neighboring weights.
template <int V>
__device__ void UpdateAt(const TrainedTensor& tensor, int64_t i, const Rates& r) {
  float param[V], m[V], v[V], ema[V], g[V];
  Load<V>(tensor.param + i, param);
  Load<V>(tensor.m + i, m);
  Load<V>(tensor.v + i, v);
  Load<V>(tensor.ema + i, ema);
  LoadGradient<V>(tensor, i, g);  // last, for it waits until its numbers are there
  if (!r.skip)
#pragma unroll
    for (int k = 0; k < V; ++k) {
      g[k] *= r.factor;
      m[k] = r.beta1 * m[k] + (1.0f - r.beta1) * g[k];
      v[k] = r.beta2 * v[k] + (1.0f - r.beta2) * g[k] * g[k];
      param[k] = param[k] * r.kept - r.rate * (m[k] * r.correction1) / (sqrtf(v[k] * r.correction2) + r.epsilon);
      ema[k] = r.ema_decay * ema[k] + (1.0f - r.ema_decay) * param[k];
    }
  Store<V>(tensor.new_m + i, m);
  Store<V>(tensor.new_v + i, v);
  Store<V>(tensor.new_param + i, param);
  if (tensor.shadow) StoreShadow<V>(tensor, i, param);
  Store<V>(tensor.new_ema + i, ema);
}

// 1 - beta^step, without the cancellation of that form.
__device__ float Bias(float beta, float step) { return -expm1f(step * logf(beta)); }

__global__ void __launch_bounds__(kThreads) Update(const __grid_constant__ Group group, const float* hyper, const float* norm, const float* gradient_scale) {
  const Stretch stretch = StretchOf(group);
  const TrainedTensor& t = group.tensors[stretch.tensor];
  const float rate = hyper[0], decay = hyper[4], clip = hyper[6], step = hyper[7];
  const float scaled = *norm * *gradient_scale;
  const Rates r = {rate, hyper[1], hyper[2], hyper[3], hyper[5], *gradient_scale * (clip > 0 && scaled > clip ? clip / (scaled + 1e-6f) : 1.0f),
                   1.0f / Bias(hyper[1], step), 1.0f / Bias(hyper[2], step), 1.0f - (t.decays ? rate * decay : 0.0f), !isfinite(*norm)};
  const bool aligned = Aligned({t.param, t.m, t.v, t.ema, t.gradient, t.new_param, t.new_m, t.new_v, t.new_ema, t.shadow});
  Walk<kWeights>(stretch, aligned, [&](int64_t i) { UpdateAt<kWeights>(t, i, r); }, [&](int64_t i) { UpdateAt<1>(t, i, r); });
}

template <typename Launch>
void EachGroup(const TrainedTensor* tensors, int64_t count, const Launch& launch) {
  for (int64_t first = 0; first < count; first += kTensors) {
    Group group = {};
    group.count = int(std::min<int64_t>(kTensors, count - first));
    for (int i = 0; i < group.count; ++i) {
      group.tensors[i] = tensors[first + i];
      group.first_block[i + 1] = group.first_block[i] + DivideUp(tensors[first + i].size, kStretch);
    }
    launch(group, group.first_block[group.count]);
  }
}

}  // namespace

cudaError_t GlobalNorm(const TrainedTensor* tensors, int64_t count, float* norm, const Device& device) {
  int blocks = 0;
  for (int64_t i = 0; i < count; ++i) blocks += DivideUp(tensors[i].size, kStretch);
  float* shares = device.Scratch<float>(size_t(blocks));
  int done = 0;
  EachGroup(tensors, count, [&](const Group& group, int many) {
    SquareSums<<<many, kThreads, 0, device.stream>>>(group, shares + done);
    done += many;
  });
  Root<<<1, 1024, 0, device.stream>>>(shares, blocks, norm);
  return cudaGetLastError();
}

cudaError_t AdamW(const TrainedTensor* tensors, int64_t count, const float* hyper, const float* norm, const float* gradient_scale, const Device& device) {
  EachGroup(tensors, count, [&](const Group& group, int many) {
    Update<<<many, kThreads, 0, device.stream>>>(group, hyper, norm, gradient_scale);
  });
  return cudaGetLastError();
}

}  // namespace zigma::cuda
