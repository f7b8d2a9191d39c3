// The CUDA kernels, on the same parameters as the reference. T is float, __half or __nv_bfloat16; what is Wide is float. All of them are
// asynchronous on the device's stream and give the same bits at every run: sums over blocks go through scratch memory in a fixed order.
#pragma once

#include "device.h"
#include "element.h"

namespace zigma::cuda {

template <typename T> cudaError_t ScanConv(const ScanConvParams<T>& p, const Device& device);
template <typename T> cudaError_t ScanConvGrad(const ScanConvGradParams<T>& p, const Device& device);
template <typename T> cudaError_t TimeSteps(const TimeStepsParams<T>& p, const Device& device);
template <typename T> cudaError_t SelectiveScan(const SelectiveScanParams<T>& p, const Device& device);
template <typename T> cudaError_t SelectiveScanGrad(const SelectiveScanGradParams<T>& p, const Device& device);
template <typename T> cudaError_t AddNormModulate(const AddNormModulateParams<T>& p, const Device& device);
template <typename T> cudaError_t AddNormModulateGrad(const AddNormModulateGradParams<T>& p, const Device& device);
template <typename T> cudaError_t GateAdd(const GateAddParams<T>& p, const Device& device);
template <typename T> cudaError_t GateAddGrad(const GateAddGradParams<T>& p, const Device& device);
template <typename T> cudaError_t Attention(const AttentionParams<T>& p, const Device& device);
template <typename T> cudaError_t AttentionGrad(const AttentionGradParams<T>& p, const Device& device);

// One tensor of an optimizer step. Gradients may have fewer bits than weights.
struct TrainedTensor {
  int64_t size;
  const void* gradient;
  int gradient_bits;  // 32: float; 16: __nv_bfloat16; -16: __half
  bool decays;
  const float *param, *m, *v, *ema;
  float *new_param, *new_m, *new_v, *new_ema;
  void* shadow;     // the new weight once more, in the type of computation; or null
  int shadow_bits;  // as gradient_bits
};

// Square root of the sum of all squares of the gradients, [1].
cudaError_t GlobalNorm(const TrainedTensor* tensors, int64_t count, float* norm, const Device& device);
// hyper [8], norm [1], gradient_scale [1] lie on the device. A norm that is not finite changes nothing.
cudaError_t AdamW(const TrainedTensor* tensors, int64_t count, const float* hyper, const float* norm, const float* gradient_scale, const Device& device);

// As PhiloxParams, with seed and step [1] and sample [batch] on the device.
cudaError_t Philox(const PhiloxParams& p, const int64_t* seed, const int64_t* step, float* out, const Device& device);

cudaError_t PowerChain(const PowerChainParams& p, const Device& device);

}  // namespace zigma::cuda
