// The gradient of the selective scan, a chunk at a time from the end: the chunk is run forward from the state at its border, every other state is
// kept in shared memory (with the elements' own precision), then it is walked back, two positions together:
//
//   dh[l] += C[l] g[l]                     g = dy silu(z)
//   dC[l] = g h[l]   dB[l] = dh[l] delta u     summed over the channels, which lie in the lanes
//   du = D g + delta dot(dh, B)            ddelta = u dot(dh, B) + dot(dh, decay A h[l-1])
//   dA += dh decay delta h[l-1]            dh[l-1] = dh[l] decay
#include <algorithm>

#include "selective_scan.cuh"
#include "tensor_cores.cuh"

namespace zigma::cuda {
namespace {

constexpr int kTile = 8;  // positions fetched together by `States`
constexpr int kSide = 4;  // positions whose steps are computed side by side
constexpr int kPair = 2;

// The states before every other position of a chunk, a thread's own; 16-bit elements are kept in pairs.
template <typename T, int N>
struct Kept {
  static constexpr int kWords = sizeof(T) == 2 ? N / 2 : N;
  static constexpr int kSlots = kChunk / kPair;
  static constexpr int kBytes = kSlots * kWords * kWarp * 4;
  uint32_t* words;  // [kSlots, kWords, 32]

  // The slot of the chunk's last pair: read first, and free from then on. It has room for a state in rows of 32 channels.
  __device__ T* Last() const { return reinterpret_cast<T*>(words + (kSlots - 1) * kWords * kWarp); }

  __device__ void Put(int slot, const float (&h)[N]) {
    uint32_t* to = words + slot * kWords * kWarp + threadIdx.x % kWarp;
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      if constexpr (sizeof(T) == 2) {
        uint32_t pair;
        T* parts = reinterpret_cast<T*>(&pair);
        parts[0] = FromFloat<T>(h[2 * i]), parts[1] = FromFloat<T>(h[2 * i + 1]);
        to[i * kWarp] = pair;
      } else {
        to[i * kWarp] = __float_as_uint(h[i]);
      }
    }
  }

  __device__ void Get(int slot, float (&h)[N]) const {
    const uint32_t* from = words + slot * kWords * kWarp + threadIdx.x % kWarp;
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      const uint32_t word = from[i * kWarp];
      if constexpr (sizeof(T) == 2) {
        const T* parts = reinterpret_cast<const T*>(&word);
        h[2 * i] = ToFloat(parts[0]), h[2 * i + 1] = ToFloat(parts[1]);
      } else {
        h[i] = __uint_as_float(word);
      }
    }
  }
};

// Adds each of 2 N values over the 32 lanes by halves: at every step a lane gives away one half of its values and takes the other's share of the
// half it keeps. Lane i ends with the sum of value i * 2 N / 32; there are 32 values at most.
template <int M>
__device__ inline void SumOverLanes(float (&v)[M]) {
  int many = M;
#pragma unroll
  for (int bit = kWarp / 2; bit > 0; bit /= 2) {
    const bool upper = threadIdx.x & bit;
    if (many > 1) {
      many /= 2;
#pragma unroll
      for (int i = 0; i < M / 2; ++i) {
        if (i >= many) break;
        const float give = upper ? v[i] : v[i + many], keep = upper ? v[i + many] : v[i];
        v[i] = keep + __shfl_xor_sync(kAllLanes, give, bit);
      }
    } else {
      v[0] += __shfl_xor_sync(kAllLanes, v[0], bit);
    }
  }
}

// The same for 32 products on the tensor cores, which add four lanes' values at once: rows of ones and zeros pick the value. Factors and products
// are rounded to bfloat16; the sums are float. A lane ends with the sum `Index()`.
struct TensorSum {
  uint32_t low[2], high[2];

  __device__ TensorSum() {
    const int lane = threadIdx.x % kWarp, row = lane / 4, slot = row % 4;
    const uint32_t first = 0x00003f80u, second = 0x3f800000u;  // bfloat16 1 in the lower, in the upper half
    const uint32_t one = slot == 0 ? first : slot == 1 ? second : 0u, other = slot == 2 ? first : slot == 3 ? second : 0u;
#pragma unroll
    for (int i = 0; i < 2; ++i) low[i] = row / 4 == i ? one : 0u, high[i] = row / 4 == i ? other : 0u;
  }

  __device__ static uint32_t Product(uint32_t a, uint32_t b) {
    uint32_t product;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(product) : "r"(a), "r"(b), "r"(0x80008000u));  // plus -0: a product alone needs 9.0
    return product;
  }

  // Sums over the lanes of x[n] times `with`: of states n = lane / 4 and n = lane / 4 + 8, these not yet over the lane's neighbors of four.
  __device__ void Sum(const float (&x)[16], float with, float& sum, float& sum8) const {
    const uint32_t factor = Pair<__nv_bfloat16>(with, with);
    float d[4] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t b0 = Product(Pair<__nv_bfloat16>(x[4 * i], x[4 * i + 1]), factor), b1 = Product(Pair<__nv_bfloat16>(x[4 * i + 2], x[4 * i + 3]), factor);
      if (i < 2) Multiply<__nv_bfloat16>(d, low[i], 0u, high[i], 0u, b0, b1);
      else Multiply<__nv_bfloat16>(d, 0u, low[i - 2], 0u, high[i - 2], b0, b1);
    }
    sum = d[0] + d[1], sum8 = d[2] + d[3];
  }

  // Value n < 16: the sum of x[n] with; value 16 + n: the sum of y[n] along.
  __device__ float operator()(const float (&x)[16], float with, const float (&y)[16], float along) const {
    float sums[4];
    Sum(x, with, sums[0], sums[1]);
    Sum(y, along, sums[2], sums[3]);
    const bool two = threadIdx.x & 2, one = threadIdx.x & 1;
    const float give0 = two ? sums[0] : sums[2], give1 = two ? sums[1] : sums[3];
    const float keep0 = (two ? sums[2] : sums[0]) + __shfl_xor_sync(kAllLanes, give0, 2);
    const float keep1 = (two ? sums[3] : sums[1]) + __shfl_xor_sync(kAllLanes, give1, 2);
    return (one ? keep1 : keep0) + __shfl_xor_sync(kAllLanes, one ? keep0 : keep1, 1);
  }

  __device__ static int Index() {
    const int lane = threadIdx.x % kWarp;
    return (lane & 2) * 8 + (lane & 1) * 8 + lane / 4;
  }
};

// What reaches the position before each span when nothing reaches its end.
template <typename T, int N>
__global__ void __launch_bounds__(kBlockWarps* kWarp, 3) States(SelectiveScanGradParams<T> g, int span, float* ends, float* steps) {
  using Rows = Tile<T, kTile>;
  const SelectiveScanParams<T>& p = g.forward;
  const Place at = PlaceOf(p, span);
  const int dim = int(p.dim), length = int(p.length), segment = int(p.segment);
  __shared__ __align__(16) float projections[kBlockWarps][2][kTile * 2 * N];
  __shared__ __align__(16) T tiles[kBlockWarps][2][3][Rows::kSize];
  float(&projection)[2][kTile * 2 * N] = projections[threadIdx.x / kWarp];
  auto& tile = tiles[threadIdx.x / kWarp];
  float a[N], dh[N] = {};
  LoadDecay(p, at, a);
  const float bias = p.delta_bias ? p.delta_bias[at.e] : 0.0f;

  Projections<T, N, kTile> bc;
  const auto position = [&](int first, int row) { return min(max(first + row, 0), at.last - 1); };
  unsigned tokens[Rows::kEach];
  const auto tokens_of = [&](int first) {
    Rows::Offsets(tokens, [&](int row) { return unsigned(Token(p.permutation, position(first, row), length)) * unsigned(dim); });
  };
  const auto fetch = [&](int first, auto& to) {
    bc.Fetch(p, at.b, first, at.last);
    unsigned rows[Rows::kEach];
    Rows::Offsets(rows, [&](int row) { return unsigned(position(first, row)) * unsigned(dim); });
    Rows{to[0]}.Fetch(p.delta + at.sequence, rows, at.columns);
    Rows{to[1]}.Fetch(g.dy + at.sequence, tokens, at.columns);
    if (p.z) Rows{to[2]}.Fetch(p.z + at.sequence, tokens, at.columns);
    __pipeline_commit();
  };

  int first = (at.last - 1) / kTile * kTile;
  tokens_of(first);
  fetch(first, tile[0]);
  tokens_of(first - kTile);
  float sum = 0;
  for (int turn = 0; first >= at.first; first -= kTile, turn ^= 1) {
    bc.Put(projection[turn]);
    __pipeline_wait_prior(0);
    __syncwarp();
    if (first - kTile >= at.first) fetch(first - kTile, tile[turn ^ 1]), tokens_of(first - 2 * kTile);
    float delta[kTile], grad[kTile];
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      const float raw = Rows{tile[turn][0]}(t) + bias;
      delta[t] = p.delta_softplus ? Softplus<T>(raw) : raw;
      grad[t] = Rows{tile[turn][1]}(t);
      const float z = p.z ? Rows{tile[turn][2]}(t) : 0.0f;
      if (p.z) grad[t] *= z * Sigmoid(z);
      if (first + t >= at.last) delta[t] = 0.0f, grad[t] = 0.0f;  // such a position passes nothing on and changes nothing
    }
#pragma unroll
    for (int t = kTile - 1; t >= 0; --t) {
      const bool starts = (first + t) % segment == 0 && first + t < at.last;  // nothing reaches back over the start of a segment
      const float cut = starts ? -INFINITY : 0.0f;
      float C[N];
      LoadShared(projection[turn] + t * 2 * N + N, C);
#pragma unroll
      for (int n = 0; n < N; ++n) dh[n] = (dh[n] + C[n] * grad[t]) * Exp2(delta[t] * a[n] + cut);
      sum = starts || sum < 0.0f ? -1.0f : sum + delta[t];
    }
  }
  if (!at.inside) return;
  const int64_t part = int64_t(at.b) * gridDim.y + blockIdx.y;
#pragma unroll
  for (int n = 0; n < N; ++n) ends[(part * N + n) * dim + at.e] = dh[n];
  steps[part * dim + at.e] = sum;
}

// What a warp of `Backward` has in shared memory.
template <typename T, int N>
struct Room {
  float projection[kChunk * 2 * N];         // B and C; then the warp's share of their gradients takes their place
  float delta[kChunk * kWarp];              // time steps
  uint32_t kept[Kept<T, N>::kBytes / 4];
  T u[2][kChunk * kWarp], delta_raw[2][kChunk * kWarp];  // of this chunk and of the next; then du and ddelta take their places
  T z[kChunk * kWarp], dy[kChunk * kWarp];               // then dz takes z's place
};

template <typename T, int N>
__global__ void __launch_bounds__(kBlockWarps* kWarp, sizeof(T) == 2 && N <= 16 ? 3 : 1)
    Backward(SelectiveScanGradParams<T> g, int span, const float* incoming, float* shares, float* sums) {
  using Rows = Tile<T, kChunk>;
  constexpr bool kTensorCores = kHasTensorCores && sizeof(T) == 2 && N == 16;
  const SelectiveScanParams<T>& p = g.forward;
  const Place at = PlaceOf(p, span);
  const int dim = int(p.dim), length = int(p.length), segment = int(p.segment), chunk = int(p.chunk);
  extern __shared__ __align__(16) char shared[];
  Room<T, N>* const rooms = reinterpret_cast<Room<T, N>*>(shared);
  Room<T, N>& room = rooms[threadIdx.x / kWarp];
  float* const projection = room.projection;
  float* const deltas = room.delta + at.lane;
  Kept<T, N> kept = {room.kept};
  const Rows z_rows{room.z}, dy_rows{room.dy};

  float a[N], dh[N], d_a[N] = {}, d_skip = 0, d_bias = 0;
  LoadDecay(p, at, a);
  const int64_t part = int64_t(at.b) * gridDim.y + blockIdx.y;
  const float counts = at.inside ? 1.0f : 0.0f;  // in what is summed over the channels
#pragma unroll
  for (int n = 0; n < N; ++n) dh[n] = incoming ? counts * incoming[(part * N + n) * dim + at.e] : 0.0f;
  const float skip = p.d ? p.d[at.e] : 0.0f, bias = p.delta_bias ? p.delta_bias[at.e] : 0.0f;
  const int64_t chunks = (p.length + p.chunk - 1) / p.chunk;
  const TensorSum tensor_sum;

  // Positions behind the last one are read again from it. Offsets inside a sequence have 32 bits.
  Projections<T, N, kChunk> bc;
  const auto position = [&](int low, int row) { return min(max(low + row, 0), at.last - 1); };
  unsigned tokens[Rows::kEach], next_tokens[Rows::kEach];
  const auto tokens_of = [&](int low, unsigned(&offsets)[Rows::kEach]) {
    Rows::Offsets(offsets, [&](int row) { return unsigned(Token(p.permutation, position(low, row), length)) * unsigned(dim); });
  };
  const auto rows_of = [&](int low, unsigned(&offsets)[Rows::kEach]) {
    Rows::Offsets(offsets, [&](int row) { return unsigned(position(low, row)) * unsigned(dim); });
  };
  const auto fetch_steps = [&](int low, int turn) {
    unsigned rows[Rows::kEach];
    rows_of(low, rows);
    Rows{room.u[turn]}.Fetch(p.u + at.sequence, rows, at.columns);
    Rows{room.delta_raw[turn]}.Fetch(p.delta + at.sequence, rows, at.columns);
  };
  const auto fetch_border = [&](int low) {
    using States = Tile<T, N>;
    unsigned rows[States::kEach];
    States::Offsets(rows, [&](int n) { return unsigned(min(n, int(p.state) - 1)) * unsigned(dim); });
    States{kept.Last()}.Fetch(p.borders + (int64_t(at.b) * chunks + low / chunk) * p.state * dim, rows, at.columns);
  };

  int low = (at.last - 1) / kChunk * kChunk;
  bc.Fetch(p, at.b, low, at.last);
  tokens_of(low, next_tokens);
  fetch_steps(low, 0);
  fetch_border(low);
  __pipeline_commit();
  for (int turn = 0; low >= at.first; low -= kChunk, turn ^= 1) {
    const int high = min(low + kChunk, at.last), border = low / chunk;
    const bool more = low - kChunk >= at.first;
    const Rows u_rows{room.u[turn]}, delta_rows{room.delta_raw[turn]};
    unsigned starts = 0;  // bit i: a segment starts at position low + i
    for (int l = (low + segment - 1) / segment * segment; l < high; l += segment) starts |= 1u << (l - low);
    const auto cut = [&](int i) { return starts >> i & 1 ? -INFINITY : 0.0f; };  // nothing passes the start of a segment
    bc.Put(projection);
    __pipeline_wait_prior(0);
    __syncwarp();
    float h[N];
#pragma unroll
    for (int n = 0; n < N; ++n) h[n] = n < p.state ? Tile<T, N>{kept.Last()}(n) : 0.0f;
    __syncwarp();
#pragma unroll
    for (int i = 0; i < Rows::kEach; ++i) tokens[i] = next_tokens[i];
    dy_rows.Fetch(g.dy + at.sequence, tokens, at.columns);
    if (p.z) z_rows.Fetch(p.z + at.sequence, tokens, at.columns);
    if (more) fetch_steps(low - kChunk, turn ^ 1), tokens_of(low - kChunk, next_tokens);
    __pipeline_commit();

    // Borders farther apart than the chunks: the way from the border to here once more.
    for (int l = border * chunk; l < low; ++l) {
      const int64_t row = at.sequence + int64_t(l) * dim + at.e;
      const float raw = ToFloat(p.delta[row]) + bias, delta = p.delta_softplus ? Softplus<T>(raw) : raw;
      const float step = delta * ToFloat(p.u[row]), cut_here = l % segment == 0 ? -INFINITY : 0.0f;
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const float B = n < p.state ? ToFloat(p.b[(int64_t(at.b) * length + l) * p.state + n]) : 0.0f;
        h[n] = Exp2(delta * a[n] + cut_here) * h[n] + B * step;
      }
    }
    // A position behind the last one has a step of zero: it changes no state and reaches nothing.
#pragma unroll 1
    for (int i = 0; i < kChunk; i += kSide) {
      float delta[kSide], step[kSide];
#pragma unroll
      for (int t = 0; t < kSide; ++t) {
        const float raw = delta_rows(i + t) + bias;
        delta[t] = low + i + t >= high ? 0.0f : p.delta_softplus ? Softplus<T>(raw) : raw;
        step[t] = delta[t] * u_rows(i + t);
        deltas[(i + t) * kWarp] = delta[t];
      }
#pragma unroll
      for (int t = 0; t < kSide; ++t) {
        float B[N];
        LoadShared(projection + (i + t) * 2 * N, B);
        if (t % kPair == 0) kept.Put((i + t) / kPair, h);
#pragma unroll
        for (int n = 0; n < N; ++n) h[n] = Exp2(delta[t] * a[n] + cut(i + t)) * h[n] + B[n] * step[t];
      }
    }
    __pipeline_wait_prior(0);
    __syncwarp();

    // One position: `after` and `before` are its states, `decay` what passes from one to the other.
    const auto back = [&](int i, float delta, const float(&after)[N], const float(&before)[N], const auto& decay) {
      float B[N], C[N];
      float* const row = projection + i * 2 * N;
      LoadShared(row + N, C);
      const bool there = low + i < high;
      const float u = u_rows(i), dy = there ? counts * dy_rows(i) : 0.0f, z = p.z ? z_rows(i) : 0.0f, s = Sigmoid(z);
      const float gate = p.z ? z * s : 1.0f, grad = dy * gate, step = delta * u;
      if (g.dz) {
        float y[4] = {skip * u, 0.0f, 0.0f, 0.0f};
#pragma unroll
        for (int n = 0; n < N; ++n) y[n % 4] += C[n] * after[n];
        z_rows.Put(i, dy * ((y[0] + y[1]) + (y[2] + y[3])) * s * (1.0f + z * (1.0f - s)));
      }
      LoadShared(row, B);
      float along_b[2] = {}, along_a[2] = {}, sum;
#pragma unroll
      for (int n = 0; n < N; ++n) dh[n] += C[n] * grad, along_b[n % 2] += dh[n] * B[n];
      if constexpr (kTensorCores) {
        sum = tensor_sum(dh, step, after, grad);
      } else {
        float values[2 * N];
#pragma unroll
        for (int n = 0; n < N; ++n) values[n] = dh[n] * step, values[N + n] = grad * after[n];
        SumOverLanes(values);
        sum = values[0];
      }
#pragma unroll
      for (int n = 0; n < N; ++n) {
        dh[n] *= decay(n);
        const float through = dh[n] * before[n];
        along_a[n % 2] += through * a[n];
        d_a[n] += through * delta;
      }
      d_skip += grad * u;
      const float slope = p.delta_softplus ? 1.0f - Exp2(-kLog2E * delta) : 1.0f;  // of softplus, seen from its result
      const float sum_b = along_b[0] + along_b[1], d_delta = (u * sum_b + kLn2 * (along_a[0] + along_a[1])) * slope;
      if (there) d_bias += d_delta;
      u_rows.Put(i, skip * grad + delta * sum_b);
      delta_rows.Put(i, d_delta);
      return sum;
    };
#pragma unroll 1
    for (int i = kChunk - kPair; i >= 0; i -= kPair) {
      float before[N], between[N], decay[N], B[N];
      const float delta = deltas[i * kWarp], next = deltas[(i + 1) * kWarp], step = delta * u_rows(i);
      LoadShared(projection + i * 2 * N, B);
      kept.Get(i / kPair, before);
#pragma unroll
      for (int n = 0; n < N; ++n) {
        decay[n] = Exp2(delta * a[n] + cut(i));
        between[n] = decay[n] * before[n] + B[n] * step;
      }
      const float second = back(i + 1, next, h, between, [&](int n) { return Exp2(next * a[n] + cut(i + 1)); });
      const float first = back(i, delta, between, before, [&](int n) { return decay[n]; });
#pragma unroll
      for (int n = 0; n < N; ++n) h[n] = before[n];
      __syncwarp();
      const int index = kTensorCores ? TensorSum::Index() : at.lane * 2 * N / kWarp;
      projection[i * 2 * N + index] = first, projection[(i + 1) * 2 * N + index] = second;
      if (i == kChunk - kPair && more) fetch_border(low - kChunk), __pipeline_commit();
    }
    if (more) bc.Fetch(p, at.b, low - kChunk, at.last);
    __syncwarp();
    unsigned rows[Rows::kEach];
    rows_of(low, rows);
    const auto writes = [&](int row) { return low + row < high; };
    u_rows.Store(g.du + at.sequence, rows, at.columns, writes);
    delta_rows.Store(g.d_delta + at.sequence, rows, at.columns, writes);
    if (g.dz) z_rows.Store(g.dz + at.sequence, tokens, at.columns, writes);
    __syncthreads();
    for (int i = threadIdx.x; i < (high - low) * 2 * N; i += blockDim.x) {
      float total = 0;
#pragma unroll
      for (int w = 0; w < kBlockWarps; ++w) total += rooms[w].projection[i];
      shares[((int64_t(blockIdx.x) * gridDim.z + at.b) * length + low) * 2 * N + i] = total;
    }
    __syncthreads();
  }

  if (!at.inside) return;
#pragma unroll
  for (int n = 0; n < N; ++n) sums[(part * (N + 2) + n) * dim + at.e] = d_a[n];
  sums[(part * (N + 2) + N) * dim + at.e] = d_skip;
  sums[(part * (N + 2) + N + 1) * dim + at.e] = d_bias;
}

// shares [tiles, batch * length, 2 N] -> d_b, d_c [batch, length, state]
template <typename T, int N>
__global__ void AddShares(const float* shares, int tiles, int64_t rows, SelectiveScanGradParams<T> g) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, count = rows * 2 * N;
  const int n = int(i % (2 * N)), state = int(g.forward.state);
  if (i >= count || n % N >= state) return;
  float sum = 0;
  for (int tile = 0; tile < tiles; ++tile) sum += shares[tile * count + i];
  (n < N ? g.d_b : g.d_c)[i / (2 * N) * state + n % N] = FromFloat<T>(sum);
}

// sums [parts, N + 2, dim] -> d_a [dim, state], d_d [dim], d_delta_bias [dim]
template <typename T, int N>
__global__ void AddSums(const float* sums, int parts, SelectiveScanGradParams<T> g) {
  const int dim = int(g.forward.dim), state = int(g.forward.state), e = blockIdx.x * blockDim.x + threadIdx.x, k = blockIdx.y;
  if (e >= dim || (k < N && k >= state)) return;
  float sum = 0;
  for (int part = 0; part < parts; ++part) sum += sums[(int64_t(part) * (N + 2) + k) * dim + e];
  if (k < N) g.d_a[int64_t(e) * state + k] = sum;
  else if (k == N && g.d_d) g.d_d[e] = sum;
  else if (k == N + 1 && g.d_delta_bias) g.d_delta_bias[e] = sum;
}

template <typename T, int N>
cudaError_t Run(const SelectiveScanGradParams<T>& g, const Device& device) {
  const SelectiveScanParams<T>& p = g.forward;
  const Spans spans(p.batch, p.length, p.dim, device.processors);
  const dim3 grid = spans.Grid(p.batch), block(kBlockWarps * kWarp);
  const int parts = int(p.batch) * spans.count;
  float* incoming = nullptr;
  if (spans.count > 1) {
    incoming = device.Scratch<float>(size_t(parts) * N * p.dim);
    float* steps = device.Scratch<float>(size_t(parts) * p.dim);
    States<T, N><<<grid, block, 0, device.stream>>>(g, spans.span, incoming, steps);
    Carry<N><<<dim3(DivideUp(p.dim, 128), N, unsigned(p.batch)), 128, 0, device.stream>>>(incoming, steps, p.a, spans.count, int(p.state), int(p.dim), -1);
  }
  float* shares = device.Scratch<float>(size_t(spans.block_tiles) * p.batch * p.length * 2 * N);
  float* sums = device.Scratch<float>(size_t(parts) * (N + 2) * p.dim);
  constexpr int bytes = kBlockWarps * sizeof(Room<T, N>);
  static const cudaError_t allowed = cudaFuncSetAttribute(Backward<T, N>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (allowed != cudaSuccess) return allowed;
  Backward<T, N><<<grid, block, bytes, device.stream>>>(g, spans.span, incoming, shares, sums);
  const int64_t rows = p.batch * p.length;
  AddShares<T, N><<<DivideUp(rows * 2 * N, 256), 256, 0, device.stream>>>(shares, spans.block_tiles, rows, g);
  AddSums<T, N><<<dim3(DivideUp(p.dim, 128), N + 2), 128, 0, device.stream>>>(sums, parts, g);
  return cudaGetLastError();
}

}  // namespace

template <typename T>
cudaError_t SelectiveScanGrad(const SelectiveScanGradParams<T>& g, const Device& device) {
  const SelectiveScanParams<T>& p = g.forward;
  if (p.chunk % kChunk != 0 && p.chunk < p.length) return cudaErrorInvalidValue;
  if (p.state <= 4) return Run<T, 4>(g, device);
  if (p.state <= 16) return Run<T, 16>(g, device);
  return cudaErrorInvalidValue;
}

template cudaError_t SelectiveScanGrad<float>(const SelectiveScanGradParams<float>&, const Device&);
template cudaError_t SelectiveScanGrad<__half>(const SelectiveScanGradParams<__half>&, const Device&);
template cudaError_t SelectiveScanGrad<__nv_bfloat16>(const SelectiveScanGradParams<__nv_bfloat16>&, const Device&);

}  // namespace zigma::cuda
