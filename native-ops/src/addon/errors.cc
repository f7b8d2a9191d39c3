#include "errors.h"

#include <new>

#include "ort.h"

namespace zigma::addon {
namespace {

// ONNX Runtime reports most failures as ORT_FAIL; these words in its message are the only sign of what happened.
bool Mentions(const std::string& message, const char* words) { return message.find(words) != std::string::npos; }

std::string CodeOf(OrtErrorCode code, const std::string& message) {
  if (Mentions(message, "Failed to allocate") || Mentions(message, "bad_alloc") || Mentions(message, "out of memory")) {
    return "OutOfMemory";
  }
  if (Mentions(message, "terminate flag")) return "Aborted";
  switch (code) {
    case ORT_NO_SUCHFILE:
    case ORT_NO_MODEL:
    case ORT_INVALID_PROTOBUF:
    case ORT_INVALID_GRAPH:
    case ORT_NOT_IMPLEMENTED:
      return "ModelError";
    case ORT_INVALID_ARGUMENT:
      return "ArgumentError";
    default:
      return "RunError";
  }
}

}  // namespace

AddonError CurrentError() {
  try {
    throw;
  } catch (const AddonError& error) {
    return error;
  } catch (const Ort::Exception& error) {
    return AddonError(CodeOf(error.GetOrtErrorCode(), error.what()), error.what());
  } catch (const std::bad_alloc&) {
    return AddonError("OutOfMemory",
                      "The machine has no memory left for this. Close other programs or choose a smaller size.");
  } catch (const std::exception& error) {
    return AddonError("RunError", error.what());
  }
}

Napi::Error ToJs(Napi::Env env, const AddonError& error) {
  Napi::Error js = Napi::Error::New(env, error.what());
  js.Set("code", Napi::String::New(env, error.code()));
  return js;
}

}  // namespace zigma::addon
