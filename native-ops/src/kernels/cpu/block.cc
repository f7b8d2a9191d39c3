// What surrounds the mixer: residual add, norm and modulation in one pass over a row, gates, and the optimizer's update.
#include <algorithm>
#include <cmath>
#include <vector>

#include "../../reference/reference.h"
#include "declarations.h"
#include "lanes.h"

namespace zigma::cpu::ZIGMA_ISA {
namespace {

constexpr int64_t kRowsPerTask = 32;
constexpr int64_t kElementsPerTask = 16384;

// Tasks of at most kRowsPerTask rows of one sample each, so that sums over a sample's rows are sums over its tasks.
struct RowTasks {
  int64_t length, per_sample, count;
  RowTasks(int64_t batch, int64_t length) : length(length), per_sample((length + kRowsPerTask - 1) / kRowsPerTask), count(batch * per_sample) {}
  int64_t Sample(int64_t task) const { return task / per_sample; }
  int64_t First(int64_t task) const { return Sample(task) * length + task % per_sample * kRowsPerTask; }
  int64_t Last(int64_t task) const { return Sample(task) * length + std::min(length, (task % per_sample + 1) * kRowsPerTask); }
};

// sums[task][dim] -> out[dim], in the order of the tasks.
void AddUp(const std::vector<float>& sums, int64_t first, int64_t last, int64_t dim, float* out) {
  std::fill(out, out + dim, 0.0f);
  for (int64_t task = first; task < last; ++task)
    for (int64_t i = 0; i < dim; ++i) out[i] += sums[task * dim + i];
}

ZIGMA_INLINE Lanes Or(const float* p, int64_t i, int64_t count, float otherwise) { return p ? LoadSome(p + i, count) : Splat(otherwise); }

// The gate alone and the gate in front of a norm give the same bits: a training step that computes again must not drift from one that keeps.
ZIGMA_INLINE Lanes Gated(Lanes n, const float* gate, Lanes y, int64_t count) { return n + LoadSome(gate, count) * y; }

// What a gate multiplies, at channel i of the row that begins at `at`.
template <typename P>
ZIGMA_INLINE Lanes Branch(const P& p, int64_t at, int64_t i, int64_t count) {
  const Lanes y = LoadSome(p.y + at + i, count);
  return p.y_bias ? y + LoadSome(p.y_bias + i, count) : y;
}

// A task's share of the sums over rows that a gate's gradient takes.
struct GateShare {
  float *d_gate, *d_y_bias;  // [dim]; the second may be null
};

// From the gradient d of a gated sum at channel i of the row that begins at `at`, in sample b.
template <typename P>
ZIGMA_INLINE void GradeGate(const P& p, Lanes d, int64_t b, int64_t at, int64_t i, int64_t count, const GateShare& share) {
  const auto add = [&](float* to, Lanes x) { StoreSome(to, LoadSome(to, count) + x, count); };
  const Lanes dy = d * LoadSome(p.gate + b * p.dim + i, count);
  add(share.d_gate + i, d * Branch(p, at, i, count));
  StoreSome(p.dy + at + i, dy, count);  // perhaps over y, which was read
  if (share.d_y_bias) add(share.d_y_bias + i, dy);
}

}  // namespace

void AddNormModulate(const AddNormModulateParams<float>& p, const Workers& workers) {
  const RowTasks tasks(p.batch, p.length);
  workers.run(tasks.count, [&](int64_t task) {
    const int64_t b = tasks.Sample(task);
    const float keep = p.keep ? p.keep[b] : 1.0f;
    std::vector<float> summed(p.dim);
    for (int64_t row = tasks.First(task); row < tasks.Last(task); ++row) {
      const int64_t at = row * p.dim;
      float* r = p.new_residual ? p.new_residual + at : summed.data();
      Lanes sum = {}, squares = {};
      for (int64_t i = 0; i < p.dim; i += kLanes) {
        const int64_t count = std::min(kLanes, p.dim - i);
        Lanes x = Or(p.h, at + i, count, 0.0f);
        if (p.gate) x = Gated(x, p.gate + b * p.gate_stride + i, Branch(p, at, i, count), count);
        if (p.gated) StoreSome(p.gated + at + i, x, count);
        x *= keep;
        if (p.residual) x += LoadSome(p.residual + at + i, count);
        StoreSome(r + i, x, count);
        sum += x;
        squares += x * x;
      }
      float mean = 0, power = Sum(squares) / float(p.dim);
      if (p.layer_norm) {
        mean = Sum(sum) / float(p.dim);
        squares = Lanes{};  // a second pass over the row in cache: the difference of large sums would lose digits
        for (int64_t i = 0; i < p.dim; i += kLanes) {
          const int64_t count = std::min(kLanes, p.dim - i);
          Lanes x = LoadSome(r + i, count) - mean;
          for (int64_t lane = count; lane < kLanes; ++lane) x[lane] = 0;
          squares += x * x;
        }
        power = Sum(squares) / float(p.dim);
      }
      const float rstd = 1.0f / std::sqrt(power + float(p.epsilon));
      if (p.mean) p.mean[row] = mean;
      if (p.rstd) p.rstd[row] = rstd;
      for (int64_t i = 0; i < p.dim; i += kLanes) {
        const int64_t count = std::min(kLanes, p.dim - i);
        Lanes n = (LoadSome(r + i, count) - mean) * rstd;
        if (p.weight) n *= LoadSome(p.weight + i, count);
        if (p.bias) n += LoadSome(p.bias + i, count);
        if (p.normalized) StoreSome(p.normalized + at + i, n, count);
        if (p.scale) n *= 1.0f + LoadSome(p.scale + b * p.scale_stride + i, count);
        if (p.shift) n += LoadSome(p.shift + b * p.shift_stride + i, count);
        StoreSome(p.modulated + at + i, n, count);
      }
    }
  });
}

void AddNormModulateGrad(const AddNormModulateGradParams<float>& p, const Workers& workers) {
  const RowTasks tasks(p.batch, p.length);
  const auto shares = [&](bool wanted) { return std::vector<float>(wanted ? tasks.count * p.dim : 0); };
  std::vector<float> weight(shares(p.d_weight)), bias(shares(p.d_bias)), shift(shares(p.d_shift)), scale(shares(p.d_scale)), gate(shares(p.d_gate)),
      y_bias(shares(p.d_y_bias));
  workers.run(tasks.count, [&](int64_t task) {
    const int64_t b = tasks.Sample(task);
    std::vector<float> g(p.dim), normal(p.dim);
    const float keep = p.keep ? p.keep[b] : 1.0f;
    const GateShare gate_share = {gate.data() + task * p.dim, p.d_y_bias ? y_bias.data() + task * p.dim : nullptr};
    const auto add = [&](std::vector<float>& sums, int64_t i, Lanes x, int64_t count) {
      if (sums.empty()) return;
      float* to = sums.data() + task * p.dim + i;
      StoreSome(to, LoadSome(to, count) + x, count);
    };
    for (int64_t row = tasks.First(task); row < tasks.Last(task); ++row) {
      const int64_t at = row * p.dim;
      const float mean = p.layer_norm ? p.mean[row] : 0.0f, rstd = p.rstd[row];
      Lanes sum_g = {}, sum_gn = {};
      for (int64_t i = 0; i < p.dim; i += kLanes) {
        const int64_t count = std::min(kLanes, p.dim - i);
        Lanes dm = LoadSome(p.d_modulated + at + i, count);
        if (p.d_modulated_more) dm += LoadSome(p.d_modulated_more + at + i, count);
        const Lanes x = (LoadSome(p.r + at + i, count) - mean) * rstd;
        const Lanes w = Or(p.weight, i, count, 1.0f);
        Lanes dn = dm * (1.0f + Or(p.scale, b * p.dim + i, count, 0.0f));
        if (p.d_normalized) dn += LoadSome(p.d_normalized + at + i, count);
        add(shift, i, dm, count);
        add(scale, i, dm * (x * w + Or(p.bias, i, count, 0.0f)), count);
        add(weight, i, dn * x, count);
        add(bias, i, dn, count);
        const Lanes gi = dn * w;
        StoreSome(g.data() + i, gi, count);
        StoreSome(normal.data() + i, x, count);
        if (count == kLanes) {
          sum_g += gi;
          sum_gn += gi * x;
        } else {
          for (int64_t lane = 0; lane < count; ++lane) sum_g[lane] += gi[lane], sum_gn[lane] += gi[lane] * x[lane];
        }
      }
      const float mean_g = p.layer_norm ? Sum(sum_g) / float(p.dim) : 0.0f, mean_gn = Sum(sum_gn) / float(p.dim);
      for (int64_t i = 0; i < p.dim; i += kLanes) {
        const int64_t count = std::min(kLanes, p.dim - i);
        Lanes dr = rstd * (LoadSome(g.data() + i, count) - mean_g - LoadSome(normal.data() + i, count) * mean_gn);
        if (p.d_residual) dr += LoadSome(p.d_residual + at + i, count);
        if (p.d_residual_in) StoreSome(p.d_residual_in + at + i, dr, count);
        dr *= keep;
        if (p.d_gated) dr += LoadSome(p.d_gated + at + i, count);
        StoreSome(p.dh + at + i, dr, count);
        if (p.gate) GradeGate(p, dr, b, at, i, count, gate_share);
      }
    }
  });
  if (p.d_weight) AddUp(weight, 0, tasks.count, p.dim, p.d_weight);
  if (p.d_bias) AddUp(bias, 0, tasks.count, p.dim, p.d_bias);
  if (p.d_y_bias) AddUp(y_bias, 0, tasks.count, p.dim, p.d_y_bias);
  for (int64_t b = 0; b < p.batch; ++b) {
    if (p.d_shift) AddUp(shift, b * tasks.per_sample, (b + 1) * tasks.per_sample, p.dim, p.d_shift + b * p.dim);
    if (p.d_scale) AddUp(scale, b * tasks.per_sample, (b + 1) * tasks.per_sample, p.dim, p.d_scale + b * p.dim);
    if (p.d_gate) AddUp(gate, b * tasks.per_sample, (b + 1) * tasks.per_sample, p.dim, p.d_gate + b * p.dim);
  }
}

void GateAdd(const GateAddParams<float>& p, const Workers& workers) {
  const RowTasks tasks(p.batch, p.length);
  workers.run(tasks.count, [&](int64_t task) {
    const float* gate = p.gate + tasks.Sample(task) * p.gate_stride;
    for (int64_t row = tasks.First(task); row < tasks.Last(task); ++row)
      for (int64_t i = 0; i < p.dim; i += kLanes) {
        const int64_t count = std::min(kLanes, p.dim - i), at = row * p.dim;
        StoreSome(p.out + at + i, Gated(LoadSome(p.n + at + i, count), gate + i, Branch(p, at, i, count), count), count);
      }
  });
}

void GateAddGrad(const GateAddGradParams<float>& p, const Workers& workers) {
  const RowTasks tasks(p.batch, p.length);
  std::vector<float> gate(tasks.count * p.dim), y_bias(p.d_y_bias ? tasks.count * p.dim : 0);
  workers.run(tasks.count, [&](int64_t task) {
    const GateShare share = {gate.data() + task * p.dim, p.d_y_bias ? y_bias.data() + task * p.dim : nullptr};
    for (int64_t row = tasks.First(task); row < tasks.Last(task); ++row)
      for (int64_t i = 0; i < p.dim; i += kLanes) {
        const int64_t count = std::min(kLanes, p.dim - i), at = row * p.dim;
        GradeGate(p, LoadSome(p.d_out + at + i, count), tasks.Sample(task), at, i, count, share);
      }
  });
  if (p.d_y_bias) AddUp(y_bias, 0, tasks.count, p.dim, p.d_y_bias);
  for (int64_t b = 0; b < p.batch; ++b) AddUp(gate, b * tasks.per_sample, (b + 1) * tasks.per_sample, p.dim, p.d_gate + b * p.dim);
}

// The reference's formula on elements [first, last). Outputs are the inputs' own memory or wholly elsewhere: no element depends on another.
static void UpdateStretch(const AdamWParams<float>& p, int64_t first, int64_t last) {
  const AdamWHyper& h = p.hyper;
  const float beta1 = float(h.beta1), rest1 = float(1.0 - h.beta1), beta2 = float(h.beta2), rest2 = float(1.0 - h.beta2);
  const float rate = float(h.learning_rate / (1.0 - std::pow(h.beta1, h.step)));
  const float correction = float(1.0 / (1.0 - std::pow(h.beta2, h.step))), epsilon = float(h.epsilon);
  const float decayed = float(1.0 - (p.decays ? h.learning_rate * h.weight_decay : 0.0));
  const float ema_decay = float(h.ema_decay), ema_rest = float(1.0 - h.ema_decay), factor = float(p.gradient_factor);
#pragma GCC ivdep
  for (int64_t i = first; i < last; ++i) {
    const float g = p.gradient[i] * factor;
    const float m = beta1 * p.m[i] + rest1 * g;
    const float v = beta2 * p.v[i] + rest2 * g * g;
    const float param = p.param[i] * decayed - rate * m / (std::sqrt(v * correction) + epsilon);
    p.new_ema[i] = ema_decay * p.ema[i] + ema_rest * param;
    p.new_m[i] = m, p.new_v[i] = v, p.new_param[i] = param;
  }
}

void AdamW(const AdamWParams<float>& p, const Workers& workers) {
  if (p.skip) return reference::AdamW(p);
  workers.run((p.size + kElementsPerTask - 1) / kElementsPerTask, [&](int64_t task) {
    UpdateStretch(p, task * kElementsPerTask, std::min(p.size, (task + 1) * kElementsPerTask));
  });
}

}  // namespace zigma::cpu::ZIGMA_ISA
