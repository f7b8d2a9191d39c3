// libzigma_ops: the operations on the CPU.
#include "../bench_ops.h"
#include "../block_ops.h"
#include "../library.h"
#include "../order_ops.h"
#include "../scan_ops.h"
#include "backend.h"

namespace zigma::ops {
namespace {

template <typename T>
void AddAll(OrtCustomOpDomain* domain) {
  AddScans<CpuBackend, T>(domain);
  AddBlock<CpuBackend, T>(domain);
  AddOrder<CpuBackend, T>(domain);
  AddOptimizer<T>(domain);
}

}  // namespace
}  // namespace zigma::ops

extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  return zigma::ops::Register(options, base, [](OrtCustomOpDomain* domain) {
    zigma::ops::AddAll<float>(domain);
    zigma::ops::AddAll<double>(domain);
    zigma::ops::AddRandom(domain);
    zigma::ops::AddBench<zigma::ops::CpuBackend>(domain);
  });
}
