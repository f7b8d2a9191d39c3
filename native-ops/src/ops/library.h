// A library's one door: any ONNX Runtime of at least this version loads it and finds the operations of domain `zigma`.
#pragma once

#include "custom_op.h"

namespace zigma::ops {

// `fill` adds the operations to the domain, once for the process.
template <typename Fill>
OrtStatus* Register(OrtSessionOptions* options, const OrtApiBase* base, const Fill& fill) {
  const OrtApi* api = base->GetApi(ORT_API_VERSION);
  if (!api) return nullptr;  // too old a runtime: it goes on without these operations and names the first one that it misses
  Ort::InitApi(api);
  try {
    static OrtCustomOpDomain* const domain = [&] {
      OrtCustomOpDomain* created = nullptr;
      Ort::ThrowOnError(Ort::GetApi().CreateCustomOpDomain("zigma", &created));
      fill(created);
      return created;
    }();
    Ort::ThrowOnError(api->AddCustomOpDomain(options, domain));
    return nullptr;
  } catch (const std::exception& error) {
    return api->CreateStatus(ORT_FAIL, error.what());
  }
}

}  // namespace zigma::ops
