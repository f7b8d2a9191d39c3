// ScanConv, SelectiveScan and their gradients: names, slots and checks, the same on every device. `Backend` computes.
#pragma once

#include <algorithm>

#include "columns.h"
#include "custom_op.h"

namespace zigma::ops {

// `segment` positions share a state; 0 stands for the whole sequence.
inline int64_t SegmentOf(int64_t segment, int64_t length) {
  if (segment < 0) Refuse("segment is " + std::to_string(segment) + "; it must be 0 (the whole sequence) or a number of positions.");
  return segment == 0 ? length : std::min(segment, length);
}

// Permutations index memory. Where the host can read them they are checked at every run; elsewhere the kernels keep inside the sequence.
template <typename Backend>
const int32_t* Checked(const int32_t* permutation, int64_t length) {
  if (permutation && Backend::kOnHost)
    for (int64_t i = 0; i < length; ++i)
      if (permutation[i] < 0 || permutation[i] >= length)
        Refuse("permutation: position " + std::to_string(i) + " names token " + std::to_string(permutation[i]) + " of " + std::to_string(length) + ".");
  return permutation;
}

template <typename B, typename T>
struct ScanConvOp {
  using Backend = B;
  static constexpr const char* kName = "ScanConv";
  static Slots Inputs() { return {Required(), Required(Element::kInt32), Required(Element::kWide), Required(Element::kWide)}; }
  static Slots Outputs() { return {Required()}; }

  int64_t segment, x_column;
  explicit ScanConvOp(Ort::ConstKernelInfo info) : segment(info.GetAttribute<int64_t>("segment")), x_column(ColumnOf(info, "xColumn")) {}

  template <typename P>
  P Prepare(const Call& call) const {
    const Dims x = call.Sizes(0, "x", 3), weight = call.Sizes(2, "weight", 2);
    P p = {};
    p.batch = x[0], p.length = x[1], p.dim = weight[0], p.width = weight[1], p.segment = SegmentOf(segment, x[1]);
    if (p.width < 1 || p.width > kMaxConvWidth) Refuse("ScanConv: a width of " + std::to_string(p.width) + " is outside 1 to 8.");
    p.permutation = Checked<Backend>(call.In<int32_t>(1, "permutation", {p.length}), p.length);
    p.weight = call.In<Wide<T>>(2);
    p.bias = call.In<Wide<T>>(3, "bias", {p.dim});
    return p;
  }

  void Run(const Call& call) const {
    auto p = Prepare<ScanConvParams<T>>(call);
    const auto x = In<T>(call, 0, "x", {p.batch, p.length, p.dim}, x_column);
    p.x = x.at, p.x_stride = x.stride;
    p.y = call.Out<T>(0, {p.batch, p.length, p.dim});
    Backend::ScanConv(p, call);
  }
};

template <typename B, typename T>
struct ScanConvGradOp : ScanConvOp<B, T> {
  using Backend = B;
  static constexpr const char* kName = "ScanConvGrad";
  // The rows of which dx becomes columns, over those that it is put into.
  static constexpr Shared kMayOverwrite[] = {{6, 0}};
  static Slots Inputs() {
    return {Required(), Required(Element::kInt32), Required(Element::kWide), Required(Element::kWide), Required(), Optional(), Optional()};
  }
  static Slots Outputs() { return {Required(), Required(Element::kWide), Required(Element::kWide)}; }
  using ScanConvOp<B, T>::ScanConvOp;

  // Where `into` is given, the first output is those rows with dx in the columns in which x lies among its own.
  void Run(const Call& call) const {
    auto p = this->template Prepare<ScanConvGradParams<T>>(call);
    const Dims tokens = {p.batch, p.length, p.dim};
    const auto x = In<T>(call, 0, "x", tokens, this->x_column), into = In<T>(call, 6, "into", tokens, this->x_column);
    p.x = x.at, p.x_stride = x.stride;
    p.dy = call.In<T>(4, "dy", tokens);
    p.dy_more = call.In<T>(5, "dyMore", tokens);
    p.dx = call.Out<T>(0, {p.batch, p.length, into.stride}) + (into.at ? this->x_column : 0), p.dx_stride = into.stride;
    if (into.at && into.at != p.dx) {
      const int64_t rows = p.batch * p.length, before = this->x_column, behind = into.stride - before - p.dim;
      CopyColumns<Backend>(p.dx - before, into.at - before, {rows, before, into.stride}, call);
      CopyColumns<Backend>(p.dx + p.dim, into.at + p.dim, {rows, behind, into.stride}, call);
    }
    p.d_weight = call.Out<Wide<T>>(1, {p.dim, p.width});
    p.d_bias = call.Out<Wide<T>>(2, {p.dim});
    Backend::ScanConvGrad(p, call);
  }
};

// How many of a weight's `width` columns are not zeros behind the others: `rank`, or all of them where it is 0.
inline int64_t RankOf(int64_t rank, int64_t width, const Call& call) {
  if (rank < 0 || rank > width) Refuse(std::string(call.op()) + ": rank is " + std::to_string(rank) + "; it must be 0 to " + std::to_string(width) + ", the columns of the weight.");
  return rank > 0 ? rank : width;
}

// For GPUs alone: a scan on the CPU takes the product as delta, and makes the steps on its way.
template <typename B, typename T>
struct TimeStepsOp {
  using Backend = B;
  static constexpr const char* kName = "TimeSteps";
  static Slots Inputs() { return {Required(), Required(), Optional(Element::kWide)}; }
  static Slots Outputs() { return {Required()}; }

  int64_t rank;
  bool softplus;
  explicit TimeStepsOp(Ort::ConstKernelInfo info) : rank(ColumnOf(info, "rank")), softplus(info.GetAttribute<int64_t>("softplus") != 0) {}

  void Run(const Call& call) const {
    const Dims low = call.Sizes(0, "low", 3);
    TimeStepsParams<T> p = {};
    p.rows = low[0] * low[1], p.low_width = low[2], p.rank = RankOf(rank, p.low_width, call), p.dim = call.Sizes(1, "weight", 2)[0], p.softplus = softplus;
    p.low = call.In<T>(0);
    p.weight = call.In<T>(1, "weight", {p.dim, p.low_width});
    p.bias = call.In<Wide<T>>(2, "bias", {p.dim});
    p.steps = call.Out<T>(0, {low[0], low[1], p.dim});
    Backend::TimeSteps(p, call);
  }
};

template <typename B, typename T>
struct SelectiveScanOp {
  using Backend = B;
  static constexpr const char* kName = "SelectiveScan";
  // Of a scan and of its gradient.
  static Slots InputsOfBoth() {
    return {Required(),           Required(), Required(Element::kWide), Required(),
            Required(),           Optional(Element::kWide), Optional(), Optional(Element::kWide),
            Optional(Element::kInt32)};
  }
  static Slots Inputs() {
    Slots slots = InputsOfBoth();
    slots.push_back(Optional());
    return slots;
  }
  static Slots Outputs() { return {Required(), Optional()}; }

  int64_t segment, chunk, b_column, c_column, z_column, rank;
  bool delta_softplus, steps_given;
  explicit SelectiveScanOp(Ort::ConstKernelInfo info)
      : segment(info.GetAttribute<int64_t>("segment")),
        chunk(info.GetAttribute<int64_t>("chunk")),
        b_column(ColumnOf(info, "bColumn")),
        c_column(ColumnOf(info, "cColumn")),
        z_column(ColumnOf(info, "zColumn")),
        rank(ColumnOf(info, "rank")),
        delta_softplus(info.GetAttribute<int64_t>("deltaSoftplus") != 0),
        steps_given(ColumnOf(info, "stepsGiven") != 0) {
    if (steps_given && Backend::kOnHost) Refuse("SelectiveScan: stepsGiven is for GPUs; give delta as it is before bias and softplus.");
    if (chunk < 1) Refuse("SelectiveScan: chunk is " + std::to_string(chunk) + "; it must be at least 1.");
  }

  SelectiveScanParams<T> Prepare(const Call& call) const {
    const Dims u = call.Sizes(0, "u", 3), a = call.Sizes(2, "A", 2);
    SelectiveScanParams<T> p = {};
    p.batch = u[0], p.length = u[1], p.dim = u[2], p.state = a[1];
    p.segment = SegmentOf(segment, p.length), p.chunk = chunk, p.delta_softplus = delta_softplus, p.steps_given = steps_given;
    p.u = call.In<T>(0);
    p.a = call.In<Wide<T>>(2, "A", {p.dim, p.state});
    const Dims states = {p.batch, p.length, p.state};
    const auto b = In<T>(call, 3, "B", states, b_column), c = In<T>(call, 4, "C", states, c_column);
    if (b.stride != c.stride) Refuse("SelectiveScan: rows of " + std::to_string(b.stride) + " for B and of " + std::to_string(c.stride) + " for C; they must be of one width.");
    p.b = b.at, p.c = c.at, p.bc_stride = b.stride;
    p.d = call.In<Wide<T>>(5, "D", {p.dim});
    const auto z = In<T>(call, 6, "z", u, z_column);
    p.z = z.at, p.z_stride = z.stride;
    p.delta_bias = call.In<Wide<T>>(7, "deltaBias", {p.dim});
    p.permutation = Checked<Backend>(call.In<int32_t>(8, "permutation", {p.length}), p.length);
    return p;
  }

  // Chunks and states are one axis: with as many states as positions in a chunk a gradient can be written over them.
  Dims Borders(const SelectiveScanParams<T>& p) const { return {p.batch, (p.length + chunk - 1) / chunk * p.state, p.dim}; }

  // Where deltaWeight is given, delta is what the time steps are a product of with it.
  void Run(const Call& call) const {
    auto p = Prepare(call);
    if (call.In<T>(9)) {
      if (Backend::kOnHost) Refuse("SelectiveScan: deltaWeight is for GPUs; give the product as delta.");
      p.low_width = call.Sizes(9, "deltaWeight", 2)[1], p.rank = RankOf(rank, p.low_width, call);
      p.delta_weight = call.In<T>(9, "deltaWeight", {p.dim, p.low_width});
      p.low = call.In<T>(1, "delta", {p.batch, p.length, p.low_width});
    } else {
      p.delta = call.In<T>(1, "delta", {p.batch, p.length, p.dim});
    }
    p.y = call.Out<T>(0, {p.batch, p.length, p.dim});
    p.borders = call.Out<T>(1, Borders(p));
    Backend::SelectiveScan(p, call);
  }
};

template <typename B, typename T>
struct SelectiveScanGradOp : SelectiveScanOp<B, T> {
  using Backend = B;
  static constexpr const char* kName = "SelectiveScanGrad";
  // dDelta over delta, dz over z, du over borders.
  static constexpr Shared kMayOverwrite[] = {{1, 1}, {6, 6}, {9, 0}};
  static Slots Inputs() {
    Slots slots = SelectiveScanOp<Backend, T>::InputsOfBoth();
    slots.push_back(Required());
    slots.push_back(Required());
    return slots;
  }
  static Slots Outputs() {
    return {Required(),
            Required(),
            Required(Element::kWide),
            Optional(),
            Optional(),
            Optional(Element::kWide),
            Optional(),
            Optional(Element::kWide),
            Optional()};
  }
  bool dz_rows;
  explicit SelectiveScanGradOp(Ort::ConstKernelInfo info) : SelectiveScanOp<B, T>(info), dz_rows(ColumnOf(info, "dzRows") != 0) {}

  // Where dzRows is set, dz has the shape of the rows that z is columns of: it is written to the same columns, the others are left as they are.
  void Run(const Call& call) const {
    SelectiveScanGradParams<T> g = {};
    SelectiveScanParams<T>& p = g.forward;
    p = this->Prepare(call);
    p.delta = call.In<T>(1, "delta", {p.batch, p.length, p.dim});
    const Dims tokens = {p.batch, p.length, p.dim}, states = {p.batch, p.length, p.state};
    p.borders = const_cast<T*>(call.In<T>(9, "borders", this->Borders(p)));
    g.dy = call.In<T>(10, "dy", tokens);
    g.du = call.Out<T>(0, tokens);
    g.d_delta = call.Out<T>(1, tokens);
    g.d_a = call.Out<Wide<T>>(2, {p.dim, p.state});
    const int64_t width = p.bc_stride, apart = this->b_column - this->c_column;
    g.d_rows = call.Out<T>(8, {p.batch, p.length, width});
    if (g.d_rows && -p.state < apart && apart < p.state) Refuse("SelectiveScanGrad: one gradient of B and C needs them in columns of their own.");
    g.d_b = g.d_rows ? g.d_rows + this->b_column : call.Out<T>(3, states);
    g.d_c = g.d_rows ? g.d_rows + this->c_column : call.Out<T>(4, states);
    g.d_bc_stride = g.d_rows ? width : p.state;
    g.d_d = p.d ? call.Out<Wide<T>>(5, {p.dim}) : nullptr;
    g.dz_stride = dz_rows ? p.z_stride : p.dim;
    g.dz = p.z ? call.Out<T>(6, {p.batch, p.length, g.dz_stride}) : nullptr;
    if (g.dz && dz_rows) g.dz += this->z_column;
    g.d_delta_bias = p.delta_bias ? call.Out<Wide<T>>(7, {p.dim}) : nullptr;
    Backend::SelectiveScanGrad(g, call);
  }
};

template <typename B, typename T>
void AddTimeSteps(OrtCustomOpDomain* domain) {
  Add<TimeStepsOp<B, T>, T>(domain);
}

template <typename B, typename T>
void AddScans(OrtCustomOpDomain* domain) {
  Add<ScanConvOp<B, T>, T>(domain);
  Add<ScanConvGradOp<B, T>, T>(domain);
  Add<SelectiveScanOp<B, T>, T>(domain);
  Add<SelectiveScanGradOp<B, T>, T>(domain);
}

}  // namespace zigma::ops
