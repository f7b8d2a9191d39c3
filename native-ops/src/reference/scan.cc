#include <cmath>
#include <vector>

#include "reference.h"

namespace zigma::reference {
namespace {

template <typename T> T Sigmoid(T x) { return T(1) / (T(1) + std::exp(-x)); }
template <typename T> T Silu(T x) { return x * Sigmoid(x); }
template <typename T> T DSilu(T x) { return Sigmoid(x) * (T(1) + x * (T(1) - Sigmoid(x))); }
template <typename T> T Softplus(T x) { return x > T(20) ? x : std::log1p(std::exp(x)); }
template <typename T> T DSoftplus(T x) { return x > T(20) ? T(1) : Sigmoid(x); }

// The convolution's sum before its activation, for channel e at position j: bias + sum_k weight[k] x[permutation[j - (width-1) + k]].
template <typename T, typename P>
T ConvSum(const P& p, int64_t x_stride, int64_t b, int64_t j, int64_t e) {
  const int64_t start = j - j % p.segment;
  T sum = p.bias[e];
  for (int64_t k = 0; k < p.width; ++k) {
    const int64_t i = j - (p.width - 1) + k;
    if (i >= start) sum += p.weight[e * p.width + k] * p.x[(b * p.length + p.permutation[i]) * x_stride + e];
  }
  return sum;
}

}  // namespace

template <typename T>
void ScanConv(const ScanConvParams<T>& p) {
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t j = 0; j < p.length; ++j)
      for (int64_t e = 0; e < p.dim; ++e) p.y[(b * p.length + j) * p.dim + e] = Silu(ConvSum<T>(p, p.x_stride, b, j, e));
}

template <typename T>
void ScanConvGrad(const ScanConvGradParams<T>& p) {
  for (int64_t row = 0; row < p.batch * p.length; ++row) std::fill_n(p.dx + row * p.dx_stride, p.dim, T(0));
  std::fill(p.d_weight, p.d_weight + p.dim * p.width, T(0));
  std::fill(p.d_bias, p.d_bias + p.dim, T(0));
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t j = 0; j < p.length; ++j)
      for (int64_t e = 0; e < p.dim; ++e) {
        const T g = (p.dy[(b * p.length + j) * p.dim + e] + (p.dy_more ? p.dy_more[(b * p.length + j) * p.dim + e] : T(0))) * DSilu(ConvSum<T>(p, p.x_stride, b, j, e));
        p.d_bias[e] += g;
        for (int64_t k = 0; k < p.width; ++k) {
          const int64_t i = j - (p.width - 1) + k;
          if (i < j - j % p.segment) continue;
          const int64_t token = b * p.length + p.permutation[i];
          p.d_weight[e * p.width + k] += g * p.x[token * p.x_stride + e];
          p.dx[token * p.dx_stride + e] += g * p.weight[e * p.width + k];
        }
      }
}

// h[l] = exp(delta[l] A) h[l-1] + delta[l] B[l] u[l];   y[l] = dot(C[l], h[l]) + D u[l], gated by silu(z)
template <typename T>
void SelectiveScan(const SelectiveScanParams<T>& p) {
  const int64_t chunks = (p.length + p.chunk - 1) / p.chunk;
  std::vector<T> h(p.state);
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t e = 0; e < p.dim; ++e) {
      std::fill(h.begin(), h.end(), T(0));
      for (int64_t l = 0; l < p.length; ++l) {
        if (l % p.segment == 0) std::fill(h.begin(), h.end(), T(0));
        if (p.borders && l % p.chunk == 0)
          for (int64_t n = 0; n < p.state; ++n) p.borders[((b * chunks + l / p.chunk) * p.state + n) * p.dim + e] = h[n];
        const int64_t at = (b * p.length + l) * p.dim + e;
        const T raw = p.delta[at] + (p.delta_bias ? p.delta_bias[e] : T(0));
        const T delta = p.delta_softplus ? Softplus(raw) : raw;
        T y = p.d ? p.d[e] * p.u[at] : T(0);
        for (int64_t n = 0; n < p.state; ++n) {
          const int64_t bn = (b * p.length + l) * p.bc_stride + n;
          h[n] = std::exp(delta * p.a[e * p.state + n]) * h[n] + delta * p.b[bn] * p.u[at];
          y += p.c[bn] * h[n];
        }
        const int64_t token = (b * p.length + (p.permutation ? p.permutation[l] : l)) * p.dim + e;
        p.y[token] = p.z ? y * Silu(p.z[token / p.dim * p.z_stride + e]) : y;
      }
    }
}

template <typename T>
void SelectiveScanGrad(const SelectiveScanGradParams<T>& g) {
  const SelectiveScanParams<T>& p = g.forward;
  const int64_t rows = p.batch * p.length;
  std::fill(g.d_a, g.d_a + p.dim * p.state, T(0));
  if (g.d_rows) std::fill(g.d_rows, g.d_rows + rows * g.d_bc_stride, T(0));
  else
    for (T* each : {g.d_b, g.d_c})
      if (each) std::fill(each, each + rows * p.state, T(0));
  if (g.d_d) std::fill(g.d_d, g.d_d + p.dim, T(0));
  if (g.d_delta_bias) std::fill(g.d_delta_bias, g.d_delta_bias + p.dim, T(0));

  std::vector<T> h((p.length + 1) * p.state), dh(p.state);  // h[l + 1] is the state after position l
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t e = 0; e < p.dim; ++e) {
      const auto step = [&](int64_t l) {
        const T raw = p.delta[(b * p.length + l) * p.dim + e] + (p.delta_bias ? p.delta_bias[e] : T(0));
        return std::pair(raw, p.delta_softplus ? Softplus(raw) : raw);
      };
      const auto before = [&](int64_t l, int64_t n) { return l % p.segment == 0 ? T(0) : h[l * p.state + n]; };
      for (int64_t l = 0; l < p.length; ++l) {
        const T delta = step(l).second;
        for (int64_t n = 0; n < p.state; ++n)
          h[(l + 1) * p.state + n] = std::exp(delta * p.a[e * p.state + n]) * before(l, n) +
                                     delta * p.b[(b * p.length + l) * p.bc_stride + n] * p.u[(b * p.length + l) * p.dim + e];
      }
      std::fill(dh.begin(), dh.end(), T(0));
      for (int64_t l = p.length - 1; l >= 0; --l) {
        const int64_t at = (b * p.length + l) * p.dim + e;
        const int64_t token = b * p.length + (p.permutation ? p.permutation[l] : l);
        const auto [raw, delta] = step(l);
        const T u = p.u[at];
        T dy = g.dy[token * p.dim + e];
        if (p.z) {
          T y = p.d ? p.d[e] * u : T(0);
          for (int64_t n = 0; n < p.state; ++n) y += p.c[(b * p.length + l) * p.bc_stride + n] * h[(l + 1) * p.state + n];
          const T z = p.z[token * p.z_stride + e];  // dz may be written over it
          if (g.dz) g.dz[token * g.dz_stride + e] = dy * y * DSilu(z);
          dy *= Silu(z);
        }
        T du = p.d ? dy * p.d[e] : T(0), d_delta = 0;
        if (g.d_d) g.d_d[e] += dy * u;
        for (int64_t n = 0; n < p.state; ++n) {
          const int64_t bn = (b * p.length + l) * p.bc_stride + n, d_bn = (b * p.length + l) * g.d_bc_stride + n;
          const T a = p.a[e * p.state + n], decay = std::exp(delta * a);
          dh[n] += p.c[bn] * dy;
          if (g.d_c) g.d_c[d_bn] += dy * h[(l + 1) * p.state + n];
          if (g.d_b) g.d_b[d_bn] += dh[n] * delta * u;
          du += dh[n] * delta * p.b[bn];
          d_delta += dh[n] * (p.b[bn] * u + decay * a * before(l, n));
          g.d_a[e * p.state + n] += dh[n] * decay * delta * before(l, n);
          dh[n] = l % p.segment == 0 ? T(0) : dh[n] * decay;
        }
        g.du[at] = du;
        g.d_delta[at] = p.delta_softplus ? d_delta * DSoftplus(raw) : d_delta;
        if (g.d_delta_bias) g.d_delta_bias[e] += g.d_delta[at];
      }
    }
}

#define ZIGMA_INSTANTIATE(T)                                              \
  template void ScanConv<T>(const ScanConvParams<T>&);                    \
  template void ScanConvGrad<T>(const ScanConvGradParams<T>&);            \
  template void SelectiveScan<T>(const SelectiveScanParams<T>&);          \
  template void SelectiveScanGrad<T>(const SelectiveScanGradParams<T>&);
ZIGMA_INSTANTIATE(float)
ZIGMA_INSTANTIATE(double)

}  // namespace zigma::reference
