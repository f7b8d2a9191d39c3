import { expect, test } from 'vitest'
import { EngineClient } from '#main/engine-process/client.ts'
import type { EngineStatus } from '#contracts/studio.ts'
import { StudioError } from '#contracts/errors.ts'
import { fakeEngine } from '../support/fake-engine.ts'

const never = () => new Promise<never>(() => undefined)
const request = { runFolder: '/run', indices: [0], request: { model: { runId: 'run' as never, step: null }, seed: 0 } }
const patience = { askEveryMs: 5, silenceMs: 30, describeMs: 20 }

test('an engine that no longer answers while it has work is ended, and the next call starts a new one', async () => {
  let dumb = true
  const engine = fakeEngine((server) => ({
    'engine.describe': () => (dumb ? never() : Promise.reject(new StudioError('internal', 'a refusal is an answer'))),
    'engine.sample': () => (dumb ? never() : Promise.resolve({ checkpointHash: '', step: server() ? 1 : 0, pictures: 1 })),
  }))
  const heard: EngineStatus['state'][] = []
  const client = new EngineClient(engine.launch, ({ state }) => heard.push(state), patience)
  await expect(client.call('engine.sample', request)).rejects.toMatchObject({ code: 'engine-lost' })
  expect(heard.at(-1)).toBe('lost')
  dumb = false
  expect(await client.call('engine.sample', request)).toMatchObject({ pictures: 1 })
  expect(engine.starts).toBe(2)
  client.close()
})

test('an engine that takes its time and answers when asked is left alone', async () => {
  const engine = fakeEngine({
    'engine.sample': async () => {
      await new Promise((resolve) => setTimeout(resolve, 150))
      return { checkpointHash: '', step: 1, pictures: 1 }
    },
  })
  const client = new EngineClient(engine.launch, () => undefined, patience)
  expect(await client.call('engine.sample', request)).toMatchObject({ pictures: 1 })
  expect(engine.starts).toBe(1)
  client.close()
})

test('an engine that cannot start is shown as unavailable, with its sentence', async () => {
  const engine = fakeEngine({
    'engine.describe': () => Promise.reject(new StudioError('native-missing', 'The native library is not built. Run the set-up.')),
  })
  const client = new EngineClient(engine.launch, () => undefined)
  expect(await client.describe()).toMatchObject({ state: 'unavailable', problem: 'The native library is not built. Run the set-up.' })
  client.close()
})

test('an engine that starts and never answers is told of in one sentence, and an answer that comes late puts it right', async () => {
  let answer = () => undefined as void
  const device = { name: 'Slow', kind: 'cpu' as const, threads: 1, ortVersion: '0', instructionSet: 'none' }
  const engine = fakeEngine({
    'engine.describe': () => new Promise((resolve) => (answer = () => resolve({ ...device, memoryBytes: null, memoryTotalBytes: null }))),
  })
  const client = new EngineClient(engine.launch, () => undefined, patience)
  expect(await client.describe()).toMatchObject({
    state: 'unavailable',
    device: '',
    problem: 'The engine was started but has not answered for 0.02 seconds. Wait a little longer, or end the studio and start it again.',
  })
  answer()
  await expect.poll(() => client.status).toMatchObject({ state: 'idle', device: 'Slow', problem: null })
  client.close()
})

test('an engine whose device is lost is given up at once, and the next call starts another', async () => {
  let lost = true
  const engine = fakeEngine({
    'engine.sample': () =>
      lost
        ? Promise.reject(new StudioError('device-lost', 'The GPU stopped working for this process.'))
        : Promise.resolve({ checkpointHash: '', step: 1, pictures: 1 }),
  })
  const statuses: EngineStatus[] = []
  const client = new EngineClient(engine.launch, (status) => statuses.push(status), patience)
  await expect(client.call('engine.sample', request)).rejects.toMatchObject({ code: 'device-lost' })
  expect(statuses.at(-1)).toMatchObject({ state: 'lost', problem: 'The GPU stopped working for this process.' })
  lost = false
  expect(await client.call('engine.sample', request)).toMatchObject({ pictures: 1 })
  expect(engine.starts).toBe(2)
  client.close()
})
