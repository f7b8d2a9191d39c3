// x <- 2^-x again and again, in registers: as many special functions a second as the device has.
#include "kernels.h"
#include "types.cuh"

namespace zigma::cuda {
namespace {

__global__ void Chain(PowerChainParams p) {
  const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= p.size) return;
  float x = p.x[at];
#pragma unroll 16
  for (int64_t round = 0; round < p.rounds; ++round) x = Exp2(-x);
  p.y[at] = x;
}

}  // namespace

cudaError_t PowerChain(const PowerChainParams& p, const Device& device) {
  Chain<<<DivideUp(p.size, 256), 256, 0, device.stream>>>(p);
  return cudaGetLastError();
}

}  // namespace zigma::cuda
