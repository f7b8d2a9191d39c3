// Norm, gate, attention and their gradients: names, slots and checks, the same on every device. `Backend` computes.
#pragma once

#include "columns.h"
#include "custom_op.h"

namespace zigma::ops {

inline bool IsLayerNorm(Ort::ConstKernelInfo info) {
  const std::string norm = info.GetAttribute<std::string>("norm");
  if (norm != "rms" && norm != "layer") Refuse("AddNormModulate: norm is \"" + norm + "\"; it must be \"rms\" or \"layer\".");
  return norm == "layer";
}

template <typename B, typename T>
struct AddNormModulateOp {
  using Backend = B;
  static constexpr const char* kName = "AddNormModulate";
  static Slots Inputs() {
    const Slot wide = Optional(Element::kWide);
    return {Optional(), wide, wide, wide, Optional(), Optional(), wide, Optional(), Optional(), wide};
  }
  static Slots Outputs() {
    const Slot wide = Optional(Element::kWide);
    return {Required(), Optional(), wide, wide, wide, Optional()};
  }

  bool layer_norm;
  double epsilon;
  int64_t shift_column, scale_column, gate_column;
  explicit AddNormModulateOp(Ort::ConstKernelInfo info)
      : layer_norm(IsLayerNorm(info)),
        epsilon(info.GetAttribute<float>("epsilon")),
        shift_column(ColumnOf(info, "shiftColumn")),
        scale_column(ColumnOf(info, "scaleColumn")),
        gate_column(ColumnOf(info, "gateColumn")) {}

  void Run(const Call& call) const {
    AddNormModulateParams<T> p = {};
    p.h = call.In<T>(0);
    if (!p.h && !call.In<Wide<T>>(1)) Refuse("AddNormModulate: there is nothing to normalize without h and residual.");
    const Dims h = p.h ? call.Sizes(0, "h", 3) : call.Sizes(1, "residual", 3);
    p.batch = h[0], p.length = h[1], p.dim = h[2], p.layer_norm = layer_norm, p.epsilon = epsilon;
    p.residual = call.In<Wide<T>>(1, "residual", h);
    p.weight = call.In<Wide<T>>(2, "weight", {p.dim});
    p.bias = call.In<Wide<T>>(3, "bias", {p.dim});
    const Dims samples = {p.batch, p.dim};
    const auto shift = In<T>(call, 4, "shift", samples, shift_column), scale = In<T>(call, 5, "scale", samples, scale_column);
    p.shift = shift.at, p.shift_stride = shift.stride;
    p.scale = scale.at, p.scale_stride = scale.stride;
    p.keep = call.In<Wide<T>>(6, "keep", {p.batch});
    const auto gate = In<T>(call, 7, "gate", samples, gate_column);
    p.gate = gate.at, p.gate_stride = gate.stride;
    p.y = call.In<T>(8, "y", h);
    p.y_bias = call.In<Wide<T>>(9, "yBias", {p.dim});
    if (!p.gate != !p.y || (p.y_bias && !p.y)) Refuse("AddNormModulate: gate and y come together or not at all, and yBias with them.");
    if (p.gate && !p.h) Refuse("AddNormModulate: a gate needs h.");
    p.modulated = call.Out<T>(0, h);
    p.normalized = call.Out<T>(1, h);
    p.new_residual = call.Out<Wide<T>>(2, h);
    p.mean = call.Out<Wide<T>>(3, {p.batch, p.length});
    p.rstd = call.Out<Wide<T>>(4, {p.batch, p.length});
    p.gated = call.Out<T>(5, h);
    if (p.gated && !p.gate) Refuse("AddNormModulate: nothing is gated without gate and y.");
    Backend::AddNormModulate(p, call);
  }
};

template <typename B, typename T>
struct AddNormModulateGradOp {
  using Backend = B;
  static constexpr const char* kName = "AddNormModulateGrad";
  // dh over dModulated, dResidualIn over dResidual, dy over y.
  static constexpr Shared kMayOverwrite[] = {{8, 0}, {10, 1}, {13, 7}};
  static Slots Inputs() {
    const Slot wide = Optional(Element::kWide);
    return {Required(Element::kWide), wide,       wide, Optional(), Optional(), wide,       wide, Required(Element::kWide),
            Required(),               Optional(), wide, Optional(), Optional(), Optional(), Optional(), wide};
  }
  static Slots Outputs() {
    const Slot wide = Optional(Element::kWide);
    return {Required(), wide, wide, wide, Optional(), Optional(), Optional(), Optional(), wide};
  }

  bool layer_norm;
  explicit AddNormModulateGradOp(Ort::ConstKernelInfo info) : layer_norm(IsLayerNorm(info)) {}

  void Run(const Call& call) const {
    const Dims r = call.Sizes(0, "r", 3);
    AddNormModulateGradParams<T> p = {};
    p.batch = r[0], p.length = r[1], p.dim = r[2], p.layer_norm = layer_norm;
    const Dims rows = {p.batch, p.length}, samples = {p.batch, p.dim};
    p.r = call.In<Wide<T>>(0);
    p.weight = call.In<Wide<T>>(1, "weight", {p.dim});
    p.bias = call.In<Wide<T>>(2, "bias", {p.dim});
    p.shift = call.In<T>(3, "shift", samples);
    p.scale = call.In<T>(4, "scale", samples);
    p.keep = call.In<Wide<T>>(5, "keep", {p.batch});
    p.mean = call.In<Wide<T>>(6, "mean", rows);
    if (layer_norm && !p.mean) Refuse("AddNormModulateGrad: a layer norm needs the mean of the forward pass.");
    p.rstd = call.In<Wide<T>>(7, "rstd", rows);
    p.d_modulated = call.In<T>(8, "dModulated", r);
    p.d_normalized = call.In<T>(9, "dNormalized", r);
    p.d_modulated_more = call.In<T>(11, "dModulatedMore", r);
    p.d_residual = call.In<Wide<T>>(10, "dResidual", r);
    p.gate = call.In<T>(12, "gate", samples);
    p.y = call.In<T>(13, "y", r);
    p.d_gated = call.In<T>(14, "dGated", r);
    p.y_bias = call.In<Wide<T>>(15, "yBias", {p.dim});
    p.dh = call.Out<T>(0, r);
    p.d_residual_in = call.Out<Wide<T>>(1, r);
    p.d_weight = call.Out<Wide<T>>(2, {p.dim});
    p.d_bias = call.Out<Wide<T>>(3, {p.dim});
    p.d_shift = call.Out<T>(4, samples);
    p.d_scale = call.Out<T>(5, samples);
    p.d_gate = call.Out<T>(6, samples);
    p.dy = call.Out<T>(7, r);
    p.d_y_bias = call.Out<Wide<T>>(8, {p.dim});
    const bool gated = p.gate && p.y && p.d_gate && p.dy;
    if (!gated && (p.gate || p.y || p.d_gate || p.dy || p.d_gated || p.y_bias || p.d_y_bias))
      Refuse("AddNormModulateGrad: gate, y and their gradients come together or not at all.");
    Backend::AddNormModulateGrad(p, call);
  }
};

template <typename B, typename T>
struct GateAddOp {
  using Backend = B;
  static constexpr const char* kName = "GateAdd";
  static Slots Inputs() { return {Required(), Required(), Required(), Optional(Element::kWide)}; }
  static Slots Outputs() { return {Required()}; }

  int64_t gate_column;
  explicit GateAddOp(Ort::ConstKernelInfo info) : gate_column(ColumnOf(info, "gateColumn")) {}

  void Run(const Call& call) const {
    const Dims n = call.Sizes(0, "n", 3);
    GateAddParams<T> p = {n[0], n[1], n[2]};
    p.n = call.In<T>(0);
    const auto gate = In<T>(call, 1, "gate", {p.batch, p.dim}, gate_column);
    p.gate = gate.at, p.gate_stride = gate.stride;
    p.y = call.In<T>(2, "y", n);
    p.y_bias = call.In<Wide<T>>(3, "yBias", {p.dim});
    p.out = call.Out<T>(0, n);
    Backend::GateAdd(p, call);
  }
};

template <typename B, typename T>
struct GateAddGradOp {
  using Backend = B;
  static constexpr const char* kName = "GateAddGrad";
  static constexpr Shared kMayOverwrite[] = {{1, 1}};  // dy over y
  static Slots Inputs() { return {Required(), Required(), Required(), Optional(Element::kWide)}; }
  static Slots Outputs() { return {Required(), Required(), Optional(Element::kWide)}; }
  explicit GateAddGradOp(Ort::ConstKernelInfo) {}

  void Run(const Call& call) const {
    const Dims y = call.Sizes(1, "y", 3), gate = {y[0], y[2]};
    GateAddGradParams<T> p = {y[0], y[1], y[2]};
    p.gate = call.In<T>(0, "gate", gate);
    p.y = call.In<T>(1);
    p.d_out = call.In<T>(2, "dOut", y);
    p.y_bias = call.In<Wide<T>>(3, "yBias", {p.dim});
    p.d_gate = call.Out<T>(0, gate);
    p.dy = call.Out<T>(1, y);
    p.d_y_bias = call.Out<Wide<T>>(2, {p.dim});
    Backend::GateAddGrad(p, call);
  }
};

template <typename B, typename T>
struct AttentionOp {
  using Backend = B;
  static constexpr const char* kName = "Attention";
  static Slots Inputs() { return {Required(), Required(), Required()}; }
  static Slots Outputs() { return {Required(), Optional(Element::kWide)}; }

  int64_t heads;
  double scale;
  explicit AttentionOp(Ort::ConstKernelInfo info) : heads(info.GetAttribute<int64_t>("heads")), scale(info.GetAttribute<float>("scale")) {}

  template <typename P>
  P Prepare(const Call& call) const {
    const Dims q = call.Sizes(0, "q", 3), k = call.Sizes(1, "k", 3);
    if (heads < 1 || q[2] % heads != 0)
      Refuse("Attention: a width of " + std::to_string(q[2]) + " does not divide into " + std::to_string(heads) + " heads.");
    P p = {};
    p.batch = q[0], p.queries = q[1], p.keys = k[1], p.heads = heads, p.head_dim = q[2] / heads, p.scale = scale;
    p.q = call.In<T>(0);
    p.k = call.In<T>(1, "k", {p.batch, p.keys, q[2]});
    p.v = call.In<T>(2, "v", {p.batch, p.keys, q[2]});
    return p;
  }

  void Run(const Call& call) const {
    auto p = Prepare<AttentionParams<T>>(call);
    p.o = call.Out<T>(0, {p.batch, p.queries, p.heads * p.head_dim});
    p.log_sum_exp = call.Out<Wide<T>>(1, {p.batch, p.heads, p.queries});
    Backend::Attention(p, call);
  }
};

template <typename B, typename T>
struct AttentionGradOp : AttentionOp<B, T> {
  using Backend = B;
  static constexpr const char* kName = "AttentionGrad";
  static Slots Inputs() { return {Required(), Required(), Required(), Required(), Required(Element::kWide), Required()}; }
  static Slots Outputs() { return {Required(), Required(), Required()}; }
  using AttentionOp<B, T>::AttentionOp;

  void Run(const Call& call) const {
    auto p = this->template Prepare<AttentionGradParams<T>>(call);
    const Dims q = {p.batch, p.queries, p.heads * p.head_dim}, k = {p.batch, p.keys, p.heads * p.head_dim};
    p.o = call.In<T>(3, "o", q);
    p.log_sum_exp = call.In<Wide<T>>(4, "logSumExp", {p.batch, p.heads, p.queries});
    p.d_o = call.In<T>(5, "dO", q);
    p.dq = call.Out<T>(0, q);
    p.dk = call.Out<T>(1, k);
    p.dv = call.Out<T>(2, k);
    Backend::AttentionGrad(p, call);
  }
};

template <typename B, typename T>
void AddBlock(OrtCustomOpDomain* domain) {
  Add<AddNormModulateOp<B, T>, T>(domain);
  Add<AddNormModulateGradOp<B, T>, T>(domain);
  Add<GateAddOp<B, T>, T>(domain);
  Add<GateAddGradOp<B, T>, T>(domain);
  Add<AttentionOp<B, T>, T>(domain);
  Add<AttentionGradOp<B, T>, T>(domain);
}

}  // namespace zigma::ops
