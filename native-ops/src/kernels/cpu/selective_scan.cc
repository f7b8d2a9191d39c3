// The selective scan, sixteen channels a lane block, its 16 states in registers. exp is most of the work: one for each channel, state and
// position. Backward goes chunk by chunk from the end: it runs the chunk forward again from the state kept at its border, keeps that chunk's
// states and decays (64 KiB for a chunk of 32), and walks back over them.
#include <algorithm>
#include <memory>
#include <vector>

#include "../../reference/reference.h"
#include "declarations.h"
#include "lanes.h"

namespace zigma::cpu::ZIGMA_ISA {
namespace {

constexpr int kStates = 16;
constexpr int64_t kMaxChunk = 64;
// Lane blocks that one task of the backward pass goes through: their shares of dB and dC are summed on the way.
constexpr int64_t kBlocksPerTask = 4;

// What a lane block needs of A, transposed so that a state's sixteen channels are one vector.
struct Rates {
  Lanes a[kStates];
};

Rates LoadRates(const float* a, int64_t e, int64_t count) {
  Rates rates;
  for (int n = 0; n < kStates; ++n) {
    rates.a[n] = Lanes{};
    for (int64_t i = 0; i < count; ++i) rates.a[n][i] = a[(e + i) * kStates + n];
  }
  return rates;
}

ZIGMA_INLINE int64_t Token(const SelectiveScanParams<float>& p, int64_t l) { return p.permutation ? p.permutation[l] : l; }

bool Fits(const SelectiveScanParams<float>& p) { return p.state == kStates && p.chunk <= kMaxChunk; }

}  // namespace

void SelectiveScan(const SelectiveScanParams<float>& p, const Workers& workers) {
  if (!Fits(p)) return reference::SelectiveScan(p);
  const int64_t blocks = (p.dim + kLanes - 1) / kLanes, chunks = (p.length + p.chunk - 1) / p.chunk;
  workers.run(p.batch * blocks, [&](int64_t task) {
    const int64_t b = task / blocks, e = task % blocks * kLanes, count = std::min(kLanes, p.dim - e);
    const Rates rates = LoadRates(p.a, e, count);
    const Lanes bias = p.delta_bias ? LoadSome(p.delta_bias + e, count) : Lanes{};
    const Lanes skip = p.d ? LoadSome(p.d + e, count) : Lanes{};
    const int64_t row = b * p.length * p.dim + e;
    Lanes h[kStates] = {};
    int64_t segment_left = 0, chunk_left = 0;
    float* border = p.borders ? p.borders + b * chunks * kStates * p.dim + e : nullptr;
    for (int64_t l = 0; l < p.length; ++l, --segment_left, --chunk_left) {
      if (segment_left == 0) {
        std::fill(h, h + kStates, Lanes{});
        segment_left = p.segment;
      }
      if (chunk_left == 0) {
        chunk_left = p.chunk;
        if (border)
          for (int n = 0; n < kStates; ++n, border += p.dim) StoreSome(border, h[n], count);
      }
      Lanes delta = LoadSome(p.delta + row + l * p.dim, count) + bias;
      if (p.delta_softplus) delta = Softplus(delta);
      const Lanes u = LoadSome(p.u + row + l * p.dim, count);
      const Lanes du = delta * u;
      const float* bn = p.b + (b * p.length + l) * kStates;
      const float* cn = p.c + (b * p.length + l) * kStates;
      Lanes y = skip * u;
#pragma GCC unroll 16
      for (int n = 0; n < kStates; ++n) {
        h[n] = Exp(delta * rates.a[n]) * h[n] + du * bn[n];
        y += h[n] * cn[n];
      }
      const int64_t token = row + Token(p, l) * p.dim;
      if (p.z) {
        const Lanes z = LoadSome(p.z + token, count);
        y = y * z * Sigmoid(z);
      }
      StoreSome(p.y + token, y, count);
    }
  });
}

void SelectiveScanGrad(const SelectiveScanGradParams<float>& g, const Workers& workers) {
  const SelectiveScanParams<float>& p = g.forward;
  if (!Fits(p) || !p.borders) return reference::SelectiveScanGrad(g);
  const int64_t blocks = (p.dim + kLanes - 1) / kLanes, groups = (blocks + kBlocksPerTask - 1) / kBlocksPerTask;
  const int64_t chunks = (p.length + p.chunk - 1) / p.chunk, states = p.length * kStates;

  // Shares of the sums over channels (dB, dC: one a task) and over the batch (dA, dD, dDeltaBias: one a lane block and sample).
  struct Sums {
    Lanes a[kStates], d, bias;
  };
  std::vector<Sums> sums(p.batch * blocks);
  const std::unique_ptr<float[]> share_b(new float[p.batch * groups * states]), share_c(new float[p.batch * groups * states]);

  workers.run(p.batch * groups, [&](int64_t task) {
    const int64_t b = task / groups, group = task % groups;
    float* db = share_b.get() + task * states;
    float* dc = share_c.get() + task * states;
    alignas(64) Lanes before[kMaxChunk][kStates], decay[kMaxChunk][kStates];
    alignas(64) Lanes after[kStates];
    alignas(64) Lanes deltas[kMaxChunk], slopes[kMaxChunk];

    for (int64_t block = group * kBlocksPerTask; block < std::min(blocks, (group + 1) * kBlocksPerTask); ++block) {
      const bool first = block == group * kBlocksPerTask;
      const int64_t e = block * kLanes, count = std::min(kLanes, p.dim - e), row = b * p.length * p.dim + e;
      const Rates rates = LoadRates(p.a, e, count);
      const Lanes bias = p.delta_bias ? LoadSome(p.delta_bias + e, count) : Lanes{};
      const Lanes skip = p.d ? LoadSome(p.d + e, count) : Lanes{};
      Sums sum = {};
      Lanes dh[kStates] = {};

      for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
        const int64_t start = chunk * p.chunk, size = std::min(p.chunk, p.length - start);
        const float* border = p.borders + (b * chunks + chunk) * kStates * p.dim + e;
        for (int n = 0; n < kStates; ++n) after[n] = LoadSome(border + n * p.dim, count);
        for (int64_t i = 0; i < size; ++i) {
          const int64_t l = start + i;
          const Lanes raw = LoadSome(p.delta + row + l * p.dim, count) + bias;
          const Lanes delta = p.delta_softplus ? Softplus(raw) : raw;
          deltas[i] = delta;
          slopes[i] = p.delta_softplus ? Sigmoid(raw) : Splat(1);
          const Lanes du = delta * LoadSome(p.u + row + l * p.dim, count);
          const float* bn = p.b + (b * p.length + l) * kStates;
          const bool fresh = l % p.segment == 0;
#pragma GCC unroll 16
          for (int n = 0; n < kStates; ++n) {
            const Lanes last = fresh ? Lanes{} : after[n];
            before[i][n] = last;
            decay[i][n] = Exp(delta * rates.a[n]);
            after[n] = decay[i][n] * last + du * bn[n];
          }
        }

        for (int64_t i = size - 1; i >= 0; --i) {
          const int64_t l = start + i, at = row + l * p.dim, token = row + Token(p, l) * p.dim;
          const float* bn = p.b + (b * p.length + l) * kStates;
          const float* cn = p.c + (b * p.length + l) * kStates;
          const Lanes u = LoadSome(p.u + at, count), delta = deltas[i], delta_u = delta * u;
          Lanes dy = LoadSome(g.dy + token, count);
          Lanes rows_b[kStates], rows_c[kStates];
          // The state after this position, once more from what is kept: y needs it for the gate's gradient, C for its own.
          Lanes y = skip * u;
#pragma GCC unroll 16
          for (int n = 0; n < kStates; ++n) {
            rows_c[n] = decay[i][n] * before[i][n] + delta_u * bn[n];
            y += rows_c[n] * cn[n];
          }
          if (p.z) {
            const Lanes z = LoadSome(p.z + token, count), s = Sigmoid(z);
            if (g.dz) StoreSome(g.dz + token, dy * y * (s * (1.0f + z * (1.0f - s))), count);
            dy = dy * z * s;
          }
          Lanes through_b = {}, through_a = {};
          const bool fresh = l % p.segment == 0;
#pragma GCC unroll 16
          for (int n = 0; n < kStates; ++n) {
            dh[n] += dy * cn[n];
            rows_c[n] *= dy;
            rows_b[n] = dh[n] * delta_u;
            through_b += dh[n] * bn[n];
            const Lanes carried = dh[n] * decay[i][n];
            const Lanes along = carried * before[i][n];
            through_a += along * rates.a[n];
            sum.a[n] += along * delta;
            dh[n] = fresh ? Lanes{} : carried;
          }
          StoreSome(g.du + at, dy * skip + through_b * delta, count);
          const Lanes d_raw = (through_b * u + through_a) * slopes[i];
          StoreSome(g.d_delta + at, d_raw, count);
          sum.bias += d_raw;
          sum.d += dy * u;
          const Lanes sum_b = SumRows(rows_b), sum_c = SumRows(rows_c);
          Store(db + l * kStates, first ? sum_b : Load(db + l * kStates) + sum_b);
          Store(dc + l * kStates, first ? sum_c : Load(dc + l * kStates) + sum_c);
        }
      }
      sums[b * blocks + block] = sum;
    }
  });

  workers.run(p.batch, [&](int64_t b) {
    for (int64_t i = 0; i < states; i += kLanes) {
      Lanes sum_b = {}, sum_c = {};
      for (int64_t group = 0; group < groups; ++group) {
        sum_b += Load(share_b.get() + (b * groups + group) * states + i);
        sum_c += Load(share_c.get() + (b * groups + group) * states + i);
      }
      Store(g.d_b + b * states + i, sum_b);
      Store(g.d_c + b * states + i, sum_c);
    }
  });
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t e = block * kLanes, count = std::min(kLanes, p.dim - e);
    Sums total = {};
    for (int64_t b = 0; b < p.batch; ++b) {
      const Sums& sum = sums[b * blocks + block];
      for (int n = 0; n < kStates; ++n) total.a[n] += sum.a[n];
      total.d += sum.d, total.bias += sum.bias;
    }
    for (int64_t i = 0; i < count; ++i)
      for (int n = 0; n < kStates; ++n) g.d_a[(e + i) * kStates + n] = total.a[n][i];
    if (g.d_d) StoreSome(g.d_d + e, total.d, count);
    if (g.d_delta_bias) StoreSome(g.d_delta_bias + e, total.bias, count);
  }
}

}  // namespace zigma::cpu::ZIGMA_ISA
