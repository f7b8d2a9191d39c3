// Inputs that may be columns of wider rows, read where they lie.
#pragma once

#include "call.h"

namespace zigma::ops {

// An attribute that tells where columns of wider rows begin; graphs that have none such leave it out.
inline int64_t ColumnOf(const Ort::ConstKernelInfo& info, const char* name) {
  int64_t column = 0;
  const Ort::Status status{Ort::GetApi().KernelInfoGetAttribute_int64(info, name, &column)};
  return status.IsOK() ? column : 0;
}

// Rows that may be columns of wider ones: the first one's first element, and how many lie between one row and the next.
template <typename T>
struct Strided {
  const T* at;
  int64_t stride;
};

// Columns `column` to `column` + dims.back() - 1 of an input whose last axis may be longer than that of `dims`, null where an optional input was left out.
template <typename T>
Strided<T> In(const Call& call, size_t index, const char* name, const Dims& dims, int64_t column) {
  const T* data = call.In<T>(index);
  if (!data) return {nullptr, dims.back()};
  const Dims whole = call.Sizes(index, name, dims.size());
  Dims cut = whole;
  cut.back() = dims.back();
  if (cut != dims || column < 0 || column + dims.back() > whole.back())
    Refuse(std::string(call.op()) + ": " + name + " must be " + Show(dims) + (column ? " from column " + std::to_string(column) + " on" : "") + ", got " + Show(whole) + ".");
  return {data + column, whole.back()};
}

// Some columns of rows, `width` elements from one row to the next.
struct ColumnDims {
  int64_t rows, columns, width;
};

// Copies them to where other rows of the same width have them.
template <typename Backend, typename T>
void CopyColumns(T* to, const T* from, const ColumnDims& dims, const Call& call) {
  if (dims.columns > 0) Backend::CopyRows(to, from, dims.width * sizeof(T), dims.columns * sizeof(T), dims.rows, call);
}

}  // namespace zigma::ops
