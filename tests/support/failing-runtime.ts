import type { NativeRuntime } from '#engine/runtime/native.ts'

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
