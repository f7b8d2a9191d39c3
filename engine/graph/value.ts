/** Element types of the graph. `f64` exists so that every gradient can be held against central differences. */
export type DType = 'f32' | 'f64' | 'f16' | 'bf16' | 'i32' | 'i64' | 'u8' | 'bool'

/** Size of one element. */
export const elementBytes: Readonly<Record<DType, number>> = { f32: 4, f64: 8, f16: 2, bf16: 2, i32: 4, i64: 8, u8: 1, bool: 1 }

export type Shape = readonly number[]

export type AttributeValue = number | string | readonly number[] | { readonly float: number }
export type Attributes = Readonly<Record<string, AttributeValue>>

/** A tensor in the graph: known by its element type and its shape, computed by `node` (null for inputs and constants). */
export interface Value {
  readonly id: number
  readonly dtype: DType
  readonly shape: Shape
  readonly node: Node | null
}

/** One operation. A missing optional input is null. */
export interface Node {
  readonly op: string
  readonly inputs: readonly (Value | null)[]
  readonly attributes: Attributes
  readonly outputs: readonly Value[]
}

/** A graph as it was built: its nodes in an order in which they can be computed, and what goes in and out by name. */
export interface Graph {
  /** Float type of weights, statistics and losses. */
  readonly float: DType
  /** Type of tokens and of matrix products. */
  readonly compute: DType
  /** Whether sums are to be added in one order on any device. */
  readonly sumsInOrder: boolean
  readonly nodes: readonly Node[]
  readonly inputs: ReadonlyMap<string, Value>
  readonly parameters: ReadonlyMap<string, Value>
  readonly constants: ReadonlyMap<Value, ConstantData>
  readonly outputs: ReadonlyMap<string, Value>
}

export type ConstantData = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array

/** The type in which sums, states and statistics over elements of `dtype` are kept. */
export function wideOf(dtype: DType): DType {
  return dtype === 'f16' || dtype === 'bf16' ? 'f32' : dtype
}

export function isFloat(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'f64' || dtype === 'f16' || dtype === 'bf16'
}
