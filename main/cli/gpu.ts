import { findNative, gpuFolder } from '#native-ops/load.ts'
import { findCudaLibraries } from '../services/cuda-libraries.ts'
import { gpuPackage, installProvider } from '../services/gpu-provider.ts'
import type { Output } from './output.ts'

/** `zigma gpu install`: what ONNX Runtime needs to compute on an NVIDIA GPU, and what else is missing. */
export async function gpuInstall(output: Output): Promise<void> {
  const folder = gpuFolder()
  const isNew = await installProvider({ folder, ortLibrary: findNative().ortLibrary, onStage: (sentence) => output.line(sentence) })
  const { missing, remedy, found } = await findCudaLibraries()
  output.answer(
    {
      folder,
      installed: isNew,
      package: `${gpuPackage.name}@${gpuPackage.version}`,
      licence: gpuPackage.licence,
      libraries: found,
      missing,
      remedy,
    },
    [
      isNew
        ? `The CUDA provider is in ${folder} (${Math.round(gpuPackage.installedBytes / 1e6)} MB).`
        : `The CUDA provider was in ${folder} already.`,
      missing.length > 0 ? `Still missing: ${missing.join(', ')}.\n  → ${remedy}` : 'All CUDA libraries are there.',
      '`zigma doctor` tries it out.',
    ].join('\n'),
  )
}
