// What the forward and the backward scan share: how the work is cut, and how a state is carried over the cuts.
//
// A warp has 32 neighboring channels of one sample and a span of positions; a thread one channel with its states in registers. Tokens are
// channel-last: a warp's rows are fetched a tile ahead into shared memory. B and C of a position are the same for all channels: the warp keeps
// them in shared memory too. Where samples and channels alone cannot fill the chip, the sequence is cut into spans: each span is first scanned from
// a zero state, the states are then carried over the cuts, and each is scanned again from its true state. Between long spans the states are carried by
// launches of their own, between short ones by blocks that wait for each other (selective_scan_meeting.cuh).
#pragma once

#include <algorithm>

#include "kernels.h"
#include "tile.cuh"
#include "types.cuh"

namespace zigma::cuda {

constexpr int kChunk = 16;       // positions whose states the backward scan keeps at once; spans and borders are multiples of it
constexpr int kBlockWarps = 4;
constexpr int kTogether = 32;    // cuts whose states are loaded at once
constexpr int kShort = 128;      // positions of a span that a launch less is worth more than better places for

struct Spans {
  int span, count;       // positions of a span, spans of a sequence
  int shorter = 0;       // by so many positions the first span is shorter than the others, or longer where negative
  int tiles, block_tiles;  // warps and blocks along the channels
  int meeting;             // blocks of four spans each along a sequence, where all spans are at work at once and short; else 0
  int places;              // spans of a sequence that find a place at once

  // Three blocks fit on a multiprocessor. All of them at once: one more than there are places for would run alone after the others.
  // `piece`: positions that are never cut, a multiple of kChunk unless it is the whole sequence.
  Spans(int64_t batch, int64_t length, int64_t dim, int processors, int64_t piece = kChunk) {
    tiles = DivideUp(dim, kWarp), block_tiles = DivideUp(tiles, kBlockWarps);
    const int64_t blocks = batch * block_tiles, all = int64_t(processors) * 3;
    const int64_t longest = DivideUp(length, 2 * kChunk);
    places = int(blocks * 2 > all ? 1 : std::min<int64_t>(longest, all / blocks));
    span = int(DivideUp(DivideUp(length, places), piece) * piece);
    count = DivideUp(length, span);
    const int64_t places_of = all / (batch * tiles) * kBlockWarps;  // spans of 32 channels that fit on the chip
    meeting = count > 1 && span <= kShort && count <= places_of ? DivideUp(count, kBlockWarps) : 0;
  }

  // A span for every place, of which the first has what is left over, where that makes it no longer than all of them are now.
  Spans WithLongFirst(int64_t length) const {
    Spans spans = *this;
    const int others = int(length) / places / kChunk * kChunk, left = int(length) - places * others;
    if (count < places && others + left <= span) spans.span = others, spans.shorter = -left, spans.count = places;
    return spans;
  }

  // One span more, the first, which is done while the others are only scanned for the states at their ends: it takes longer a position, and so has fewer.
  Spans WithEarlyOne(int64_t length) const {
    constexpr float kEarly = 0.7f;  // its positions over another's
    Spans spans = *this;
    const int chunks = DivideUp(length, kChunk), others = std::max(1, int(float(chunks) / (float(count) + kEarly) + 0.5f)), first = chunks - count * others;
    if (first <= 0) return spans;
    spans.span = others * kChunk, spans.shorter = (others - first) * kChunk, spans.count = count + 1;
    return spans;
  }

  // Of `many` spans of each sequence.
  dim3 Grid(int64_t batch, int many) const { return dim3(block_tiles, many, unsigned(batch)); }
  // Where a block's warps have neighboring spans.
  dim3 MeetingGrid(int64_t batch) const { return dim3(tiles, meeting, unsigned(batch)); }
};

// Into how many equal pieces a span is cut while only its end is wanted: blocks of whole spans, one less than there are, leave places of the chip empty.
inline int PiecesOf(int span, int least) {
  constexpr int kMost = 8;
  int pieces = 1;
  while (pieces < kMost && span % (2 * pieces * kChunk) == 0 && span >= 2 * pieces * least) pieces *= 2;
  return pieces;
}

// Whether all chunks are whole, segments start with a chunk, warps have all of their channels and states, and nothing is left out: then a kernel needs
// none of the tests and bounds that other sizes ask for.
template <int N, typename T>
bool IsUsual(const SelectiveScanParams<T>& p) {
  return p.state == N && IsWhole(p.a, N) && p.dim % (kBlockWarps * kWarp) == 0 && p.length % kChunk == 0 &&
         p.segment % kChunk == 0 && p.z && IsWhole(p.z, p.z_stride) && p.z_stride % p.dim == 0 &&
         (N % kVector<T> != 0 || IsWhole(p.b, p.bc_stride) && IsWhole(p.c, p.bc_stride));
}

// Where a warp works. Lanes behind the last channel compute with zeros or the last one's numbers, and write nothing.
struct Place {
  int b, e, lane, first, last;
  int64_t sequence;  // index of the sequence's first element
  Columns columns;   // of the warp
  bool inside;
};

// The warp's channels are those of tile `tile`; `nth`: its span.
template <bool kUsual, typename T>
__device__ inline Place PlaceIn(const SelectiveScanParams<T>& p, int tile, int span, int nth, int shorter = 0) {
  Place at;
  at.lane = threadIdx.x % kWarp;
  at.b = blockIdx.z;
  const int dim = int(p.dim), first = tile * kWarp, e = first + at.lane;
  at.inside = e < dim;
  at.e = min(e, dim - 1);
  at.columns = kUsual ? Columns{first, kWarp, true} : Columns{min(first, dim), max(dim - first, 0), dim % kVector<T> == 0};
  at.first = nth == 0 ? 0 : nth * span - shorter;
  at.last = min((nth + 1) * span - shorter, int(p.length));
  at.sequence = int64_t(at.b) * p.length * p.dim;
  return at;
}

// Where a block's warps have neighboring channels.
template <bool kUsual, typename T>
__device__ inline Place PlaceOf(const SelectiveScanParams<T>& p, int span, int nth, int shorter = 0) {
  return PlaceIn<kUsual>(p, blockIdx.x * kBlockWarps + threadIdx.x / kWarp, span, nth, shorter);
}

template <bool kUsual, typename P, int N>
__device__ inline void LoadDecay(const P& p, const Place& at, float (&a)[N]) {
  const float* const row = p.a + int64_t(at.e) * p.state;
  if constexpr (kUsual) Load(row, a);
#pragma unroll
  for (int n = 0; n < N; ++n) a[n] = kUsual ? a[n] * kLog2E : n < p.state ? row[n] * kLog2E : 0.0f;
}

// What is left of state n after a step. The special function unit is what the scans wait for most when they keep nothing else: two of 16 powers do
// without it.
template <typename T, int N, bool kUsual>
__device__ inline float Decay(float delta, float a, int n) {
  return kUsual && sizeof(T) == 2 && n % 8 == 7 ? Exp2OfProduct(delta, a) : Exp2(delta * a);
}

// N numbers of shared memory, 16 bytes at a time.
template <int N>
__device__ inline void LoadShared(const float* from, float (&to)[N]) {
#pragma unroll
  for (int i = 0; i < N / 4; ++i) {
    const float4 four = reinterpret_cast<const float4*>(from)[i];
    to[4 * i] = four.x, to[4 * i + 1] = four.y, to[4 * i + 2] = four.z, to[4 * i + 3] = four.w;
  }
}

// B and C of `Tile` positions from `first` on, held in registers until they are wanted; then in shared memory as [Tile, 2 N], B first. A lane takes whole
// vectors of a position's states; where there are not just N states they go one by one.
template <typename T, int N, int Tile>
struct Projections {
  static constexpr int kWide = N % kVector<T> == 0 ? kVector<T> : 1;  // elements of a vector
  static constexpr int kOfOne = Tile * N / kWide;                      // vectors of B
  static constexpr int kEach = (2 * kOfOne + kWarp - 1) / kWarp;
  __align__(16) T held[kEach][kWide];

  // kAll: there are N states, and all positions.
  template <bool kAll, typename P>
  __device__ void Fetch(const P& p, int b, int first, int last) {
    const unsigned state = kAll ? N : unsigned(p.state);
    const unsigned stride = unsigned(p.bc_stride);
    const int64_t from = (int64_t(b) * p.length + first) * p.bc_stride;
    const bool whole = kAll || (state == N && IsWhole(p.b, p.bc_stride) && IsWhole(p.c, p.bc_stride));
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const unsigned vector = i * kWarp + threadIdx.x % kWarp, which = vector / kOfOne, inside = vector % kOfOne;
      const unsigned t = inside / (N / kWide), n = inside % (N / kWide) * kWide;
      const T* const source = (which == 0 ? p.b : p.c) + from;
      const bool there = which < 2 && (kAll || first + int(t) < last);
      if (kWide > 1 && whole) {
        *reinterpret_cast<uint4*>(held[i]) = there ? *reinterpret_cast<const uint4*>(source + (t * stride + n)) : make_uint4(0, 0, 0, 0);
      } else {
#pragma unroll
        for (int k = 0; k < kWide; ++k) held[i][k] = there && n + k < state ? source[t * stride + n + k] : FromFloat<T>(0.0f);
      }
    }
  }

  __device__ void Put(float* to) const {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const unsigned vector = i * kWarp + threadIdx.x % kWarp, which = vector / kOfOne, inside = vector % kOfOne;
      const unsigned t = inside / (N / kWide), n = inside % (N / kWide) * kWide;
      if (which > 1) continue;
      float numbers[kWide];
#pragma unroll
      for (int k = 0; k < kWide; ++k) numbers[k] = ToFloat(held[i][k]);
      Store<kWide>(to + t * 2 * N + which * N + n, numbers);
    }
  }
};

// What is left of a state h with this decay after time steps of this sum; nothing where that is -1, for the state starts anew among them.
__device__ inline float Left(float h, float steps, float decay) { return steps < 0.0f ? 0.0f : Exp2(steps * decay) * h; }

// What a warp leaves at a cut: ends [cuts, N, dim], steps [cuts, dim].
template <int N>
__device__ inline void Leave(const Place& at, int64_t cut, int dim, const float (&h)[N], float sum, float* ends, float* steps) {
  if (!at.inside) return;
#pragma unroll
  for (int n = 0; n < N; ++n) ends[(cut * N + n) * dim + at.e] = h[n];
  steps[cut * dim + at.e] = sum;
}

// Carries states over the cuts of a sequence. ends [batch, cuts, N, dim]: the states at the cuts that their spans make from zero; become the true ones.
// steps [batch, cuts, dim]: the sum of a span's time steps, or -1 where the state starts anew inside. `direction` is 1 forward, -1 backward.
template <int N>
__global__ void Carry(float* ends, const float* steps, const float* a, int cuts, int state, int dim, int direction) {
  const int e = blockIdx.x * blockDim.x + threadIdx.x, n = blockIdx.y, b = blockIdx.z;
  if (e >= dim) return;
  const float decay = n < state ? a[int64_t(e) * state + n] * kLog2E : 0.0f;
  float h = 0;
  for (int first = 0; first < cuts; first += kTogether) {
    float* end[kTogether];
    float own[kTogether], sum[kTogether];
#pragma unroll
    for (int i = 0; i < kTogether; ++i) {
      const int nth = min(first + i, cuts - 1), s = direction > 0 ? nth : cuts - 1 - nth;
      end[i] = ends + ((int64_t(b) * cuts + s) * N + n) * dim + e;
      own[i] = *end[i], sum[i] = steps[(int64_t(b) * cuts + s) * dim + e];
    }
#pragma unroll
    for (int i = 0; i < kTogether; ++i) {
      if (first + i >= cuts) break;
      h = own[i] + Left(h, sum[i], decay);
      *end[i] = h;
    }
  }
}

}  // namespace zigma::cuda
