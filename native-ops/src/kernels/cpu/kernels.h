// The fast float32 kernels: one set for each instruction set, compiled from the same sources, chosen once at run time.
#pragma once

#include "../params.h"
#include "../workers.h"

namespace zigma::cpu {

struct Kernels {
  const char* instruction_set;
  void (*scan_conv)(const ScanConvParams<float>&, const Workers&);
  void (*scan_conv_grad)(const ScanConvGradParams<float>&, const Workers&);
  void (*selective_scan)(const SelectiveScanParams<float>&, const Workers&);
  void (*selective_scan_grad)(const SelectiveScanGradParams<float>&, const Workers&);
  void (*add_norm_modulate)(const AddNormModulateParams<float>&, const Workers&);
  void (*add_norm_modulate_grad)(const AddNormModulateGradParams<float>&, const Workers&);
  void (*gate_add)(const GateAddParams<float>&, const Workers&);
  void (*gate_add_grad)(const GateAddGradParams<float>&, const Workers&);
  void (*attention)(const AttentionParams<float>&, const Workers&);
  void (*attention_grad)(const AttentionGradParams<float>&, const Workers&);
  void (*adam_w)(const AdamWParams<float>&, const Workers&);
  void (*power_chain)(const PowerChainParams&, const Workers&);
};

namespace baseline { extern const Kernels kKernels; }
#if defined(__x86_64__)
namespace avx2 { extern const Kernels kKernels; }
namespace avx512 { extern const Kernels kKernels; }
#endif

// The best set that this processor runs.
const Kernels& BestKernels();
// The set of that name ("baseline", "avx2", "avx512"), or null where this processor does not run it.
const Kernels* KernelsNamed(const char* instruction_set);

}  // namespace zigma::cpu
