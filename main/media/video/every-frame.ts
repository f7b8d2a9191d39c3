import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
const timeoutMs = 10_000
const known = new Map<string, Promise<readonly string[]>>()

/**
 * The option that makes ffmpeg neither double nor drop frames. It is called -fps_mode since 5.1; 9 no longer knows the old name, and older ones do
 * not know the new one, so the program is asked once.
 */
export function everyFrame(ffmpeg: string): Promise<readonly string[]> {
  let option = known.get(ffmpeg)
  if (!option) {
    option = run(ffmpeg, ['-hide_banner', '-fps_mode', 'passthrough', '-version'], { timeout: timeoutMs }).then(
      () => ['-fps_mode', 'passthrough'],
      () => ['-vsync', '0'],
    )
    known.set(ffmpeg, option)
  }
  return option
}
