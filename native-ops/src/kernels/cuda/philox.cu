// The numbers of ../philox.h, a block of four a thread. Compiled without contraction: the bits must be those of every other device.
#include "../philox.h"
#include "kernels.h"
#include "types.cuh"

namespace zigma::cuda {
namespace {

__global__ void Draw(PhiloxParams p, const int64_t* seed, const int64_t* step, float* out) {
  const int64_t block = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (block * 4 >= p.size) return;
  const PhiloxBlock words = Philox4x32(uint32_t(block), p.stream, uint32_t(*step), uint32_t(p.sample[blockIdx.y]), uint64_t(*seed));
  float four[4];
  if (p.normal) {
    NormalPair(words.x[0], words.x[1], &four[0], &four[1]);
    NormalPair(words.x[2], words.x[3], &four[2], &four[3]);
  } else {
    for (int i = 0; i < 4; ++i) four[i] = UniformFloat(words.x[i]);
  }
  for (int i = 0; i < 4; ++i)
    if (block * 4 + i < p.size) out[blockIdx.y * p.size + block * 4 + i] = four[i];
}

}  // namespace

cudaError_t Philox(const PhiloxParams& p, const int64_t* seed, const int64_t* step, float* out, const Device& device) {
  Draw<<<dim3(DivideUp(p.size, 4 * 256), unsigned(p.batch)), 256, 0, device.stream>>>(p, seed, step, out);
  return cudaGetLastError();
}

}  // namespace zigma::cuda
