// h[l] = exp(delta[l] A) h[l-1] + delta[l] B[l] u[l];   y[l] = dot(C[l], h[l]) + D u[l], gated by silu(z)
#include "selective_scan.cuh"

namespace zigma::cuda {
namespace {

constexpr int kTile = 8;  // positions that are loaded ahead and whose steps and gates are computed side by side

template <typename T>
struct Ahead {
  T u[kTile], delta[kTile], z[kTile];
  unsigned token[kTile];  // offset of the token's row
};

// kStates: only the state at the span's end, from zero, and the sum of its time steps.
template <typename T, int N, bool kStates>
__global__ void __launch_bounds__(kBlockWarps* kWarp, N <= 16 ? 3 : 2)
    Forward(SelectiveScanParams<T> p, int span, float* ends, float* steps) {
  __shared__ __align__(16) float projections[kBlockWarps][2][kTile * 2 * N];
  float(&projection)[2][kTile * 2 * N] = projections[threadIdx.x / kWarp];
  const Place at = PlaceOf(p, span);
  const int length = int(p.length), dim = int(p.dim), segment = int(p.segment), chunk = int(p.chunk);
  const T* const u_of = p.u + at.sample;
  const T* const delta_of = p.delta + at.sample;
  const T* const z_of = p.z ? p.z + at.sample : nullptr;
  T* const y_of = p.y + at.sample;

  float a[N], h[N];
  LoadDecay(p, at, a);
  const int64_t carried = (int64_t(at.b) * gridDim.y + blockIdx.y) * N;
#pragma unroll
  for (int n = 0; n < N; ++n) h[n] = !kStates && ends ? ends[(carried + n) * dim + at.e] : 0.0f;
  const float skip = p.d ? p.d[at.e] : 0.0f, bias = p.delta_bias ? p.delta_bias[at.e] : 0.0f;
  const int64_t chunks = (p.length + p.chunk - 1) / p.chunk;

  Ahead<T> next;
  Projections<T, N, kTile> bc;
  // Positions behind the last one are read again from it; what comes of them is not kept.
  const unsigned stride = unsigned(dim);  // offsets inside a sequence have 32 bits
  const auto fetch = [&](int first) {
    bc.Fetch(p, at.b, first, at.last);
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      const int l = min(first + t, at.last - 1);
      next.u[t] = u_of[unsigned(l) * stride];
      next.delta[t] = delta_of[unsigned(l) * stride];
      if constexpr (kStates) continue;
      next.token[t] = unsigned(Token(p.permutation, l, length)) * stride;
      if (z_of) next.z[t] = z_of[next.token[t]];
    }
  };
  const auto reset = [&] {
#pragma unroll
    for (int n = 0; n < N; ++n) h[n] = 0;
  };

  fetch(at.first);
  float sum = 0;
  const bool even = segment % kTile == 0;  // then a state starts anew at the beginning of a tile only
  for (int first = at.first, turn = 0; first < at.last; first += kTile, turn ^= 1) {
    bc.Put(projection[turn]);
    const Ahead<T> now = next;
    __syncwarp();
    if (first + kTile < at.last) fetch(first + kTile);
    if (first % segment == 0) reset(), sum = -1.0f;
    if (!kStates && p.borders && first % chunk == 0 && at.inside) {
#pragma unroll
      for (int n = 0; n < N; ++n)
        if (n < p.state) p.borders[((int64_t(at.b) * chunks + first / chunk) * p.state + n) * dim + at.e] = FromFloat<T>(h[n]);
    }

    float delta[kTile], u[kTile], gate[kTile];
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      const float raw = ToFloat(now.delta[t]) + bias;
      u[t] = ToFloat(now.u[t]);
      delta[t] = p.delta_softplus ? Softplus<T>(raw) : raw;
      const float z = kStates || !z_of ? 0.0f : ToFloat(now.z[t]);
      gate[t] = kStates || !z_of ? 1.0f : z * Sigmoid(z);
    }
    const auto advance = [&](int t) {
      float B[N], C[N], y[4] = {skip * u[t], 0.0f, 0.0f, 0.0f};
      LoadShared(projection[turn] + t * 2 * N, B);
      if constexpr (!kStates) LoadShared(projection[turn] + t * 2 * N + N, C);
      const float step = delta[t] * u[t];
#pragma unroll
      for (int n = 0; n < N; ++n) {
        h[n] = Exp2(delta[t] * a[n]) * h[n] + B[n] * step;
        if constexpr (!kStates) y[n % 4] += C[n] * h[n];
      }
      if constexpr (kStates) return;
      const float out = ((y[0] + y[1]) + (y[2] + y[3])) * gate[t];
      if (at.inside) y_of[now.token[t]] = FromFloat<T>(out);
    };
    if (even && first + kTile <= at.last) {
#pragma unroll
      for (int t = 0; t < kTile; ++t) {
        advance(t);
        if (kStates && sum >= 0.0f) sum += delta[t];
      }
    } else {
#pragma unroll
      for (int t = 0; t < kTile; ++t) {
        if (first + t >= at.last) continue;
        if (t > 0 && (first + t) % segment == 0) reset(), sum = -1.0f;
        advance(t);
        if (kStates && sum >= 0.0f) sum += delta[t];
      }
    }
  }
  if constexpr (kStates) {
    if (!at.inside) return;
#pragma unroll
    for (int n = 0; n < N; ++n) ends[(carried + n) * dim + at.e] = h[n];
    steps[(int64_t(at.b) * gridDim.y + blockIdx.y) * dim + at.e] = sum;
  }
}

template <typename T, int N>
cudaError_t Run(const SelectiveScanParams<T>& p, const Device& device) {
  const Spans spans(p.batch, p.length, p.dim, device.processors);
  const dim3 grid = spans.Grid(p.batch), block(kBlockWarps * kWarp);
  float* ends = nullptr;
  if (spans.count > 1) {
    ends = device.Scratch<float>(size_t(p.batch) * spans.count * N * p.dim);
    float* steps = device.Scratch<float>(size_t(p.batch) * spans.count * p.dim);
    Forward<T, N, true><<<grid, block, 0, device.stream>>>(p, spans.span, ends, steps);
    Carry<N><<<dim3(DivideUp(p.dim, 128), N, unsigned(p.batch)), 128, 0, device.stream>>>(ends, steps, p.a, spans.count, int(p.state), int(p.dim), 1);
  }
  Forward<T, N, false><<<grid, block, 0, device.stream>>>(p, spans.span, ends, nullptr);
  return cudaGetLastError();
}

}  // namespace

template <typename T>
cudaError_t SelectiveScan(const SelectiveScanParams<T>& p, const Device& device) {
  if (p.borders && p.chunk % kChunk != 0 && p.chunk < p.length) return cudaErrorInvalidValue;
  if (p.state <= 4) return Run<T, 4>(p, device);
  if (p.state <= 16) return Run<T, 16>(p, device);
  if (p.state <= 32) return Run<T, 32>(p, device);
  return cudaErrorInvalidValue;
}

template cudaError_t SelectiveScan<float>(const SelectiveScanParams<float>&, const Device&);
template cudaError_t SelectiveScan<__half>(const SelectiveScanParams<__half>&, const Device&);
template cudaError_t SelectiveScan<__nv_bfloat16>(const SelectiveScanParams<__nv_bfloat16>&, const Device&);

}  // namespace zigma::cuda
