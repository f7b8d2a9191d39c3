// An NVIDIA GPU: everything is asynchronous on ONNX Runtime's stream, in memory of its arena.
#pragma once

#include <vector>

#include "../../kernels/cuda/kernels.h"
#include "../custom_op.h"

namespace zigma::ops {

template <> struct Onnx<__half> { static constexpr auto type = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16; };
template <> struct Onnx<__nv_bfloat16> { static constexpr auto type = ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16; };

// The device during one call; scratch memory goes back to the arena at its end, where later work of the same stream may have it.
class DeviceCall {
 public:
  explicit DeviceCall(const Call& call);
  ~DeviceCall();
  DeviceCall(const DeviceCall&) = delete;
  DeviceCall& operator=(const DeviceCall&) = delete;

  const cuda::Device& device() const { return device_; }
  // Throws a sentence with the operation's name unless the launch succeeded.
  void Check(cudaError_t status) const;

 private:
  const char* op_;
  OrtAllocator* arena_ = nullptr;
  std::vector<void*> taken_;
  cuda::Device device_;
};

struct CudaBackend {
  static constexpr const char* kProvider = ZIGMA_PROVIDER;  // CUDA's, or on the emulated device the CPU's
  static constexpr bool kOnHost = false;

#define ZIGMA_COMPUTE(Name)                                        \
  template <typename T>                                            \
  static void Name(const Name##Params<T>& p, const Call& call) {   \
    const DeviceCall at(call);                                     \
    at.Check(cuda::Name(p, at.device()));                          \
  }
  ZIGMA_COMPUTE(ScanConv)
  ZIGMA_COMPUTE(ScanConvGrad)
  ZIGMA_COMPUTE(TimeSteps)
  ZIGMA_COMPUTE(SelectiveScan)
  ZIGMA_COMPUTE(SelectiveScanGrad)
  ZIGMA_COMPUTE(AddNormModulate)
  ZIGMA_COMPUTE(AddNormModulateGrad)
  ZIGMA_COMPUTE(GateAdd)
  ZIGMA_COMPUTE(GateAddGrad)
  ZIGMA_COMPUTE(Attention)
  ZIGMA_COMPUTE(AttentionGrad)
#undef ZIGMA_COMPUTE

  static void PowerChain(const PowerChainParams& p, const Call& call) {
    const DeviceCall at(call);
    at.Check(cuda::PowerChain(p, at.device()));
  }

  static void Copy(void* to, const void* from, size_t size_bytes, const Call& call) {
    const DeviceCall at(call);
    at.Check(cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyDeviceToDevice, at.device().stream));
  }

  // Rows of `size_bytes` that begin `pitch_bytes` apart.
  static void CopyRows(void* to, const void* from, size_t pitch_bytes, size_t size_bytes, size_t rows, const Call& call) {
    const DeviceCall at(call);
    at.Check(cudaMemcpy2DAsync(to, pitch_bytes, from, pitch_bytes, size_bytes, rows, cudaMemcpyDeviceToDevice, at.device().stream));
  }
};

void AddOptimizer(OrtCustomOpDomain* domain);
void AddRandom(OrtCustomOpDomain* domain);

}  // namespace zigma::ops
