// The CPU: float on the fast kernels, double on the reference; on ONNX Runtime's threads.
#pragma once

#include <cstring>

#include "../../kernels/cpu/kernels.h"
#include "../../reference/reference.h"
#include "../custom_op.h"

namespace zigma::ops {

struct CpuBackend {
  static constexpr const char* kProvider = nullptr;
  static constexpr bool kOnHost = true;

#define ZIGMA_COMPUTE(Name, kernel)                                                          \
  template <typename T>                                                                      \
  static void Name(const Name##Params<T>& p, const Call& call) {                             \
    if constexpr (sizeof(T) == 4) cpu::BestKernels().kernel(p, call.Threads());              \
    else reference::Name(p);                                                                 \
  }
  ZIGMA_COMPUTE(ScanConv, scan_conv)
  ZIGMA_COMPUTE(ScanConvGrad, scan_conv_grad)
  ZIGMA_COMPUTE(SelectiveScan, selective_scan)
  ZIGMA_COMPUTE(SelectiveScanGrad, selective_scan_grad)
  ZIGMA_COMPUTE(AddNormModulate, add_norm_modulate)
  ZIGMA_COMPUTE(AddNormModulateGrad, add_norm_modulate_grad)
  ZIGMA_COMPUTE(GateAdd, gate_add)
  ZIGMA_COMPUTE(GateAddGrad, gate_add_grad)
  ZIGMA_COMPUTE(Attention, attention)
  ZIGMA_COMPUTE(AttentionGrad, attention_grad)
#undef ZIGMA_COMPUTE

  static void PowerChain(const PowerChainParams& p, const Call& call) { cpu::BestKernels().power_chain(p, call.Threads()); }

  static void Copy(void* to, const void* from, size_t size_bytes, const Call&) { std::memcpy(to, from, size_bytes); }

  // Rows of `size_bytes` that begin `pitch_bytes` apart.
  static void CopyRows(void* to, const void* from, size_t pitch_bytes, size_t size_bytes, size_t rows, const Call&) {
    for (size_t row = 0; row < rows; ++row)
      std::memcpy(static_cast<char*>(to) + row * pitch_bytes, static_cast<const char*>(from) + row * pitch_bytes, size_bytes);
  }
};

template <typename T> void AddOptimizer(OrtCustomOpDomain* domain);
void AddRandom(OrtCustomOpDomain* domain);

}  // namespace zigma::ops
