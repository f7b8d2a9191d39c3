// The selective scan, a register of channels a lane block, its 16 states in registers. exp is most of the work: one for each channel, state and
// position. Backward goes chunk by chunk from the end, eight states at a time: it runs the chunk forward again from the state kept at its
// border, keeps that chunk's states and decays (32 KiB for a chunk of 32: L1), and walks back over them. Eight states and not sixteen, because
// their gradients and those of A then stay in registers: all at once take three times as long.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "../../reference/reference.h"
#include "declarations.h"
#include "lanes.h"

namespace zigma::cpu::ZIGMA_ISA {
namespace {

constexpr int kStates = 16;
constexpr int kHalf = kStates / 2;
constexpr int64_t kMaxChunk = 64;
// Positions between the one at work and the one that is fetched: rows are too far apart for the processor to guess.
constexpr int64_t kAhead = 6;
// Lane blocks that one task of the backward pass goes through: their shares of dB and dC are summed on the way.
constexpr int64_t kBlocksPerTask = 64 / kLanes;

// What a lane block needs of A, transposed so that a state's channels are one vector.
struct Rates {
  Lanes a[kStates];
  Lanes log2_a[kStates];  // a / ln 2: exp(delta a) = 2^(delta log2_a)
};

Rates LoadRates(const float* a, int64_t e, int64_t count) {
  Rates rates;
  for (int n = 0; n < kStates; ++n) {
    rates.a[n] = Lanes{};
    for (int64_t i = 0; i < count; ++i) rates.a[n][i] = a[(e + i) * kStates + n];
    rates.log2_a[n] = rates.a[n] * 1.44269504f;
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
    const int64_t row = b * p.length * p.dim + e, z_row = b * p.length * p.z_stride + e;
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
      if (const int64_t ahead = l + kAhead; ahead < p.length) {
        __builtin_prefetch(p.delta + row + ahead * p.dim);
        __builtin_prefetch(p.u + row + ahead * p.dim);
        if (p.z) __builtin_prefetch(p.z + z_row + Token(p, ahead) * p.z_stride);
        __builtin_prefetch(p.y + row + Token(p, ahead) * p.dim, 1);
      }
      Lanes delta = LoadSome(p.delta + row + l * p.dim, count) + bias;
      if (p.delta_softplus) delta = Softplus(delta);
      const Lanes u = LoadSome(p.u + row + l * p.dim, count);
      const Lanes du = delta * u;
      const float* bn = p.b + (b * p.length + l) * p.bc_stride;
      const float* cn = p.c + (b * p.length + l) * p.bc_stride;
      Lanes y = skip * u;
#pragma GCC unroll 16
      for (int n = 0; n < kStates; ++n) {
        h[n] = Exp2(delta * rates.log2_a[n]) * h[n] + du * bn[n];
        y += h[n] * cn[n];
      }
      const int64_t token = row + Token(p, l) * p.dim;
      if (p.z) {
        const Lanes z = LoadSome(p.z + z_row + Token(p, l) * p.z_stride, count);
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
  const std::unique_ptr<float[]> all_shares(new float[p.batch * groups * 2 * states]);

  workers.run(p.batch * groups, [&](int64_t task) {
    const int64_t b = task / groups, group = task % groups;
    // [length][half][eight of dB, eight of dC]
    float* shares = all_shares.get() + task * 2 * states;
    // A chunk at a time and eight states at a time: what the loops over positions touch again and again stays in registers and in L1.
    alignas(64) Lanes before[kMaxChunk][kHalf], decay[kMaxChunk][kHalf];
    alignas(64) Lanes deltas[kMaxChunk], delta_us[kMaxChunk], dys[kMaxChunk], ys[kMaxChunk], through_bs[kMaxChunk], through_as[kMaxChunk];

    for (int64_t block = group * kBlocksPerTask; block < std::min(blocks, (group + 1) * kBlocksPerTask); ++block) {
      const bool first = block == group * kBlocksPerTask;
      const int64_t e = block * kLanes, count = std::min(kLanes, p.dim - e), row = b * p.length * p.dim + e;
      const int64_t z_row = b * p.length * p.z_stride + e, dz_row = b * p.length * g.dz_stride + e;
      const Rates rates = LoadRates(p.a, e, count);
      const Lanes bias = p.delta_bias ? LoadSome(p.delta_bias + e, count) : Lanes{};
      const Lanes skip = p.d ? LoadSome(p.d + e, count) : Lanes{};
      Sums sum = {};
      Lanes carried[kStates] = {};  // the gradient of the state, on its way from later chunks to earlier ones

      for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
        const int64_t start = chunk * p.chunk, size = std::min(p.chunk, p.length - start);
        const float* border = p.borders + (b * chunks + chunk) * kStates * p.dim + e;
        for (int64_t i = 0; i < size; ++i) {
          const int64_t at = row + (start + i) * p.dim, token = row + Token(p, start + i) * p.dim;
          const Lanes raw = LoadSome(p.delta + at, count) + bias;
          const Lanes u = LoadSome(p.u + at, count), dy = LoadSome(g.dy + token, count);
          deltas[i] = p.delta_softplus ? Softplus(raw) : raw;
          delta_us[i] = deltas[i] * u;
          ys[i] = skip * u;
          through_bs[i] = through_as[i] = Lanes{};
          dys[i] = dy;
          if (p.z) {
            const Lanes z = LoadSome(p.z + z_row + Token(p, start + i) * p.z_stride, count);
            dys[i] = dy * z * Sigmoid(z);
          }
        }

        for (int half = 0; half < kStates; half += kHalf) {
          Lanes state[kHalf], dh[kHalf], sum_a[kHalf];
          for (int n = 0; n < kHalf; ++n) {
            state[n] = LoadSome(border + (half + n) * p.dim, count);
            dh[n] = carried[half + n];
            sum_a[n] = sum.a[half + n];
          }
          for (int64_t i = 0; i < size; ++i) {
            const float* bn = p.b + (b * p.length + start + i) * p.bc_stride + half;
            // Where the state starts anew nothing is left of the one before.
            const bool fresh = (start + i) % p.segment == 0;
#pragma GCC unroll 8
            for (int n = 0; n < kHalf; ++n) {
              before[i][n] = state[n];
              decay[i][n] = fresh ? Lanes{} : Exp2(deltas[i] * rates.log2_a[half + n]);
              state[n] = decay[i][n] * state[n] + delta_us[i] * bn[n];
            }
          }
          for (int64_t i = size - 1; i >= 0; --i) {
            const int64_t l = b * p.length + start + i;
            const float* bn = p.b + l * p.bc_stride + half;
            const float* cn = p.c + l * p.bc_stride + half;
            const Lanes dy = dys[i], delta_u = delta_us[i], delta = deltas[i];
            Lanes rows[2 * kHalf], y = ys[i], through_b = through_bs[i], through_a = through_as[i];
#pragma GCC unroll 8
            for (int n = 0; n < kHalf; ++n) {
              // `state` is here the state after this position; the one before it is the next to be looked at.
              y += state[n] * cn[n];
              rows[kHalf + n] = state[n] * dy;
              dh[n] += dy * cn[n];
              rows[n] = dh[n] * delta_u;
              through_b += dh[n] * bn[n];
              dh[n] *= decay[i][n];
              const Lanes along = dh[n] * before[i][n];
              through_a += along * rates.a[half + n];
              sum_a[n] += along * delta;
              state[n] = before[i][n];
            }
            ys[i] = y, through_bs[i] = through_b, through_as[i] = through_a;
            float* share = shares + (start + i) * 2 * kStates + 2 * half;
            for (int row = 0; row < 2 * kHalf; row += kLanes, share += kLanes) {
              const Lanes summed = SumRows(rows + row);
              Store(share, first ? summed : Load(share) + summed);
            }
          }
          for (int n = 0; n < kHalf; ++n) carried[half + n] = dh[n], sum.a[half + n] = sum_a[n];
        }

        for (int64_t i = 0; i < size; ++i) {
          const int64_t at = row + (start + i) * p.dim, token = Token(p, start + i);
          const Lanes u = LoadSome(p.u + at, count);
          Lanes d_raw = through_bs[i] * u + through_as[i];
          if (p.delta_softplus) d_raw *= Sigmoid(LoadSome(p.delta + at, count) + bias);
          StoreSome(g.d_delta + at, d_raw, count);
          StoreSome(g.du + at, dys[i] * skip + through_bs[i] * deltas[i], count);
          sum.bias += d_raw;
          sum.d += dys[i] * u;
          if (g.dz) {
            const Lanes z = LoadSome(p.z + z_row + token * p.z_stride, count), s = Sigmoid(z);
            StoreSome(g.dz + dz_row + token * g.dz_stride, LoadSome(g.dy + row + token * p.dim, count) * ys[i] * (s * (1.0f + z * (1.0f - s))), count);
          }
        }
      }
      sums[b * blocks + block] = sum;
    }
  });

  workers.run(p.batch, [&](int64_t b) {
    const int64_t rows = b * p.length * g.d_bc_stride;
    if (g.d_rows) std::fill_n(g.d_rows + rows, p.length * g.d_bc_stride, 0.0f);
    for (int64_t i = 0; i < states; i += kHalf) {
      const int64_t to = rows + i / kStates * g.d_bc_stride + i % kStates;
      float sum[2 * kHalf] = {};
      for (int64_t group = 0; group < groups; ++group)
        for (int k = 0; k < 2 * kHalf; ++k) sum[k] += all_shares[(b * groups + group) * 2 * states + 2 * i + k];
      if (g.d_b) std::copy_n(sum, kHalf, g.d_b + to);
      if (g.d_c) std::copy_n(sum + kHalf, kHalf, g.d_c + to);
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
