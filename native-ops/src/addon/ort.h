// ONNX Runtime's C++ interface, bound at run time to the library that openRuntime() loads.
#pragma once

#ifndef ORT_API_MANUAL_INIT
#define ORT_API_MANUAL_INIT
#endif
#include <onnxruntime_cxx_api.h>
