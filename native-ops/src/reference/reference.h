// Slow and obvious: what each operation means, written as its equation reads. In double this is what the fast kernels are held against and what
// graphs in float64 run on; in float it serves the sizes that no fast kernel covers.
#pragma once

#include "../kernels/params.h"

namespace zigma::reference {

template <typename T> void ScanConv(const ScanConvParams<T>& p);
template <typename T> void ScanConvGrad(const ScanConvGradParams<T>& p);
template <typename T> void SelectiveScan(const SelectiveScanParams<T>& p);
template <typename T> void SelectiveScanGrad(const SelectiveScanGradParams<T>& p);
template <typename T> void AddNormModulate(const AddNormModulateParams<T>& p);
template <typename T> void AddNormModulateGrad(const AddNormModulateGradParams<T>& p);
template <typename T> void GateAdd(const GateAddParams<T>& p);
template <typename T> void GateAddGrad(const GateAddGradParams<T>& p);
template <typename T> void Attention(const AttentionParams<T>& p);
template <typename T> void AttentionGrad(const AttentionGradParams<T>& p);
template <typename T> void AdamW(const AdamWParams<T>& p);

}  // namespace zigma::reference
