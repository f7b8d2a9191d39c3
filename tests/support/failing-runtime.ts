import type { NativeRuntime } from '#engine/runtime/native.ts'
import { runsUntilRecorded } from '#native-ops/binding.ts'

/** The runtime with a door for faults: `fault` is asked before every run, told the size of what the program reads, and what it returns is thrown. */
export function failingRuntime(
  runtime: NativeRuntime,
  fault: (run: { inputs: ReadonlyMap<string, readonly number[]> }) => Error | null,
): NativeRuntime {
  return wrap(runtime, {
    createSession: async (...args: Parameters<NativeRuntime['createSession']>) => {
      const session = await runtime.createSession(...args)
      const inputs = new Map(session.inputs.map(({ name, shape }) => [name, shape.map(Number)]))
      return wrap(session, {
        createBinding: () => {
          const binding = session.createBinding()
          return wrap(binding, {
            run: (signal?: AbortSignal) => {
              const error = fault({ inputs })
              return error ? Promise.reject(error) : binding.run(signal)
            },
          })
        },
      })
    },
  })
}

/** The runtime as if its device were a GPU. */
export const asGpu = (runtime: NativeRuntime): NativeRuntime => wrap(runtime, { device: 'cuda' })

/** The same, with what ONNX Runtime does there: the run of a session that it records, which is made twice. */
export function recordingGpu(runtime: NativeRuntime): NativeRuntime {
  return wrap(asGpu(runtime), {
    createSession: async (model, options) => {
      const session = await runtime.createSession(model, options)
      let runs = 0
      const createBinding = () => {
        const binding = session.createBinding()
        const run = async (signal?: AbortSignal) => {
          if (options?.cudaGraph && ++runs === runsUntilRecorded) await binding.run(signal)
          await binding.run(signal)
        }
        return wrap(binding, { run })
      }
      return wrap(session, { createBinding })
    },
  })
}

/** The runtime, whose session number `failing` finds no memory; and how many sessions and arenas of it are held. */
export function fullRuntime(runtime: NativeRuntime, failing: number): { full: NativeRuntime; held: () => number } {
  let [sessions, held] = [0, 0]
  const counted = <T extends { dispose: () => void }>(made: T): T => {
    held++
    const dispose = () => {
      held--
      made.dispose()
    }
    return wrap(made, { dispose, [Symbol.dispose]: dispose } as unknown as Partial<T>)
  }
  const full = wrap(runtime, {
    createSession: async (...args: Parameters<NativeRuntime['createSession']>) => {
      if (++sessions === failing) throw Object.assign(new Error('out of memory: 12 GiB wanted'), { code: 'OutOfMemory' })
      return counted(await runtime.createSession(...args))
    },
    createArena: (...args: Parameters<NativeRuntime['createArena']>) => counted(runtime.createArena(...args)),
  })
  return { full, held: () => held }
}

/** An object of the native side with some methods replaced; the others must be called on the object itself. */
function wrap<T extends object>(object: T, over: Partial<T>): T {
  return new Proxy(object, {
    get: (target, name) => {
      if (Object.hasOwn(over, name)) return over[name as keyof T]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
    },
  })
}
