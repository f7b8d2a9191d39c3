// What measures a device and is part of no network.
#pragma once

#include "custom_op.h"

namespace zigma::ops {

template <typename B>
struct PowerChainOp {
  using Backend = B;
  static constexpr const char* kName = "PowerChain";
  static Slots Inputs() { return {Required(Element::kFloat32)}; }
  static Slots Outputs() { return {Required(Element::kFloat32)}; }

  int64_t rounds;
  explicit PowerChainOp(Ort::ConstKernelInfo info) : rounds(info.GetAttribute<int64_t>("rounds")) {
    if (rounds < 1) Refuse("PowerChain: rounds is " + std::to_string(rounds) + "; it must be at least 1.");
  }

  void Run(const Call& call) const {
    const Dims dims = call.Sizes(0, "x", 1);
    Backend::PowerChain({dims[0], rounds, call.In<float>(0), call.Out<float>(0, dims)}, call);
  }
};

template <typename B>
void AddBench(OrtCustomOpDomain* domain) {
  Add<PowerChainOp<B>, float>(domain);
}

}  // namespace zigma::ops
