import { defineConfig } from 'vitest/config'

const long = process.env['ZIGMA_LONG'] === '1'

export default defineConfig({
  test: {
    exclude: ['node_modules/**', ...(long ? [] : ['tests/**/*.long.test.ts'])],
    pool: 'forks', // each file has a process of its own: a fault in the native library fails one file, not the run
    maxWorkers: 2,
    testTimeout: long ? 600_000 : 30_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: 'processor', include: ['tests/!(gpu)/**/*.test.ts'], sequence: { groupOrder: 0 } } },
      // There is one GPU, and how much of its memory is in use is measured: a file has it for itself.
      { extends: true, test: { name: 'gpu', include: ['tests/gpu/**/*.test.ts'], fileParallelism: false, sequence: { groupOrder: 1 } } },
    ],
  },
})
