// The optimizer over all tensors at once: a launch takes as many of them as fit into a kernel's parameters, and a block one stretch of one.
#include <algorithm>

#include "columns.cuh"
#include "kernels.h"

namespace zigma::cuda {
namespace {

constexpr int kTensors = 280;     // of a launch
constexpr int kStretch = 32768;  // elements of a block
constexpr int kThreads = 256;

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

__device__ float Gradient(const TrainedTensor& tensor, int64_t i) {
  if (tensor.gradient_bits == 32) return static_cast<const float*>(tensor.gradient)[i];
  if (tensor.gradient_bits == 16) return ToFloat(static_cast<const __nv_bfloat16*>(tensor.gradient)[i]);
  return ToFloat(static_cast<const __half*>(tensor.gradient)[i]);
}

__device__ void SetShadow(const TrainedTensor& tensor, int64_t i, float param) {
  if (tensor.shadow_bits == 32) static_cast<float*>(tensor.shadow)[i] = param;
  else if (tensor.shadow_bits == 16) static_cast<__nv_bfloat16*>(tensor.shadow)[i] = __float2bfloat16_rn(param);
  else static_cast<__half*>(tensor.shadow)[i] = __float2half_rn(param);
}

__global__ void __launch_bounds__(kThreads) SquareSums(const __grid_constant__ Group group, float* shares) {
  __shared__ float room[kThreads / kWarp];
  const Stretch stretch = StretchOf(group);
  const TrainedTensor& tensor = group.tensors[stretch.tensor];
  float sum = 0;
  for (int64_t i = stretch.first + threadIdx.x; i < stretch.last; i += kThreads) {
    const float g = Gradient(tensor, i);
    sum += g * g;
  }
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

// As reference::AdamW.
__global__ void __launch_bounds__(kThreads) Update(const __grid_constant__ Group group, const float* hyper, const float* norm, const float* gradient_scale) {
  const Stretch stretch = StretchOf(group);
  const TrainedTensor& tensor = group.tensors[stretch.tensor];
  const float rate = hyper[0], beta1 = hyper[1], beta2 = hyper[2], epsilon = hyper[3], decay = hyper[4], ema_decay = hyper[5], clip = hyper[6];
  const float scaled = *norm * *gradient_scale;
  const float factor = *gradient_scale * (clip > 0 && scaled > clip ? clip / (scaled + 1e-6f) : 1.0f);
  const float correction1 = 1.0f / float(1.0 - pow(double(beta1), double(hyper[7])));
  const float correction2 = 1.0f / float(1.0 - pow(double(beta2), double(hyper[7])));
  const float kept = 1.0f - (tensor.decays ? rate * decay : 0.0f);
  const bool skip = !isfinite(*norm);
  for (int64_t i = stretch.first + threadIdx.x; i < stretch.last; i += kThreads) {
    const float g = skip ? 0.0f : Gradient(tensor, i) * factor;
    const float old = tensor.param[i], old_m = tensor.m[i], old_v = tensor.v[i], old_ema = tensor.ema[i];
    const float m = beta1 * old_m + (1.0f - beta1) * g;
    const float v = beta2 * old_v + (1.0f - beta2) * g * g;
    const float param = old * kept - rate * (m * correction1) / (sqrtf(v * correction2) + epsilon);
    tensor.new_m[i] = skip ? old_m : m;
    tensor.new_v[i] = skip ? old_v : v;
    tensor.new_param[i] = skip ? old : param;
    if (tensor.shadow) SetShadow(tensor, i, skip ? old : param);
    tensor.new_ema[i] = skip ? old_ema : ema_decay * old_ema + (1.0f - ema_decay) * param;
  }
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
