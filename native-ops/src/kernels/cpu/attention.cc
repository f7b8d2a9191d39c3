// softmax(Q Kᵀ) V for one head at a time: scores of one query at all keys (keys in the lanes, K transposed once a head), then the weighted sum
// of V (channels in the lanes). The matrix of weights is never kept.
#include <algorithm>
#include <vector>

#include "declarations.h"
#include "lanes.h"

namespace zigma::cpu::ZIGMA_ISA {
namespace {

int64_t RoundUp(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// One head's rows [rows, dim] of a [batch, rows, heads * dim] tensor, as [dim, padded rows] with zeros behind.
void TransposeHead(const float* x, int64_t rows, int64_t dim, int64_t width, int64_t padded, float* out) {
  for (int64_t c = 0; c < dim; ++c) {
    for (int64_t j = 0; j < rows; ++j) out[c * padded + j] = x[j * width + c];
    std::fill(out + c * padded + rows, out + (c + 1) * padded, 0.0f);
  }
}

// out[j] = factor * sum_c x[c] rows[j][c], for rows given transposed.
void DotRows(const float* x, const float* transposed, int64_t dim, int64_t padded, float factor, float* out) {
  for (int64_t j = 0; j < padded; j += kLanes) {
    Lanes sum = {};
    for (int64_t c = 0; c < dim; ++c) sum += Load(transposed + c * padded + j) * x[c];
    Store(out + j, sum * factor);
  }
}

// out[c] += sum_j weights[j] rows[j][c]
void AddRows(const float* weights, const float* rows, int64_t count, int64_t dim, int64_t width, float* out) {
  for (int64_t c = 0; c < dim; c += kLanes) {
    const int64_t some = std::min(kLanes, dim - c);
    Lanes sum = LoadSome(out + c, some);
    for (int64_t j = 0; j < count; ++j) sum += LoadSome(rows + j * width + c, some) * weights[j];
    StoreSome(out + c, sum, some);
  }
}

// rows[j][c] += weights[j] x[c], rows dense [count, dim]
void AddOuter(const float* weights, const float* x, int64_t count, int64_t dim, float* rows) {
  for (int64_t c = 0; c < dim; c += kLanes) {
    const int64_t some = std::min(kLanes, dim - c);
    const Lanes xc = LoadSome(x + c, some);
    for (int64_t j = 0; j < count; ++j) StoreSome(rows + j * dim + c, LoadSome(rows + j * dim + c, some) + xc * weights[j], some);
  }
}

}  // namespace

void Attention(const AttentionParams<float>& p, const Workers& workers) {
  const int64_t width = p.heads * p.head_dim, padded = RoundUp(p.keys);
  workers.run(p.batch * p.heads, [&](int64_t task) {
    const int64_t b = task / p.heads, head = task % p.heads * p.head_dim;
    const float* k = p.k + b * p.keys * width + head;
    const float* v = p.v + b * p.keys * width + head;
    std::vector<float> kt(p.head_dim * padded), weights(padded);
    TransposeHead(k, p.keys, p.head_dim, width, padded, kt.data());
    for (int64_t i = 0; i < p.queries; ++i) {
      const int64_t at = (b * p.queries + i) * width + head;
      DotRows(p.q + at, kt.data(), p.head_dim, padded, float(p.scale), weights.data());
      std::fill(weights.begin() + p.keys, weights.end(), -1e30f);
      Lanes largest = Splat(-1e30f), total = {};
      for (int64_t j = 0; j < padded; j += kLanes) largest = Max(largest, Load(weights.data() + j));
      const float top = Largest(largest);
      for (int64_t j = 0; j < padded; j += kLanes) {
        Lanes w = Exp(Load(weights.data() + j) - top);
        if (j + kLanes > p.keys)
          for (int64_t lane = p.keys - j; lane < kLanes; ++lane) w[lane] = 0;
        Store(weights.data() + j, w);
        total += w;
      }
      const float sum = Sum(total);
      for (int64_t j = 0; j < padded; j += kLanes) Store(weights.data() + j, Load(weights.data() + j) * (1.0f / sum));
      std::fill(p.o + at, p.o + at + p.head_dim, 0.0f);
      AddRows(weights.data(), v, p.keys, p.head_dim, width, p.o + at);
      if (p.log_sum_exp) p.log_sum_exp[task * p.queries + i] = top + std::log(sum);
    }
  });
}

void AttentionGrad(const AttentionGradParams<float>& p, const Workers& workers) {
  const int64_t width = p.heads * p.head_dim, padded = RoundUp(p.keys);
  workers.run(p.batch * p.heads, [&](int64_t task) {
    const int64_t b = task / p.heads, head = task % p.heads * p.head_dim;
    const float* k = p.k + b * p.keys * width + head;
    const float* v = p.v + b * p.keys * width + head;
    std::vector<float> kt(p.head_dim * padded), vt(p.head_dim * padded), weights(padded), ds(padded);
    std::vector<float> dk(p.keys * p.head_dim), dv(p.keys * p.head_dim);
    TransposeHead(k, p.keys, p.head_dim, width, padded, kt.data());
    TransposeHead(v, p.keys, p.head_dim, width, padded, vt.data());
    for (int64_t i = 0; i < p.queries; ++i) {
      const int64_t at = (b * p.queries + i) * width + head;
      const float* d_o = p.d_o + at;
      float along = 0;
      for (int64_t c = 0; c < p.head_dim; ++c) along += d_o[c] * p.o[at + c];
      DotRows(p.q + at, kt.data(), p.head_dim, padded, float(p.scale), weights.data());
      DotRows(d_o, vt.data(), p.head_dim, padded, 1.0f, ds.data());
      const float lse = p.log_sum_exp[task * p.queries + i];
      for (int64_t j = 0; j < padded; j += kLanes) {
        const Lanes w = Exp(Load(weights.data() + j) - lse);
        Store(weights.data() + j, w);
        Store(ds.data() + j, w * (Load(ds.data() + j) - along) * float(p.scale));
      }
      std::fill(p.dq + at, p.dq + at + p.head_dim, 0.0f);
      AddRows(ds.data(), k, p.keys, p.head_dim, width, p.dq + at);
      AddOuter(ds.data(), p.q + at, p.keys, p.head_dim, dk.data());
      AddOuter(weights.data(), d_o, p.keys, p.head_dim, dv.data());
    }
    for (int64_t j = 0; j < p.keys; ++j) {
      const int64_t at = (b * p.keys + j) * width + head;
      std::copy_n(dk.data() + j * p.head_dim, p.head_dim, p.dk + at);
      std::copy_n(dv.data() + j * p.head_dim, p.head_dim, p.dv + at);
    }
  });
}

}  // namespace zigma::cpu::ZIGMA_ISA
