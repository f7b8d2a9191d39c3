/** The native side's types, for the rooms that hand its objects on without touching the binding. */
export type { DeviceTensor, NativeRuntime, ValueInfo } from '#native-ops/binding.ts'
