import { stat } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { compose } from '../compose.ts'
import { settingsFolder, defaultProjectsFolder } from '../store/registry.ts'
import type { Output } from './output.ts'

interface Finding {
  name: string
  ok: boolean
  found: string
  /** What to do when it is not well. */
  remedy: string | null
}

/** `zigma doctor`: everything the studio stands on, and what to do about what is missing. */
export async function doctor(output: Output): Promise<void> {
  const studio = await compose({ host: 'cli' })
  try {
    const { engine, ffmpeg, freeBytes, version } = await studio.services['system.describe'](null, { signal: new AbortController().signal })
    const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
    const nvidia = await stat('/proc/driver/nvidia/version').then(
      () => true,
      () => false,
    )
    const findings: Finding[] = [
      { name: 'studio', ok: true, found: version, remedy: null },
      { name: 'node', ok: true, found: process.version, remedy: null },
      {
        name: 'engine',
        ok: engine.problem === null,
        found: engine.problem ?? engine.device,
        remedy: engine.problem ? 'node scripts/setup.mjs' : null,
      },
      {
        name: 'gpu',
        ok: true,
        found: nvidia ? 'an NVIDIA driver is there; this version computes on the processor only' : 'none; computing on the processor',
        remedy: null,
      },
      {
        name: 'ffmpeg',
        ok: ffmpeg !== null,
        found: ffmpeg
          ? `${ffmpeg.version} (${ffmpeg.path})${ffmpeg.note ? ` · ${ffmpeg.note}` : ''}`
          : 'not found; pictures work, videos do not',
        remedy: ffmpeg ? null : 'sudo apt-get install ffmpeg',
      },
      { name: 'processor', ok: true, found: `${availableParallelism()} threads, ${gib(totalmem())} memory`, remedy: null },
      {
        name: 'free space',
        ok: (freeBytes ?? Infinity) > 2 * 2 ** 30,
        found: freeBytes === null ? 'unknown' : gib(freeBytes),
        remedy: (freeBytes ?? Infinity) > 2 * 2 ** 30 ? null : 'free at least 2 GiB',
      },
      { name: 'projects', ok: true, found: defaultProjectsFolder(), remedy: null },
      { name: 'settings', ok: true, found: settingsFolder(), remedy: null },
    ]
    output.answer(
      { ok: findings.every(({ ok }) => ok), findings },
      findings
        .map(({ name, ok, found, remedy }) => `${ok ? '✓' : '✗'} ${name.padEnd(11)} ${found}${remedy ? `\n  → ${remedy}` : ''}`)
        .join('\n'),
    )
  } finally {
    await studio.close()
  }
}
