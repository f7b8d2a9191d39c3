#include "tensor.h"

#include <limits>

#include "arguments.h"

namespace zigma::addon {
namespace {

size_t SizeOf(const DType& dtype, const std::vector<int64_t>& shape) {
  size_t size = dtype.size_bytes;
  for (int64_t extent : shape) {
    const auto count = static_cast<size_t>(extent);
    if (count != 0 && size > std::numeric_limits<size_t>::max() / count) {
      throw AddonError("ShapeError", "A tensor of shape " + ShapeText(shape) + " is larger than any memory.");
    }
    size *= count;
  }
  return size;
}

}  // namespace

std::shared_ptr<TensorState> TensorState::View(std::shared_ptr<Memory> memory, size_t offset, const DType& dtype,
                                               std::vector<int64_t> shape) {
  const size_t size_bytes = SizeOf(dtype, shape);
  memory->CheckRange(offset, size_bytes);
  if (offset % dtype.size_bytes != 0) {
    throw AddonError("ArgumentError", "offsetBytes must be a multiple of " + std::to_string(dtype.size_bytes) +
                                          " for " + dtype.name + ", not " + std::to_string(offset) + ".");
  }
  uint8_t* const data = memory->data() + offset;
  const auto place = memory->device() == DeviceKind::kCuda
                         ? Ort::MemoryInfo("Cuda", OrtDeviceAllocator, 0, OrtMemTypeDefault)
                         : Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
  auto value = Ort::Value::CreateTensor(place, data, size_bytes, shape.data(), shape.size(), dtype.onnx);
  return std::shared_ptr<TensorState>(
      new TensorState{std::move(memory), dtype, std::move(shape), offset, size_bytes, std::move(value)});
}

Napi::Function DeviceTensor::Define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceAccessor<&DeviceTensor::DTypeName>("dtype"),
                         InstanceAccessor<&DeviceTensor::Shape>("shape"),
                         InstanceMethod<&DeviceTensor::Write>("write"),
                         InstanceMethod<&DeviceTensor::Read>("read"),
                         InstanceMethod("dispose", &DeviceTensor::Dispose),
                         InstanceMethod(Napi::Symbol::WellKnown(env, "dispose"), &DeviceTensor::Dispose),
                     });
}

TensorState& DeviceTensor::AtRest() {
  TensorState& tensor = *state();
  if (tensor.runs > 0) {
    throw AddonError("Busy", "This DeviceTensor is bound to a run in progress. Await the run before touching it.");
  }
  return tensor;
}

Napi::Value DeviceTensor::DTypeName(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] { return Napi::String::New(info.Env(), state()->dtype.name); });
}

Napi::Value DeviceTensor::Shape(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] {
    const auto& shape = state()->shape;
    auto array = Napi::Array::New(info.Env(), shape.size());
    for (uint32_t axis = 0; axis < shape.size(); axis++) array.Set(axis, static_cast<double>(shape[axis]));
    return array;
  });
}

void DeviceTensor::Write(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    TensorState& tensor = AtRest();
    const ByteSpan bytes = BytesArgument(info[0], "bytes");
    if (bytes.size_bytes != tensor.size_bytes) {
      throw AddonError("ShapeError", "A tensor " + std::string(tensor.dtype.name) + " " + ShapeText(tensor.shape) +
                                         " holds " + std::to_string(tensor.size_bytes) + " bytes; " +
                                         std::to_string(bytes.size_bytes) +
                                         " were given. Pass an array of the same type and size.");
    }
    tensor.memory->Write(tensor.offset, bytes.data, bytes.size_bytes);
  });
}

Napi::Value DeviceTensor::Read(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&] {
    const TensorState& tensor = AtRest();
    // Electron forbids external ArrayBuffers (V8 memory cage), so bytes are copied once, here.
    auto bytes = Napi::Uint8Array::New(info.Env(), tensor.size_bytes);
    tensor.memory->Read(tensor.offset, bytes.Data(), tensor.size_bytes);
    return bytes;
  });
}

}  // namespace zigma::addon
