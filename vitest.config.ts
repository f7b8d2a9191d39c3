import { defineConfig } from 'vitest/config'

const long = process.env['ZIGMA_LONG'] === '1'

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: ['node_modules/**', ...(long ? [] : ['tests/**/*.long.test.ts'])],
    pool: 'forks', // each file has a process of its own: a fault in the native library fails one file, not the run
    maxWorkers: 2,
    testTimeout: long ? 600_000 : 30_000,
    hookTimeout: 60_000,
  },
})
