// Reads arguments that come from JavaScript. Each function throws ArgumentError with a sentence that names the
// argument.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace zigma::addon {

struct ByteSpan {
  uint8_t* data;
  size_t size_bytes;
};

std::string StringArgument(const Napi::Value& value, const char* name);
Napi::Object ObjectArgument(const Napi::Value& value, const char* name);
/// A whole number from `least` to 2^53 - 1.
size_t SizeArgument(const Napi::Value& value, const char* name, size_t least = 0);
bool BoolArgument(const Napi::Value& value, const char* name);
/// Any typed array or DataView, as its bytes. Valid until control returns to JavaScript.
ByteSpan BytesArgument(const Napi::Value& value, const char* name);
/// Sizes of a tensor, outermost first; [] is a scalar.
std::vector<int64_t> ShapeArgument(const Napi::Value& value, const char* name);

std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace zigma::addon
