#include "arena.h"

#include "arguments.h"
#include "tensor.h"

namespace zigma::addon {

Arena::Arena(const Napi::CallbackInfo& info) : Handle(info) {
  // V8 sees only the small object; told of the block behind it, it collects forgotten arenas in time.
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), static_cast<int64_t>(state_->size_bytes()));
}

Napi::Function Arena::Define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceAccessor<&Arena::SizeBytes>("sizeBytes"),
                         InstanceMethod<&Arena::Tensor>("tensor"),
                         InstanceMethod<&Arena::Write>("write"),
                         InstanceMethod<&Arena::Read>("read"),
                         InstanceMethod<&Arena::Close>("dispose"),
                         InstanceMethod<&Arena::Close>(Napi::Symbol::WellKnown(env, "dispose")),
                     });
}

void Arena::Finalize(Napi::BasicEnv env) {
  if (state_) Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(state_->size_bytes()));
}

void Arena::Close(const Napi::CallbackInfo& info) {
  Finalize(info.Env());
  state_.reset();
}

Napi::Value Arena::SizeBytes(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] { return Napi::Number::New(info.Env(), static_cast<double>(state()->size_bytes())); });
}

Napi::Value Arena::Tensor(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] {
    const auto& memory = state();
    const size_t offset = SizeArgument(info[0], "offsetBytes");
    const DType& dtype = DTypeNamed(StringArgument(info[1], "dtype"));
    auto tensor = TensorState::View(memory, offset, dtype, ShapeArgument(info[2], "shape"));
    return DeviceTensor::Wrap(info.Env(), Realm::Of(info.Env()).tensor, std::move(tensor));
  });
}

void Arena::Write(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    const auto& memory = state();
    const size_t offset = SizeArgument(info[0], "offsetBytes");
    const ByteSpan bytes = BytesArgument(info[1], "bytes");
    memory->CheckRange(offset, bytes.size_bytes);
    memory->Write(offset, bytes.data, bytes.size_bytes);
  });
}

Napi::Value Arena::Read(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] {
    const auto& memory = state();
    const size_t offset = SizeArgument(info[0], "offsetBytes");
    const size_t size = SizeArgument(info[1], "sizeBytes");
    memory->CheckRange(offset, size);
    auto bytes = Napi::Uint8Array::New(info.Env(), size);
    memory->Read(offset, bytes.Data(), size);
    return bytes;
  });
}

}  // namespace zigma::addon
