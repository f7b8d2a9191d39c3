#include "session.h"

#include <cstdlib>

#include "arguments.h"
#include "binding.h"

namespace zigma::addon {
namespace {

GraphOptimizationLevel OptimizationNamed(const std::string& name) {
  if (name == "all") return ORT_ENABLE_ALL;
  if (name == "basic") return ORT_ENABLE_BASIC;
  if (name == "none") return ORT_DISABLE_ALL;
  throw AddonError("ArgumentError", "optimization must be 'all', 'basic' or 'none', not '" + name + "'.");
}

ValueInfo Describe(const std::string& name, const Ort::TypeInfo& type) {
  if (type.GetONNXType() != ONNX_TYPE_TENSOR) {
    throw AddonError("ModelError", "'" + name + "' of the model is not a tensor. Only tensors can be bound.");
  }
  const auto tensor = type.GetTensorTypeAndShapeInfo();
  const DType* dtype = DTypeOf(tensor.GetElementType());
  if (!dtype) {
    throw AddonError("ModelError", "'" + name + "' of the model has the ONNX element type " +
                                       std::to_string(static_cast<int>(tensor.GetElementType())) +
                                       ", which cannot be bound.");
  }
  std::vector<std::string> symbols;
  for (const char* symbol : tensor.GetSymbolicDimensions()) symbols.emplace_back(symbol);
  return {name, *dtype, tensor.GetShape(), std::move(symbols)};
}

Napi::Array ToJs(Napi::Env env, const std::vector<ValueInfo>& values) {
  auto list = Napi::Array::New(env, values.size());
  for (uint32_t i = 0; i < values.size(); i++) {
    const ValueInfo& value = values[i];
    auto shape = Napi::Array::New(env, value.shape.size());
    for (uint32_t axis = 0; axis < value.shape.size(); axis++) {
      if (value.shape[axis] < 0) {
        shape.Set(axis, value.symbols[axis]);
      } else {
        shape.Set(axis, static_cast<double>(value.shape[axis]));
      }
    }
    auto entry = Napi::Object::New(env);
    entry.Set("name", value.name);
    entry.Set("dtype", value.dtype.name);
    entry.Set("shape", shape);
    list.Set(i, entry);
  }
  return list;
}

}  // namespace

SessionSettings SessionSettings::From(const Napi::Value& value, const RuntimeState& runtime) {
  SessionSettings settings;
  settings.threads = runtime.threads;
  settings.custom_ops = !runtime.ops_library.empty();
  if (value.IsUndefined()) return settings;

  const auto options = ObjectArgument(value, "options");
  const auto given = [&](const char* name) { return !options.Get(name).IsUndefined(); };
  if (given("optimization"))
    settings.optimization = OptimizationNamed(StringArgument(options.Get("optimization"), "optimization"));
  if (given("threads")) settings.threads = static_cast<int>(SizeArgument(options.Get("threads"), "threads", 1));
  if (given("memoryPattern")) settings.memory_pattern = BoolArgument(options.Get("memoryPattern"), "memoryPattern");
  if (given("profile")) settings.profile = StringArgument(options.Get("profile"), "profile");
  if (given("cudaGraph")) settings.cuda_graph = BoolArgument(options.Get("cudaGraph"), "cudaGraph");
  if (given("tensorFloat")) settings.tensor_float = BoolArgument(options.Get("tensorFloat"), "tensorFloat");
  if (given("cpuFallback")) settings.cpu_fallback = BoolArgument(options.Get("cpuFallback"), "cpuFallback");
  if (given("customOps")) settings.custom_ops = BoolArgument(options.Get("customOps"), "customOps");
  if (settings.custom_ops && runtime.ops_library.empty()) {
    throw AddonError("ArgumentError", "customOps is true, but the runtime was opened without a library of native ops.");
  }
  return settings;
}

namespace {

// No node may fall back to the CPU unseen: a graph that the GPU cannot run whole is refused unless that is allowed.
void UseCuda(Ort::SessionOptions& options, const SessionSettings& settings) {
  OrtCUDAProviderOptionsV2* cuda = nullptr;
  Ort::ThrowOnError(Ort::GetApi().CreateCUDAProviderOptions(&cuda));
  const std::unique_ptr<OrtCUDAProviderOptionsV2, void (*)(OrtCUDAProviderOptionsV2*)> owner(
      cuda, [](OrtCUDAProviderOptionsV2* it) { Ort::GetApi().ReleaseCUDAProviderOptions(it); });
  const char* keys[] = {"device_id", "arena_extend_strategy", "enable_cuda_graph", "use_tf32"};
  const char* values[] = {"0", "kSameAsRequested", settings.cuda_graph ? "1" : "0", settings.tensor_float ? "1" : "0"};
  Ort::ThrowOnError(Ort::GetApi().UpdateCUDAProviderOptions(cuda, keys, values, std::size(keys)));
  options.AppendExecutionProvider_CUDA_V2(*cuda);
  if (!settings.cpu_fallback) options.AddConfigEntry("session.disable_cpu_ep_fallback", "1");
}

}  // namespace

std::shared_ptr<SessionState> SessionState::Make(std::shared_ptr<RuntimeState> runtime,
                                                 const std::vector<uint8_t>& model, const SessionSettings& settings) {
  Ort::SessionOptions options;
  options.SetGraphOptimizationLevel(settings.optimization);
  options.SetIntraOpNumThreads(settings.threads);
  options.SetInterOpNumThreads(1);
  options.SetExecutionMode(ORT_SEQUENTIAL);
  options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_ERROR);
  if (!settings.memory_pattern) options.DisableMemPattern();
  if (!settings.profile.empty()) options.EnableProfiling(settings.profile.c_str());
  const bool on_gpu = runtime->device == DeviceKind::kCuda;
  if (on_gpu) UseCuda(options, settings);
  if (settings.custom_ops) options.RegisterCustomOpsLibrary(runtime->ops_library.c_str());

  Ort::Session session(*runtime->env, model.data(), model.size(), options);
  Ort::AllocatorWithDefaultOptions allocator;
  std::vector<ValueInfo> inputs, outputs;
  for (size_t i = 0; i < session.GetInputCount(); i++) {
    inputs.push_back(Describe(session.GetInputNameAllocated(i, allocator).get(), session.GetInputTypeInfo(i)));
  }
  for (size_t i = 0; i < session.GetOutputCount(); i++) {
    outputs.push_back(Describe(session.GetOutputNameAllocated(i, allocator).get(), session.GetOutputTypeInfo(i)));
  }
  return std::shared_ptr<SessionState>(new SessionState{std::move(runtime), std::move(session), std::move(inputs),
                                                        std::move(outputs), !settings.profile.empty(), on_gpu && settings.cuda_graph, {}});
}

Napi::Function Session::Define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceAccessor<&Session::Inputs>("inputs"),
                         InstanceAccessor<&Session::Outputs>("outputs"),
                         InstanceMethod<&Session::CreateBinding>("createBinding", napi_default_method),
                         InstanceMethod<&Session::Memory>("memory"),
                         InstanceMethod<&Session::EndProfiling>("endProfiling"),
                         InstanceMethod("dispose", &Session::Dispose),
                         InstanceMethod(Napi::Symbol::WellKnown(env, "dispose"), &Session::Dispose),
                     });
}

Napi::Value Session::Inputs(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] { return ToJs(info.Env(), state()->inputs); });
}

Napi::Value Session::Outputs(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] { return ToJs(info.Env(), state()->outputs); });
}

Napi::Value Session::CreateBinding(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] {
    return Binding::Wrap(info.Env(), Realm::Of(info.Env()).binding, std::make_shared<BindingState>(state()));
  });
}

// What ONNX Runtime's allocator of the device counts; an arena says "MaxInUse" and "TotalAllocated".
Napi::Value Session::Memory(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] {
    const SessionState& session = *state();
    const bool on_gpu = session.runtime->device == DeviceKind::kCuda;
    const Ort::MemoryInfo where(on_gpu ? "Cuda" : "Cpu", OrtArenaAllocator, 0, OrtMemTypeDefault);
    const Ort::Allocator allocator(session.session, where);
    const Ort::KeyValuePairs stats = allocator.GetStats();
    const auto bytes = [&](const char* key) {
      const char* value = stats.GetValue(key);
      return value ? std::strtod(value, nullptr) : 0;
    };
    auto object = Napi::Object::New(info.Env());
    object.Set("peakBytes", bytes("MaxInUse"));
    object.Set("inUseBytes", bytes("InUse"));
    object.Set("reservedBytes", bytes("TotalAllocated"));
    return object;
  });
}

Napi::Value Session::EndProfiling(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] {
    SessionState& session = *state();
    if (!session.profiling) {
      throw AddonError(
          "ArgumentError",
          "This session records no profile. Create it with the option `profile`, once for each recording.");
    }
    session.profiling = false;
    Ort::AllocatorWithDefaultOptions allocator;
    return Napi::String::New(info.Env(), session.session.EndProfilingAllocated(allocator).get());
  });
}

}  // namespace zigma::addon
