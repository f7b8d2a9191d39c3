#include "arguments.h"

#include <cmath>

#include "errors.h"

namespace zigma::addon {
namespace {

constexpr double kLargestSafeInteger = 9007199254740991.0;

std::string Shown(const Napi::Value& value) {
  if (value.IsEmpty() || value.IsUndefined()) return "undefined";
  if (value.IsSymbol()) return "a symbol";
  if (value.IsObject()) return value.IsFunction() ? "a function" : "an object";
  return value.ToString().Utf8Value();
}

AddonError Wrong(const char* name, const std::string& rule, const Napi::Value& value) {
  return AddonError("ArgumentError", std::string(name) + " must be " + rule + ", not " + Shown(value) + ".");
}

}  // namespace

std::string StringArgument(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throw Wrong(name, "a string", value);
  return value.As<Napi::String>().Utf8Value();
}

Napi::Object ObjectArgument(const Napi::Value& value, const char* name) {
  if (!value.IsObject() || value.IsFunction()) throw Wrong(name, "an object", value);
  return value.As<Napi::Object>();
}

size_t SizeArgument(const Napi::Value& value, const char* name, size_t least) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1.0;
  if (!(number >= static_cast<double>(least) && number <= kLargestSafeInteger && std::floor(number) == number)) {
    throw Wrong(name, "a whole number of at least " + std::to_string(least), value);
  }
  return static_cast<size_t>(number);
}

bool BoolArgument(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) throw Wrong(name, "true or false", value);
  return value.As<Napi::Boolean>().Value();
}

ByteSpan BytesArgument(const Napi::Value& value, const char* name) {
  if (value.IsTypedArray()) {
    auto array = value.As<Napi::TypedArray>();
    return {static_cast<uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
  }
  if (value.IsDataView()) {
    auto view = value.As<Napi::DataView>();
    return {static_cast<uint8_t*>(view.Data()), view.ByteLength()};
  }
  throw Wrong(name, "a typed array or a DataView", value);
}

std::vector<int64_t> ShapeArgument(const Napi::Value& value, const char* name) {
  if (!value.IsArray()) throw Wrong(name, "an array of sizes", value);
  auto array = value.As<Napi::Array>();
  std::vector<int64_t> shape;
  shape.reserve(array.Length());
  for (uint32_t axis = 0; axis < array.Length(); axis++) {
    shape.push_back(static_cast<int64_t>(SizeArgument(array.Get(axis), "a size in a shape")));
  }
  return shape;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t axis = 0; axis < shape.size(); axis++) {
    text += (axis ? ", " : "") + (shape[axis] < 0 ? std::string("any") : std::to_string(shape[axis]));
  }
  return text + "]";
}

}  // namespace zigma::addon
