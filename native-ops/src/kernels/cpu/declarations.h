#pragma once

#include "../params.h"
#include "../workers.h"

namespace zigma::cpu::ZIGMA_ISA {

void ScanConv(const ScanConvParams<float>& p, const Workers& workers);
void ScanConvGrad(const ScanConvGradParams<float>& p, const Workers& workers);
void SelectiveScan(const SelectiveScanParams<float>& p, const Workers& workers);
void SelectiveScanGrad(const SelectiveScanGradParams<float>& p, const Workers& workers);
void AddNormModulate(const AddNormModulateParams<float>& p, const Workers& workers);
void AddNormModulateGrad(const AddNormModulateGradParams<float>& p, const Workers& workers);
void GateAdd(const GateAddParams<float>& p, const Workers& workers);
void GateAddGrad(const GateAddGradParams<float>& p, const Workers& workers);
void Attention(const AttentionParams<float>& p, const Workers& workers);
void AttentionGrad(const AttentionGradParams<float>& p, const Workers& workers);
void AdamW(const AdamWParams<float>& p, const Workers& workers);
void PowerChain(const PowerChainParams& p, const Workers& workers);

}  // namespace zigma::cpu::ZIGMA_ISA
