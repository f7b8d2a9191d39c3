// Causal depthwise convolution of width 4 along the scan, with the gather by scan order fused into its loads. Sixteen channels a lane block;
// a block walks the sequence once and keeps the last positions in registers.
#include <algorithm>
#include <vector>

#include "../../reference/reference.h"
#include "lanes.h"
#include "declarations.h"

namespace zigma::cpu::ZIGMA_ISA {
namespace {

constexpr int kTaps = 4;

struct Taps {
  Lanes weight[kTaps], bias;
};

Taps LoadTaps(const float* weight, const float* bias, int64_t e, int64_t count) {
  Taps taps;
  for (int k = 0; k < kTaps; ++k) {
    taps.weight[k] = Lanes{};
    for (int64_t i = 0; i < count; ++i) taps.weight[k][i] = weight[(e + i) * kTaps + k];
  }
  taps.bias = LoadSome(bias + e, count);
  return taps;
}

}  // namespace

void ScanConv(const ScanConvParams<float>& p, const Workers& workers) {
  if (p.width != kTaps) return reference::ScanConv(p);
  const int64_t blocks = (p.dim + kLanes - 1) / kLanes;
  workers.run(p.batch * blocks, [&](int64_t task) {
    const int64_t b = task / blocks, e = task % blocks * kLanes, count = std::min(kLanes, p.dim - e);
    const Taps taps = LoadTaps(p.weight, p.bias, e, count);
    const float* x = p.x + b * p.length * p.x_stride + e;
    float* y = p.y + b * p.length * p.dim + e;
    Lanes x1 = {}, x2 = {}, x3 = {};
    int64_t left = 0;
    for (int64_t j = 0; j < p.length; ++j, --left) {
      if (left == 0) x1 = x2 = x3 = Lanes{}, left = p.segment;
      const Lanes x0 = LoadSome(x + p.permutation[j] * p.x_stride, count);
      const Lanes sum = taps.bias + taps.weight[0] * x3 + taps.weight[1] * x2 + taps.weight[2] * x1 + taps.weight[3] * x0;
      StoreSome(y + j * p.dim, sum * Sigmoid(sum), count);
      x3 = x2, x2 = x1, x1 = x0;
    }
  });
}

// g = dy silu'(sum); dx at a position is complete three positions later, when the last window that holds it has been seen.
void ScanConvGrad(const ScanConvGradParams<float>& p, const Workers& workers) {
  if (p.width != kTaps) return reference::ScanConvGrad(p);
  const int64_t blocks = (p.dim + kLanes - 1) / kLanes;
  std::vector<Taps> partial(p.batch * blocks);
  workers.run(p.batch * blocks, [&](int64_t task) {
    const int64_t b = task / blocks, e = task % blocks * kLanes, count = std::min(kLanes, p.dim - e);
    const Taps taps = LoadTaps(p.weight, p.bias, e, count);
    const float* x = p.x + b * p.length * p.x_stride + e;
    const float* dy = p.dy + b * p.length * p.dim + e;
    const float* more = p.dy_more ? p.dy_more + b * p.length * p.dim + e : nullptr;
    float* dx = p.dx + b * p.length * p.dx_stride + e;
    Taps sums = {};
    for (int64_t start = 0; start < p.length; start += p.segment) {
      const int64_t end = std::min(start + p.segment, p.length);
      Lanes x1 = {}, x2 = {}, x3 = {}, g1 = {}, g2 = {}, g3 = {};
      for (int64_t j = start; j < end + kTaps - 1; ++j) {
        Lanes x0 = {}, g0 = {};
        if (j < end) {
          x0 = LoadSome(x + p.permutation[j] * p.x_stride, count);
          const Lanes sum = taps.bias + taps.weight[0] * x3 + taps.weight[1] * x2 + taps.weight[2] * x1 + taps.weight[3] * x0;
          const Lanes s = Sigmoid(sum);
          const Lanes arrived = LoadSome(dy + j * p.dim, count);
          g0 = (more ? arrived + LoadSome(more + j * p.dim, count) : arrived) * (s * (1.0f + sum * (1.0f - s)));
          sums.bias += g0;
          sums.weight[0] += g0 * x3, sums.weight[1] += g0 * x2, sums.weight[2] += g0 * x1, sums.weight[3] += g0 * x0;
        }
        if (j - (kTaps - 1) >= start) {
          const Lanes gradient = taps.weight[3] * g3 + taps.weight[2] * g2 + taps.weight[1] * g1 + taps.weight[0] * g0;
          StoreSome(dx + p.permutation[j - (kTaps - 1)] * p.dx_stride, gradient, count);
        }
        x3 = x2, x2 = x1, x1 = x0;
        g3 = g2, g2 = g1, g1 = g0;
      }
    }
    partial[task] = sums;
  });
  for (int64_t e = 0; e < p.dim; ++e) {
    float bias = 0, weight[kTaps] = {};
    for (int64_t b = 0; b < p.batch; ++b) {
      const Taps& sums = partial[b * blocks + e / kLanes];
      bias += sums.bias[e % kLanes];
      for (int k = 0; k < kTaps; ++k) weight[k] += sums.weight[k][e % kLanes];
    }
    p.d_bias[e] = bias;
    std::copy(weight, weight + kTaps, p.d_weight + e * kTaps);
  }
}

}  // namespace zigma::cpu::ZIGMA_ISA
