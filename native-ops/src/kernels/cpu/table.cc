#include "declarations.h"
#include "kernels.h"

#define ZIGMA_TEXT(x) #x
#define ZIGMA_NAME(x) ZIGMA_TEXT(x)

namespace zigma::cpu::ZIGMA_ISA {

extern const Kernels kKernels;
const Kernels kKernels = {
    ZIGMA_NAME(ZIGMA_ISA), ScanConv, ScanConvGrad, SelectiveScan, SelectiveScanGrad, AddNormModulate, AddNormModulateGrad,
    GateAdd,               GateAddGrad, Attention,  AttentionGrad, AdamW, PowerChain,
};

}  // namespace zigma::cpu::ZIGMA_ISA
