import { join } from 'node:path'
import { metricPoint, type MetricPoint } from '#contracts/studio.ts'
import type { MetricsLog } from '#engine/ports.ts'
import { jsonLines, readJsonLines } from './json-lines.ts'
import type { SafeFs } from './safe-fs.ts'

/** `<run>/metrics.jsonl`: one line a step. */
export class FileMetrics implements MetricsLog {
  readonly #path: string
  readonly #fs: SafeFs

  constructor(runFolder: string, fs: SafeFs) {
    this.#path = join(runFolder, 'metrics.jsonl')
    this.#fs = fs
  }

  append(points: readonly MetricPoint[]): Promise<void> {
    return this.#fs.append(this.#path, jsonLines(points))
  }

  readAll(): Promise<MetricPoint[]> {
    return readJsonLines(this.#path, metricPoint)
  }

  async truncateAfter(step: number): Promise<void> {
    const points = await this.readAll()
    await this.#fs.writeFile(this.#path, jsonLines(step === 0 ? [] : points.filter((point) => point.step <= step)))
  }
}
