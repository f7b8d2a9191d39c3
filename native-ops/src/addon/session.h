// A compiled model.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dtype.h"
#include "handle.h"
#include "ort.h"
#include "runtime.h"
#include "worker.h"

namespace zigma::addon {

struct SessionSettings {
  GraphOptimizationLevel optimization = ORT_ENABLE_ALL;
  int threads = 1;
  bool memory_pattern = true;
  bool custom_ops = true;
  bool cuda_graph = false;
  bool tensor_float = false;
  bool cpu_fallback = false;
  std::string profile;  // path prefix of the trace; empty: none

  /// Throws ArgumentError for a setting that is not known or not of its type.
  static SessionSettings From(const Napi::Value& options, const RuntimeState& runtime);
};

/// One input or output. A size that is not fixed is -1 in `shape`, its name (or "") in `symbols`.
struct ValueInfo {
  std::string name;
  const DType& dtype;
  std::vector<int64_t> shape;
  std::vector<std::string> symbols;
};

struct SessionState {
  std::shared_ptr<RuntimeState> runtime;
  Ort::Session session;
  std::vector<ValueInfo> inputs, outputs;
  bool profiling, cuda_graph;
  Worker worker;  // makes all runs: ONNX Runtime keeps what it recorded for the thread that ran it, and would record once more on another

  /// Parses, checks, optimizes and plans: may take seconds.
  static std::shared_ptr<SessionState> Make(std::shared_ptr<RuntimeState> runtime, const std::vector<uint8_t>& model,
                                            const SessionSettings& settings);
};

class Session : public Handle<Session, SessionState> {
 public:
  static constexpr const char* kName = "Session";
  static constexpr napi_type_tag kTag = {0x4ac81e7f06d25b93, 0xe09d3c5ab7184f26};

  using Handle::Handle;
  static Napi::Function Define(Napi::Env env);

 private:
  Napi::Value Inputs(const Napi::CallbackInfo& info);
  Napi::Value Outputs(const Napi::CallbackInfo& info);
  Napi::Value CreateBinding(const Napi::CallbackInfo& info);
  Napi::Value Memory(const Napi::CallbackInfo& info);
  Napi::Value EndProfiling(const Napi::CallbackInfo& info);
};

}  // namespace zigma::addon
