// libzigma_ops_cuda: the operations on an NVIDIA GPU.
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
  AddTimeSteps<CudaBackend, T>(domain);
  AddScans<CudaBackend, T>(domain);
  AddBlock<CudaBackend, T>(domain);
  AddOrder<CudaBackend, T>(domain);
}

}  // namespace
}  // namespace zigma::ops

extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  return zigma::ops::Register(options, base, [](OrtCustomOpDomain* domain) {
    zigma::ops::AddAll<float>(domain);
    zigma::ops::AddAll<__half>(domain);
    zigma::ops::AddAll<__nv_bfloat16>(domain);
    zigma::ops::AddOptimizer(domain);
    zigma::ops::AddRandom(domain);
    zigma::ops::AddBench<zigma::ops::CudaBackend>(domain);
  });
}
