// Tensors tied to the inputs and outputs of a session, and the run over them.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "handle.h"
#include "session.h"
#include "tensor.h"

namespace zigma::addon {

struct BindingState {
  explicit BindingState(std::shared_ptr<SessionState> of) : session(std::move(of)), io(session->session) {}

  std::shared_ptr<SessionState> session;
  Ort::IoBinding io;
  std::map<std::string, std::shared_ptr<TensorState>> inputs, outputs;
  std::shared_ptr<Ort::RunOptions> run;  // set while a run is in progress
  int runs_done = 0;
};

class Binding : public Handle<Binding, BindingState> {
 public:
  static constexpr const char* kName = "Binding";
  static constexpr napi_type_tag kTag = {0xb5e2f7938c1046da, 0x3f7a86d0e59c4b12};

  using Handle::Handle;
  static Napi::Function Define(Napi::Env env);

 private:
  void BindInput(const Napi::CallbackInfo& info);
  void BindOutput(const Napi::CallbackInfo& info);
  Napi::Value Run(const Napi::CallbackInfo& info);
  void Cancel(const Napi::CallbackInfo& info);
  BindingState& AtRest();
};

}  // namespace zigma::addon
