import { StudioError } from '#contracts/errors.ts'
import { openRuntime as open, type Device } from '#native-ops/load.ts'

/** ONNX Runtime with the native operations. @throws StudioError native-missing with the file that is missing or wrong, and what to do. */
export function openRuntime(options: { device?: Device } = {}): ReturnType<typeof open> {
  try {
    return open(options)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'LoadError')
      throw new StudioError('native-missing', error.message, { cause: error })
    throw error
  }
}
