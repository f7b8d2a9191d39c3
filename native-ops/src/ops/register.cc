// The library's one door: any ONNX Runtime of at least this version loads it and finds the operations of domain `zigma`.
#include "custom_op.h"

extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(ORT_API_VERSION);
  if (!api) return nullptr;  // too old a runtime: it goes on without these operations and names the first one that it misses
  Ort::InitApi(api);
  try {
    static OrtCustomOpDomain* const domain = [] {
      OrtCustomOpDomain* created = nullptr;
      Ort::ThrowOnError(Ort::GetApi().CreateCustomOpDomain("zigma", &created));
      zigma::ops::RegisterScans(created);
      zigma::ops::RegisterBlock(created);
      zigma::ops::RegisterOptimizer(created);
      zigma::ops::RegisterRandom(created);
      return created;
    }();
    Ort::ThrowOnError(api->AddCustomOpDomain(options, domain));
    return nullptr;
  } catch (const std::exception& error) {
    return api->CreateStatus(ORT_FAIL, error.what());
  }
}
