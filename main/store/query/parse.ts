import { StudioError } from '#contracts/errors.ts'
import { englishOf, type QueryMistake, type QueryMistakeName } from '#contracts/query-mistake.ts'
import { queryFields, type FieldName } from './fields.ts'

export type Comparison = '=' | '!=' | '<' | '<=' | '>' | '>='

/** A question about one item. */
export type Query =
  | { kind: 'all' }
  | { kind: 'and' | 'or'; parts: Query[] }
  | { kind: 'not'; part: Query }
  | { kind: 'words'; text: string; exact: boolean }
  | { kind: 'number'; field: FieldName; comparison: Comparison; value: number }
  | { kind: 'choice'; field: FieldName; value: string }
  | { kind: 'text'; field: FieldName; text: string }

const depthLimit = 32
const termLimit = 100

/**
 * Reads a question in the studio's query language (docs/query-language.md).
 *
 * @throws StudioError invalid-request: one sentence on the first mistake, with a `QueryMistake` as its details.
 */
export function parseQuery(text: string): Query {
  return new Parser(text).read()
}

class Parser {
  readonly #text: string
  #at = 0
  #terms = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): Query {
    this.#space()
    if (this.#done) return { kind: 'all' }
    const query = this.#either(0)
    if (!this.#done) throw this.#mistake(this.#at, 1, 'closes-nothing')
    return query
  }

  get #done(): boolean {
    return this.#at >= this.#text.length
  }

  #either(depth: number): Query {
    const parts = [this.#all(depth)]
    while (this.#keyword('OR')) parts.push(this.#all(depth))
    return parts.length === 1 ? parts[0]! : { kind: 'or', parts }
  }

  #all(depth: number): Query {
    const parts = [this.#one(depth)]
    for (;;) {
      if (this.#keyword('AND')) parts.push(this.#one(depth))
      else if (this.#done || this.#text[this.#at] === ')' || this.#sees('OR')) break
      else parts.push(this.#one(depth))
    }
    return parts.length === 1 ? parts[0]! : { kind: 'and', parts }
  }

  #one(depth: number): Query {
    const start = this.#at
    if (depth > depthLimit) throw this.#mistake(start, 1, 'too-deep', { most: depthLimit })
    if (++this.#terms > termLimit) throw this.#mistake(start, 1, 'too-many', { most: termLimit })
    for (const word of ['AND', 'OR']) if (this.#sees(word)) throw this.#mistake(start, word.length, 'before-word', { word })
    if (this.#keyword('NOT')) return { kind: 'not', part: this.#one(depth + 1) }
    if (this.#done) throw this.#mistake(start, 0, 'at-end')
    if (this.#text[start] === '-' && /[^\s)]/.test(this.#text[start + 1] ?? ' ')) {
      this.#at++
      return { kind: 'not', part: this.#one(depth + 1) }
    }
    if (this.#text[start] === ')') throw this.#mistake(start, 1, 'before-closing')
    if (this.#text[start] === '(') {
      this.#at++
      this.#space()
      const inside = this.#either(depth + 1)
      if (this.#text[this.#at] !== ')') throw this.#mistake(start, 1, 'never-closed')
      this.#at++
      this.#space()
      return inside
    }
    return this.#term()
  }

  #term(): Query {
    const start = this.#at
    const [head, name, sign] = /^([a-z]+)(:|<=|>=|!=|=|<|>)/i.exec(this.#text.slice(start)) ?? []
    if (head === undefined) {
      const { value, quoted } = this.#value()
      return { kind: 'words', text: value, exact: quoted }
    }
    const field = name!.toLowerCase()
    if (!isField(field)) {
      throw this.#mistake(start, name!.length, 'no-field', { name: name!, sign: sign!, fields: Object.keys(queryFields).join(', ') })
    }
    this.#at += head.length
    if (/^[\s)]?$/.test(this.#text[this.#at] ?? '')) throw this.#mistake(start, head.length, 'no-value', { head, example: example(field) })
    const { value } = this.#value()
    return this.#question(field, sign!, value, start)
  }

  #question(field: FieldName, sign: string, value: string, start: number): Query {
    const asked = queryFields[field]
    const length = this.#text.slice(start, this.#at).trimEnd().length
    const not = (part: Query): Query => (sign === '!=' ? { kind: 'not', part } : part)
    if (asked.kind === 'number') {
      const [low, high] = sign === ':' ? value.split('..') : [value]
      const numbers = [low, high].flatMap((one) => (one === undefined ? [] : [toNumber(one)]))
      if (numbers.some((one) => one === null)) throw this.#mistake(start, length, 'no-number', { value, example: example(field) })
      const compare = (comparison: Comparison, number: number): Query => ({ kind: 'number', field, comparison, value: number })
      if (high !== undefined) return { kind: 'and', parts: [compare('>=', numbers[0]!), compare('<=', numbers[1]!)] }
      return compare(sign === ':' ? '=' : (sign as Comparison), numbers[0]!)
    }
    if (!/^(:|=|!=)$/.test(sign)) throw this.#mistake(start, length, 'no-order', { field, sign, example: example(field) })
    if (asked.kind === 'text') return not({ kind: 'text', field, text: value })
    const choice = value.toLowerCase()
    if (asked.kind === 'bucket' ? !/^\d{1,4}x\d{1,4}$/.test(choice) : !asked.choices.includes(choice)) {
      const said = { field, value, example: example(field) }
      throw asked.kind === 'bucket'
        ? this.#mistake(start, length, 'no-size', said)
        : this.#mistake(start, length, 'no-choice', { ...said, choices: asked.choices.join(', ') })
    }
    return not({ kind: 'choice', field, value: choice })
  }

  /** A quoted text, in which \\" stands for a quote, or everything up to a space or parenthesis. */
  #value(): { value: string; quoted: boolean } {
    const rest = this.#text.slice(this.#at)
    const quoted = /^"((?:[^"\\]|\\.)*)"/s.exec(rest)
    if (rest.startsWith('"') && !quoted) throw this.#mistake(this.#at, rest.length, 'open-quote')
    const plain = /^[^\s()"]+/.exec(rest)
    const length = (quoted ?? plain)?.[0].length ?? 0
    const value = quoted ? quoted[1]!.replace(/\\(.)/gs, '$1') : (plain?.[0] ?? '')
    this.#at += length
    this.#space()
    return { value, quoted: quoted !== null }
  }

  #space(): void {
    this.#at += /^\s*/.exec(this.#text.slice(this.#at))![0].length
  }

  #sees(word: string): boolean {
    return this.#text.startsWith(word, this.#at) && /^[\s()"]?$/.test(this.#text[this.#at + word.length] ?? '')
  }

  #keyword(word: string): boolean {
    if (!this.#sees(word)) return false
    this.#at += word.length
    this.#space()
    return true
  }

  #mistake(position: number, length: number, mistake: QueryMistakeName, values: QueryMistake['values'] = {}): StudioError {
    const details: QueryMistake = { mistake, values, position, length }
    return new StudioError('invalid-request', englishOf(details), { details })
  }
}

function isField(name: string): name is FieldName {
  return Object.hasOwn(queryFields, name)
}

function example(field: FieldName): string {
  return queryFields[field].example
}

function toNumber(text: string): number | null {
  return /^-?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : null
}
