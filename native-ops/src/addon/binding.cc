#include "binding.h"

#include "arguments.h"
#include "task.h"

namespace zigma::addon {
namespace {

constexpr int kRunsBeforeRecording = 3;

const ValueInfo& ValueNamed(const std::vector<ValueInfo>& values, const std::string& name, const char* kind) {
  std::string known;
  for (const ValueInfo& value : values) {
    if (value.name == name) return value;
    known += (known.empty() ? "" : ", ") + value.name;
  }
  throw AddonError("ArgumentError",
                   "The model has no " + std::string(kind) + " '" + name + "'. It has: " + known + ".");
}

void CheckFits(const ValueInfo& value, const TensorState& tensor) {
  bool fits = value.shape.size() == tensor.shape.size() && &value.dtype == &tensor.dtype;
  for (size_t axis = 0; fits && axis < value.shape.size(); axis++) {
    fits = value.shape[axis] < 0 || value.shape[axis] == tensor.shape[axis];
  }
  if (fits) return;
  throw AddonError("ShapeError", "'" + value.name + "' of the model is " + value.dtype.name + " " +
                                     ShapeText(value.shape) + "; the tensor given is " + tensor.dtype.name + " " +
                                     ShapeText(tensor.shape) + ".");
}

void CheckComplete(const BindingState& binding) {
  std::string missing;
  for (const ValueInfo& value : binding.session->inputs) {
    if (!binding.inputs.contains(value.name)) missing += (missing.empty() ? "" : ", ") + value.name;
  }
  if (!missing.empty())
    throw AddonError("ArgumentError", "These inputs have no tensor yet: " + missing + ". Bind them before the run.");
  if (binding.outputs.empty())
    throw AddonError("ArgumentError", "No output has a tensor yet. Bind at least one before the run.");
}

void CountRuns(const BindingState& binding, int change) {
  for (const auto& [name, tensor] : binding.inputs) tensor->runs += change;
  for (const auto& [name, tensor] : binding.outputs) tensor->runs += change;
}

}  // namespace

Napi::Function Binding::Define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceMethod<&Binding::BindInput>("bindInput"),
                         InstanceMethod<&Binding::BindOutput>("bindOutput"),
                         InstanceMethod<&Binding::Run>("run", napi_default_method),
                         InstanceMethod<&Binding::Cancel>("cancel"),
                         InstanceMethod("dispose", &Binding::Dispose),
                         InstanceMethod(Napi::Symbol::WellKnown(env, "dispose"), &Binding::Dispose),
                     });
}

BindingState& Binding::AtRest() {
  BindingState& binding = *state();
  if (binding.run)
    throw AddonError("Busy", "This Binding runs already. Await the run, or make a second binding of the session.");
  return binding;
}

void Binding::BindInput(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    BindingState& binding = AtRest();
    const std::string name = StringArgument(info[0], "name");
    const auto& tensor = DeviceTensor::From(info[1], "tensor").state();
    CheckFits(ValueNamed(binding.session->inputs, name, "input"), *tensor);
    binding.io.BindInput(name.c_str(), tensor->value);
    binding.inputs[name] = tensor;
  });
}

void Binding::BindOutput(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    BindingState& binding = AtRest();
    const std::string name = StringArgument(info[0], "name");
    const auto& tensor = DeviceTensor::From(info[1], "tensor").state();
    CheckFits(ValueNamed(binding.session->outputs, name, "output"), *tensor);
    binding.io.BindOutput(name.c_str(), tensor->value);
    binding.outputs[name] = tensor;
  });
}

Napi::Value Binding::Run(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] {
    AtRest();
    const auto binding = state();
    CheckComplete(*binding);
    auto options = std::make_shared<Ort::RunOptions>();
    options->SetRunLogSeverityLevel(
        ORT_LOGGING_LEVEL_FATAL);  // the promise tells what went wrong; no second telling on stderr
    // A graph may not take memory while it is recorded. So the first runs only settle the plan of memory, and give back what they had before it.
    if (binding->session->cuda_graph && binding->runs_done++ < kRunsBeforeRecording) {
      options->AddConfigEntry("gpu_graph_id", "-1");
      options->AddConfigEntry("memory.enable_memory_arena_shrinkage", "gpu:0");
    }
    Realm& realm = Realm::Of(info.Env());
    Worker& worker = binding->session->worker;
    realm.runs.emplace(options, &worker);
    binding->run = options;
    CountRuns(*binding, 1);
    return Task::Start(
        info.Env(), &worker, [binding, options] { binding->session->session.Run(*options, binding->io); },
        [](Napi::Env env) { return env.Undefined(); },
        [binding, options, &realm] {
          CountRuns(*binding, -1);
          binding->run.reset();
          realm.runs.erase(options);
        });
  });
}

void Binding::Cancel(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    if (state_ && state_->run) state_->run->SetTerminate();
  });
}

}  // namespace zigma::addon
