#include <algorithm>

#include "declarations.h"
#include "lanes.h"

namespace zigma::cpu::ZIGMA_ISA {

constexpr int64_t kAtOnce = 8;  // vectors whose chains run side by side: one alone would wait for itself

void PowerChain(const PowerChainParams& p, const Workers& workers) {
  constexpr int64_t block = kAtOnce * kLanes;
  workers.run((p.size + block - 1) / block, [&](int64_t task) {
    const int64_t first = task * block, count = std::min(block, p.size - first);
    Lanes x[kAtOnce];
    for (int64_t i = 0; i < kAtOnce; ++i) x[i] = LoadSome(p.x + first + std::min(i * kLanes, count), std::clamp(count - i * kLanes, int64_t(0), kLanes));
    for (int64_t round = 0; round < p.rounds; ++round)
      for (int64_t i = 0; i < kAtOnce; ++i) x[i] = Exp2(-x[i]);
    for (int64_t i = 0; i * kLanes < count; ++i) StoreSome(p.y + first + i * kLanes, x[i], std::min(kLanes, count - i * kLanes));
  });
}

}  // namespace zigma::cpu::ZIGMA_ISA
