import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findFfmpeg } from '#main/media/ffmpeg.ts'

const found = await findFfmpeg()
if (!found) throw new Error('These tests need ffmpeg. Install it from your system, or name it in FFMPEG_PATH.')
export const ffmpeg = found.path

/** Runs ffmpeg as the tests' own tool: no limits, no white-lists. */
export function make(...args: string[]): void {
  execFileSync(ffmpeg, ['-v', 'error', '-nostdin', '-y', ...args])
}

const quick = ['-c:v', 'mpeg4', '-q:v', '3', '-pix_fmt', 'yuv420p']

export interface Pattern {
  frames: number
  rate?: number
  size?: string
}

/** A moving test picture with a known number of frames. */
export function makePattern(path: string, { frames, rate = 25, size = '64x48' }: Pattern, ...options: string[]): string {
  make('-f', 'lavfi', '-i', `testsrc2=s=${size}:r=${rate}`, '-frames:v', String(frames), ...quick, ...options, `file:${path}`)
  return path
}

/** Scenes of one color each, cut hard. */
export function makeScenes(path: string, scenes: readonly (readonly [color: string, frames: number])[], rate = 25): string {
  const inputs = scenes.flatMap(([color, frames]) => ['-f', 'lavfi', '-i', `color=${color}:s=64x48:r=${rate}:d=${frames / rate}`])
  const joined = `${scenes.map((_, i) => `[${i}:v]`).join('')}concat=n=${scenes.length}:v=1[out]`
  make(...inputs, '-filter_complex', joined, '-map', '[out]', ...quick, path)
  return path
}

/** `first` frames at 30 a second, then `second` at 10: variable, with times that Matroska rounds to milliseconds. */
export function makeVariable(path: string, first: number, second: number): string {
  const times = `setpts=if(lt(N\\,${first})\\,N/30/TB\\,(${first}/30+(N-${first})/10)/TB)`
  make(
    ...['-f', 'lavfi', '-i', 'testsrc2=s=64x48:r=30', '-frames:v', String(first + second), '-vf', times],
    ...['-enc_time_base', '1:1000', ...quick, path],
  )
  return path
}

/** A playlist that names another file as its only segment: harmless by its own name. */
export function makePlaylist(path: string, target: string): string {
  writeFileSync(path, `#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://${target}\n#EXT-X-ENDLIST\n`)
  return path
}

/** A script that makes ffmpeg join other files. */
export function makeConcatScript(path: string, target: string): string {
  writeFileSync(path, `ffconcat version 1.0\nfile '${target}'\n`)
  return path
}

export function inFolder(folder: string): (name: string) => string {
  return (name) => join(folder, name)
}

/** Every frame is one gray, 4 lighter than the one before: which frame is which can be read off it. */
export function makeCounter(path: string, frames: number, ...options: string[]): string {
  const gray = `geq=lum=16+4*N:cb=128:cr=128`
  make(
    '-f',
    'lavfi',
    '-i',
    `color=black:s=32x32:r=25,format=yuv420p,${gray}`,
    '-frames:v',
    String(frames),
    ...quick,
    '-q:v',
    '1',
    ...options,
    path,
  )
  return path
}

/** The number of a counter's frame, from its pixels. */
export function countOf(rgb: Uint8Array): number {
  const mean = rgb.reduce((sum, value) => sum + value, 0) / rgb.length
  return Math.round((mean * 219) / 255 / 4)
}
