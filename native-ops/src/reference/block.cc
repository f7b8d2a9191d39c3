#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "reference.h"

namespace zigma::reference {
namespace {

// What a gate multiplies, at channel i of the row that begins at `at`.
template <typename P>
auto Branch(const P& p, int64_t at, int64_t i) { return p.y_bias ? p.y[at + i] + p.y_bias[i] : p.y[at + i]; }

}  // namespace

// gated = h + gate (y + y_bias);   r = keep gated + residual;   n = (r - mean) rstd weight + bias;   modulated = n (1 + scale) + shift
template <typename T>
void AddNormModulate(const AddNormModulateParams<T>& p) {
  std::vector<T> r(p.dim);
  for (int64_t row = 0; row < p.batch * p.length; ++row) {
    const int64_t b = row / p.length, at = row * p.dim;
    T mean = 0, power = 0;
    for (int64_t i = 0; i < p.dim; ++i) {
      const T gated = (p.h ? p.h[at + i] : T(0)) + (p.gate ? p.gate[b * p.gate_stride + i] * Branch(p, at, i) : T(0));
      if (p.gated) p.gated[at + i] = gated;
      r[i] = gated * (p.keep ? p.keep[b] : T(1)) + (p.residual ? p.residual[at + i] : T(0));
      mean += r[i] / T(p.dim);
    }
    if (!p.layer_norm) mean = 0;
    for (int64_t i = 0; i < p.dim; ++i) power += (r[i] - mean) * (r[i] - mean) / T(p.dim);
    const T rstd = T(1) / std::sqrt(power + T(p.epsilon));
    if (p.mean) p.mean[row] = mean;
    if (p.rstd) p.rstd[row] = rstd;
    for (int64_t i = 0; i < p.dim; ++i) {
      const T n = (r[i] - mean) * rstd * (p.weight ? p.weight[i] : T(1)) + (p.bias ? p.bias[i] : T(0));
      if (p.new_residual) p.new_residual[at + i] = r[i];
      if (p.normalized) p.normalized[at + i] = n;
      p.modulated[at + i] = n * (T(1) + (p.scale ? p.scale[b * p.scale_stride + i] : T(0))) + (p.shift ? p.shift[b * p.shift_stride + i] : T(0));
    }
  }
}

template <typename T>
void AddNormModulateGrad(const AddNormModulateGradParams<T>& p) {
  const auto clear = [](T* x, int64_t n) { if (x) std::fill(x, x + n, T(0)); };
  clear(p.d_weight, p.dim), clear(p.d_bias, p.dim), clear(p.d_y_bias, p.dim);
  clear(p.d_shift, p.batch * p.dim), clear(p.d_scale, p.batch * p.dim), clear(p.d_gate, p.batch * p.dim);
  std::vector<T> g(p.dim), normal(p.dim);
  for (int64_t row = 0; row < p.batch * p.length; ++row) {
    const int64_t b = row / p.length, at = row * p.dim;
    const T mean = p.layer_norm ? p.mean[row] : T(0), rstd = p.rstd[row];
    T mean_g = 0, mean_gn = 0;
    for (int64_t i = 0; i < p.dim; ++i) {
      const T dm = p.d_modulated[at + i] + (p.d_modulated_more ? p.d_modulated_more[at + i] : T(0));
      normal[i] = (p.r[at + i] - mean) * rstd;
      const T n = normal[i] * (p.weight ? p.weight[i] : T(1)) + (p.bias ? p.bias[i] : T(0));
      const T dn = dm * (T(1) + (p.scale ? p.scale[b * p.dim + i] : T(0))) + (p.d_normalized ? p.d_normalized[at + i] : T(0));
      if (p.d_shift) p.d_shift[b * p.dim + i] += dm;
      if (p.d_scale) p.d_scale[b * p.dim + i] += dm * n;
      if (p.d_weight) p.d_weight[i] += dn * normal[i];
      if (p.d_bias) p.d_bias[i] += dn;
      g[i] = dn * (p.weight ? p.weight[i] : T(1));
      mean_g += g[i] / T(p.dim);
      mean_gn += g[i] * normal[i] / T(p.dim);
    }
    if (!p.layer_norm) mean_g = 0;
    for (int64_t i = 0; i < p.dim; ++i) {
      const T dr = rstd * (g[i] - mean_g - normal[i] * mean_gn) + (p.d_residual ? p.d_residual[at + i] : T(0));
      const T dh = dr * (p.keep ? p.keep[b] : T(1)) + (p.d_gated ? p.d_gated[at + i] : T(0));
      p.dh[at + i] = dh;
      if (p.d_residual_in) p.d_residual_in[at + i] = dr;
      if (!p.gate) continue;
      p.d_gate[b * p.dim + i] += dh * Branch(p, at, i);
      p.dy[at + i] = dh * p.gate[b * p.dim + i];
      if (p.d_y_bias) p.d_y_bias[i] += p.dy[at + i];
    }
  }
}

template <typename T>
void GateAdd(const GateAddParams<T>& p) {
  for (int64_t row = 0; row < p.batch * p.length; ++row)
    for (int64_t i = 0; i < p.dim; ++i)
      p.out[row * p.dim + i] = p.n[row * p.dim + i] + p.gate[row / p.length * p.gate_stride + i] * Branch(p, row * p.dim, i);
}

template <typename T>
void GateAddGrad(const GateAddGradParams<T>& p) {
  std::fill(p.d_gate, p.d_gate + p.batch * p.dim, T(0));
  if (p.d_y_bias) std::fill(p.d_y_bias, p.d_y_bias + p.dim, T(0));
  for (int64_t row = 0; row < p.batch * p.length; ++row)
    for (int64_t i = 0; i < p.dim; ++i) {
      const int64_t at = row * p.dim + i, gate = row / p.length * p.dim + i;
      p.d_gate[gate] += p.d_out[at] * Branch(p, row * p.dim, i);
      p.dy[at] = p.d_out[at] * p.gate[gate];
      if (p.d_y_bias) p.d_y_bias[i] += p.dy[at];
    }
}

namespace {

template <typename T>
T Dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

template <typename T>
void Attention(const AttentionParams<T>& p) {
  const int64_t width = p.heads * p.head_dim;
  std::vector<T> weights(p.keys);
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t head = 0; head < p.heads; ++head)
      for (int64_t i = 0; i < p.queries; ++i) {
        const int64_t at = (b * p.queries + i) * width + head * p.head_dim;
        const auto row = [&](const T* x, int64_t j) { return x + (b * p.keys + j) * width + head * p.head_dim; };
        T largest = -std::numeric_limits<T>::infinity(), total = 0;
        for (int64_t j = 0; j < p.keys; ++j) largest = std::max(largest, weights[j] = T(p.scale) * Dot(p.q + at, row(p.k, j), p.head_dim));
        for (int64_t j = 0; j < p.keys; ++j) total += weights[j] = std::exp(weights[j] - largest);
        for (int64_t c = 0; c < p.head_dim; ++c) {
          T sum = 0;
          for (int64_t j = 0; j < p.keys; ++j) sum += weights[j] * row(p.v, j)[c];
          p.o[at + c] = sum / total;
        }
        if (p.log_sum_exp) p.log_sum_exp[(b * p.heads + head) * p.queries + i] = largest + std::log(total);
      }
}

// With weights w = exp(scale q k - log_sum_exp): dv = w do, ds = w (do v - do o) scale, dq = ds k, dk = ds q
template <typename T>
void AttentionGrad(const AttentionGradParams<T>& p) {
  const int64_t width = p.heads * p.head_dim;
  std::fill(p.dq, p.dq + p.batch * p.queries * width, T(0));
  std::fill(p.dk, p.dk + p.batch * p.keys * width, T(0));
  std::fill(p.dv, p.dv + p.batch * p.keys * width, T(0));
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t head = 0; head < p.heads; ++head)
      for (int64_t i = 0; i < p.queries; ++i) {
        const int64_t at = (b * p.queries + i) * width + head * p.head_dim;
        const T along = Dot(p.d_o + at, p.o + at, p.head_dim);
        for (int64_t j = 0; j < p.keys; ++j) {
          const int64_t to = (b * p.keys + j) * width + head * p.head_dim;
          const T w = std::exp(T(p.scale) * Dot(p.q + at, p.k + to, p.head_dim) - p.log_sum_exp[(b * p.heads + head) * p.queries + i]);
          const T ds = w * (Dot(p.d_o + at, p.v + to, p.head_dim) - along) * T(p.scale);
          for (int64_t c = 0; c < p.head_dim; ++c) {
            p.dq[at + c] += ds * p.k[to + c];
            p.dk[to + c] += ds * p.q[at + c];
            p.dv[to + c] += w * p.d_o[at + c];
          }
        }
      }
}

// Decoupled weight decay (Loshchilov and Hutter, algorithm 2) and a moving average of the new weight.
template <typename T>
void AdamW(const AdamWParams<T>& p) {
  const AdamWHyper& hyper = p.hyper;
  const T correction1 = T(1.0 - std::pow(hyper.beta1, hyper.step)), correction2 = T(1.0 - std::pow(hyper.beta2, hyper.step));
  const T keep = T(1.0 - (p.decays ? hyper.learning_rate * hyper.weight_decay : 0.0));
  for (int64_t i = 0; i < p.size; ++i) {
    const T g = p.gradient[i] * T(p.gradient_factor);
    const T m = p.skip ? p.m[i] : T(hyper.beta1) * p.m[i] + T(1.0 - hyper.beta1) * g;
    const T v = p.skip ? p.v[i] : T(hyper.beta2) * p.v[i] + T(1.0 - hyper.beta2) * g * g;
    const T step = T(hyper.learning_rate) * (m / correction1) / (std::sqrt(v / correction2) + T(hyper.epsilon));
    const T param = p.skip ? p.param[i] : p.param[i] * keep - step;
    const T ema = p.skip ? p.ema[i] : T(hyper.ema_decay) * p.ema[i] + T(1.0 - hyper.ema_decay) * param;
    p.new_m[i] = m, p.new_v[i] = v, p.new_param[i] = param, p.new_ema[i] = ema;
  }
}

#define ZIGMA_INSTANTIATE(T)                                                  \
  template void AddNormModulate<T>(const AddNormModulateParams<T>&);          \
  template void AddNormModulateGrad<T>(const AddNormModulateGradParams<T>&);  \
  template void GateAdd<T>(const GateAddParams<T>&);                          \
  template void GateAddGrad<T>(const GateAddGradParams<T>&);                  \
  template void Attention<T>(const AttentionParams<T>&);                      \
  template void AttentionGrad<T>(const AttentionGradParams<T>&);              \
  template void AdamW<T>(const AdamWParams<T>&);
ZIGMA_INSTANTIATE(float)
ZIGMA_INSTANTIATE(double)

}  // namespace zigma::reference
