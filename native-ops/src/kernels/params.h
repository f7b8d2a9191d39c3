// What every kernel is given, one struct an operation: sizes, attributes and pointers. Tokens are channel-last, [batch, length, dim].
// The reference and the fast kernels take the same structs; a null pointer is an optional tensor that is not there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zigma {

constexpr int kMaxConvWidth = 8;

// What is summed over many elements (statistics, states, small weights) stays in float where the elements have 16 bits.
template <typename T> struct WideOf { using type = T; };
template <typename T> using Wide = typename WideOf<T>::type;

template <typename T>
struct ScanConvParams {
  int64_t batch, length, dim, width, segment;  // segment: positions after which the window starts anew, 1..length
  int64_t x_stride;                            // dim, or more where tokens are columns of wider rows
  const T* x;                                  // [batch, length, dim] token order, tokens x_stride apart
  const int32_t* permutation;                  // [length]
  const Wide<T>* weight;                             // [dim, width], the oldest position first
  const Wide<T>* bias;                               // [dim]
  T* y;                                        // [batch, length, dim] scan order
};

template <typename T>
struct ScanConvGradParams {
  int64_t batch, length, dim, width, segment;
  int64_t x_stride, dx_stride;  // dim, or more where tokens are columns of wider rows
  const T* x;
  const int32_t* permutation;
  const Wide<T>* weight;
  const Wide<T>* bias;
  const T* dy;       // [batch, length, dim] scan order
  const T* dy_more;  // same, added to dy; or null
  T* dx;        // [batch, length, dim] token order, tokens dx_stride apart
  Wide<T>* d_weight;  // [dim, width]
  Wide<T>* d_bias;    // [dim]
};

template <typename T>
struct SelectiveScanParams {
  int64_t batch, length, dim, state, segment, chunk;
  int64_t bc_stride, z_stride;  // state and dim, or more where they are columns of wider rows
  bool delta_softplus;
  bool steps_given;            // delta holds the time steps themselves; else what they are of, before bias and softplus
  const T* u;                  // [batch, length, dim] scan order
  const T* delta;              // [batch, length, dim] scan order; or null: made of `low`
  const T* low;                // [batch, length, low_width] scan order
  const T* delta_weight;       // [dim, low_width]: delta = low times delta_weight transposed
  int64_t rank, low_width;     // delta_weight has zeros behind its first `rank` columns
  const Wide<T>* a;                  // [dim, state]
  const T* b;                  // [batch, length, state] scan order, a position's numbers together, the next one's bc_stride behind them
  const T* c;                  // same
  const Wide<T>* d;                  // [dim] or null
  const T* z;                  // [batch, length, dim] token order, tokens z_stride apart; or null
  const Wide<T>* delta_bias;         // [dim] or null
  const int32_t* permutation;  // [length] or null for the identity
  T* y;                        // [batch, length, dim] token order
  T* borders;                  // [batch, chunks, state, dim]: the state before the first position of each chunk; or null
};

template <typename T>
struct TimeStepsParams {
  int64_t rows, dim;
  int64_t rank, low_width;  // the weight has zeros behind its first `rank` columns
  bool softplus;
  const T* low;         // [rows, low_width], or null: `product` is given
  const T* weight;      // [dim, low_width]
  const T* product;     // [rows, dim] low times weight transposed
  const Wide<T>* bias;  // [dim] or null
  T* steps;             // [rows, dim] the product, bias and softplus added
};

template <typename T>
struct SelectiveScanGradParams {
  SelectiveScanParams<T> forward;  // y is not used; borders is read; du, d_delta and dz may be memory of borders, delta and z
  const T* dy;                     // [batch, length, dim] token order
  T* du;                           // [batch, length, dim] scan order
  T* d_delta;                      // [batch, length, dim] scan order, of what is before bias and softplus, also where the steps are given
  Wide<T>* d_a;                          // [dim, state]
  T* d_b;                          // [batch, length, state], positions d_bc_stride apart; or null
  T* d_c;                          // same
  T* d_rows;                       // [batch, length, d_bc_stride], of which d_b and d_c are columns and all others become zero; or null
  int64_t d_bc_stride;             // state without d_rows
  Wide<T>* d_d;                          // [dim] or null
  T* dz;                           // [batch, length, dim] token order, tokens dz_stride apart; or null
  int64_t dz_stride;               // dim, or more where tokens are columns of wider rows, of which no other is written
  Wide<T>* d_delta_bias;                 // [dim] or null
};

template <typename T>
struct AddNormModulateParams {
  int64_t batch, length, dim;
  int64_t shift_stride, scale_stride, gate_stride;  // dim, or more where they are columns of wider rows
  bool layer_norm;  // false: root mean square
  double epsilon;
  const T* h;         // [batch, length, dim], or null where the residual is the whole sum
  const Wide<T>* residual;  // same, or null where h is all of it
  const Wide<T>* weight;    // [dim] or null
  const Wide<T>* bias;      // [dim] or null
  const T* shift;     // [batch, dim], samples shift_stride apart; or null
  const T* scale;     // [batch, dim], samples scale_stride apart; or null
  const Wide<T>* keep;      // [batch] or null
  const T* gate;      // [batch, dim], samples gate_stride apart; or null
  const T* y;         // [batch, length, dim], or null as gate is
  const Wide<T>* y_bias;    // [dim] or null: added to y
  T* modulated;       // [batch, length, dim]
  T* normalized;      // same, or null
  Wide<T>* new_residual;    // same, or null
  Wide<T>* mean;            // [batch, length] or null
  Wide<T>* rstd;            // [batch, length] or null
  T* gated;           // [batch, length, dim], or null
};

// dh, d_residual_in and dy may be memory of d_modulated, d_residual and y.
template <typename T>
struct AddNormModulateGradParams {
  int64_t batch, length, dim;
  bool layer_norm;
  const Wide<T>* r;             // [batch, length, dim] what was normalized
  const Wide<T>* weight;        // [dim] or null
  const Wide<T>* bias;          // [dim] or null
  const T* shift;         // [batch, dim] or null; only whether it is there matters
  const T* scale;         // [batch, dim] or null
  const Wide<T>* keep;          // [batch] or null
  const Wide<T>* mean;          // [batch, length]
  const Wide<T>* rstd;          // [batch, length]
  const T* d_modulated;   // [batch, length, dim]
  const T* d_modulated_more;  // same, added to it; or null
  const T* d_normalized;  // same, or null
  const Wide<T>* d_residual;    // same, or null
  const T* gate;          // [batch, dim] or null
  const T* y;             // [batch, length, dim], or null as gate is
  const Wide<T>* y_bias;        // [dim] or null
  const T* d_gated;       // [batch, length, dim] or null
  T* dh;                  // [batch, length, dim]
  Wide<T>* d_residual_in;       // same, or null
  Wide<T>* d_weight;            // [dim] or null
  Wide<T>* d_bias;              // [dim] or null
  T* d_shift;             // [batch, dim] or null
  T* d_scale;             // [batch, dim] or null
  T* d_gate;              // [batch, dim], or null as gate is
  T* dy;                  // [batch, length, dim], or null as gate is
  Wide<T>* d_y_bias;            // [dim] or null
};

template <typename T>
struct GateAddParams {
  int64_t batch, length, dim;
  int64_t gate_stride;  // dim, or more where the gate is columns of wider rows
  const T* n;     // [batch, length, dim]
  const T* gate;  // [batch, dim], samples gate_stride apart
  const T* y;     // [batch, length, dim]
  const Wide<T>* y_bias;  // [dim] or null: added to y
  T* out;         // [batch, length, dim]
};

// dy may be memory of y.
template <typename T>
struct GateAddGradParams {
  int64_t batch, length, dim;
  const T* gate;
  const T* y;
  const Wide<T>* y_bias;  // [dim] or null
  const T* d_out;
  T* d_gate;  // [batch, dim]
  T* dy;      // [batch, length, dim]
  Wide<T>* d_y_bias;  // [dim] or null
};

template <typename T>
struct AttentionParams {
  int64_t batch, queries, keys, heads, head_dim;
  double scale;
  const T* q;         // [batch, queries, heads * head_dim]
  const T* k;         // [batch, keys, heads * head_dim]
  const T* v;         // [batch, keys, heads * head_dim]
  T* o;               // [batch, queries, heads * head_dim]
  Wide<T>* log_sum_exp;     // [batch, heads, queries] or null
};

template <typename T>
struct AttentionGradParams {
  int64_t batch, queries, keys, heads, head_dim;
  double scale;
  const T* q;
  const T* k;
  const T* v;
  const T* o;
  const Wide<T>* log_sum_exp;
  const T* d_o;
  T* dq;
  T* dk;
  T* dv;
};

struct AdamWHyper {
  double learning_rate, beta1, beta2, epsilon, weight_decay, ema_decay, clip_norm, step;
};

template <typename T>
struct AdamWParams {
  int64_t size;
  AdamWHyper hyper;
  double gradient_factor;  // gradient scale times clipping
  bool skip;               // the norm was not finite: nothing changes
  bool decays;
  const T *param, *gradient, *m, *v, *ema;
  T *new_param, *new_m, *new_v, *new_ema;  // may be the inputs' own memory
};

struct PhiloxParams {
  int64_t batch, size;  // numbers of one sample
  bool normal;
  uint32_t stream;
  uint64_t seed, step;
  const int64_t* sample;  // [batch]
};

// What a device does at best, not part of any network: y is x after `rounds` times x <- 2^-x. All of them stay in registers.
struct PowerChainParams {
  int64_t size, rounds;
  const float* x;  // [size], not below -64
  float* y;
};

}  // namespace zigma
