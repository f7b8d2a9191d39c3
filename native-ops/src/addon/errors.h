// Failures as JavaScript sees them: an Error whose `code` a program can act on and whose message is one sentence for
// people.
#pragma once

#include <napi.h>

#include <stdexcept>
#include <string>
#include <type_traits>

namespace zigma::addon {

class AddonError : public std::runtime_error {
 public:
  AddonError(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

/// The exception being handled, as an AddonError: ONNX Runtime's own failures get the code that fits. Call inside a
/// catch.
AddonError CurrentError();

/// A JavaScript Error with `code`.
Napi::Error ToJs(Napi::Env env, const AddonError& error);

/// Runs `body`; whatever C++ throws reaches JavaScript as an Error with a code. Every exported method is wrapped in
/// this.
template <typename Body>
auto Guard(Napi::Env env, Body&& body) -> std::invoke_result_t<Body> {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw ToJs(env, CurrentError());
  }
}

}  // namespace zigma::addon
