#include <cstdlib>
#include <cstring>

#include "kernels.h"

namespace zigma::cpu {

const Kernels* KernelsNamed(const char* instruction_set) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  if (std::strcmp(instruction_set, "avx512") == 0) return avx512 ? &avx512::kKernels : nullptr;
  if (std::strcmp(instruction_set, "avx2") == 0) return avx2 ? &avx2::kKernels : nullptr;
#endif
  return std::strcmp(instruction_set, "baseline") == 0 ? &baseline::kKernels : nullptr;
}

const Kernels& BestKernels() {
  static const Kernels& best = []() -> const Kernels& {
    // A narrower set can be asked for, to test it on a processor that knows wider ones. One that is not there is not used.
    const char* wanted = std::getenv("ZIGMA_INSTRUCTION_SET");
    if (const Kernels* kernels = wanted ? KernelsNamed(wanted) : nullptr) return *kernels;
    for (const char* name : {"avx512", "avx2"})
      if (const Kernels* kernels = KernelsNamed(name)) return *kernels;
    return baseline::kKernels;
  }();
  return best;
}

}  // namespace zigma::cpu
