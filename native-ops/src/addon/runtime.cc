#include "runtime.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

#include "arena.h"
#include "arguments.h"
#include "cuda_driver.h"
#include "session.h"
#include "task.h"

namespace zigma::addon {
namespace {

DeviceKind DeviceNamed(const std::string& name) {
  if (name == "cpu") return DeviceKind::kCpu;
  if (name == "cuda") return DeviceKind::kCuda;
  throw AddonError("DeviceError", "There is no device '" + name + "'. Use 'cpu' or 'cuda'.");
}

void* Load(const std::string& path, const char* what) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw AddonError("LoadError", std::string(what) + " cannot be loaded: " + dlerror() + ".");
  return library;
}

// Two copies of ONNX Runtime in one process corrupt each other, and the library crashes when it is torn down while its
// threads run. So it is opened once, shared by worker threads, and stays for the life of the process.
Ort::Env& OpenOrt(const std::string& path, std::string& version) {
  static std::mutex mutex;
  static std::string opened;
  static std::string opened_version;
  static Ort::Env* env = nullptr;

  std::lock_guard lock(mutex);
  if (!env) {
    void* library = Load(path, "ONNX Runtime");
    auto get_base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
    if (!get_base) throw AddonError("LoadError", path + " is not ONNX Runtime: it has no OrtGetApiBase.");
    const OrtApi* api = get_base()->GetApi(ORT_API_VERSION);
    if (!api) {
      throw AddonError("LoadError", "ONNX Runtime 1." + std::to_string(ORT_API_VERSION) + " or newer is needed; " +
                                        path + " is " + get_base()->GetVersionString() +
                                        ". Run `npm ci` to get the right one.");
    }
    Ort::InitApi(api);
    env = new Ort::Env(ORT_LOGGING_LEVEL_ERROR, "zigma");
    env->DisableTelemetryEvents();
    opened = path;
    opened_version = get_base()->GetVersionString();
  }
  if (path != opened) {
    throw AddonError("LoadError", "ONNX Runtime is already open from " + opened + ", so " + path +
                                      " cannot be opened in this process.");
  }
  version = opened_version;
  return *env;
}

bool Supports(const std::string& instruction_set) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (instruction_set == "avx2") return avx2;
  if (instruction_set == "avx512") {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  }
#endif
  return instruction_set == "baseline";
}

// The set of kernels that the native ops take on this processor, by the same rule as they do (BestKernels, dispatch.cc).
std::string ChosenInstructionSet() {
  const char* wanted = std::getenv("ZIGMA_INSTRUCTION_SET");
  if (wanted && Supports(wanted)) return wanted;
  for (const char* widest_first : {"avx512", "avx2"})
    if (Supports(widest_first)) return widest_first;
  return "baseline";
}

}  // namespace

Napi::Function Runtime::Define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceAccessor<&Runtime::OrtVersion>("ortVersion"),
                         InstanceAccessor<&Runtime::InstructionSet>("instructionSet"),
                         InstanceAccessor<&Runtime::Threads>("threads"),
                         InstanceAccessor<&Runtime::Device>("device"),
                         InstanceMethod<&Runtime::DescribeGpu>("describeGpu"),
                         InstanceMethod<&Runtime::CreateArena>("createArena"),
                         InstanceMethod<&Runtime::CreateSession>("createSession", napi_default_method),
                     });
}

Napi::Value Runtime::Open(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] {
    const auto options = ObjectArgument(info[0], "options");
    auto runtime = std::make_shared<RuntimeState>();
    runtime->ort_library = StringArgument(options.Get("ortLibrary"), "ortLibrary");
    runtime->ops_library = StringArgument(options.Get("opsLibrary"), "opsLibrary");
    runtime->threads = static_cast<int>(SizeArgument(options.Get("threads"), "threads", 1));
    runtime->device = DeviceNamed(StringArgument(options.Get("device"), "device"));
    if (runtime->device == DeviceKind::kCuda) CudaDriver::Get();
    runtime->env = &OpenOrt(runtime->ort_library, runtime->ort_version);
    // Held open for good: sessions register and release it, and its threads may outlive the last of them.
    if (!runtime->ops_library.empty()) Load(runtime->ops_library, "The library of native ops");
    return Runtime::Wrap(info.Env(), Realm::Of(info.Env()).runtime, std::move(runtime));
  });
}

Napi::Value Runtime::OrtVersion(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] { return Napi::String::New(info.Env(), state()->ort_version); });
}

Napi::Value Runtime::InstructionSet(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] { return Napi::String::New(info.Env(), ChosenInstructionSet()); });
}

Napi::Value Runtime::Threads(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] { return Napi::Number::New(info.Env(), state()->threads); });
}

Napi::Value Runtime::Device(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] { return Napi::String::New(info.Env(), state()->device == DeviceKind::kCuda ? "cuda" : "cpu"); });
}

Napi::Value Runtime::DescribeGpu(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    if (state()->device != DeviceKind::kCuda) return info.Env().Null();
    const GpuDescription gpu = CudaDriver::Get().Describe();
    auto object = Napi::Object::New(info.Env());
    object.Set("name", gpu.name);
    object.Set("driver", gpu.driver);
    object.Set("freeBytes", static_cast<double>(gpu.free_bytes));
    object.Set("totalBytes", static_cast<double>(gpu.total_bytes));
    object.Set("computeCapability", gpu.compute_capability);
    return object;
  });
}

Napi::Value Runtime::CreateArena(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] {
    const size_t size_bytes = SizeArgument(info[0], "sizeBytes", 1);
    return Arena::Wrap(info.Env(), Realm::Of(info.Env()).arena, Memory::Allocate(size_bytes, state()->device));
  });
}

Napi::Value Runtime::CreateSession(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] {
    const ByteSpan bytes = BytesArgument(info[0], "model");
    auto settings = SessionSettings::From(info[1], *state());
    // Copied, because JavaScript may change or detach its buffer while the session is being made.
    auto model = std::make_shared<std::vector<uint8_t>>(bytes.data, bytes.data + bytes.size_bytes);
    auto session = std::make_shared<std::shared_ptr<SessionState>>();
    return Task::Start(
        info.Env(), nullptr,
        [runtime = state(), model, settings, session] { *session = SessionState::Make(runtime, *model, settings); },
        [session](Napi::Env env) { return Session::Wrap(env, Realm::Of(env).session, std::move(*session)); });
  });
}

}  // namespace zigma::addon
