import fc from 'fast-check'
import { expect, test } from 'vitest'
import { countSelected, everything, isSelected, nothing, only, toggled } from '#renderer/composables/selection.ts'

test('everything is as many as there are, and one less when one of them is taken out', () => {
  expect(countSelected(everything, 100_000)).toBe(100_000)
  const allButOne = toggled(everything, 'seven')
  expect([countSelected(allButOne, 100_000), isSelected(allButOne, 'seven'), isSelected(allButOne, 'eight')]).toEqual([99_999, false, true])
})

test('a choice toggled twice is the choice before, whatever it was', () => {
  const choice = fc.oneof(
    fc.constant(nothing),
    fc.constant(everything),
    fc.array(fc.string()).map((ids) => only(...ids)),
  )
  fc.assert(
    fc.property(choice, fc.string(), (selection, id) => {
      const once = toggled(selection, id)
      expect(isSelected(once, id)).toBe(!isSelected(selection, id))
      expect(toggled(once, id)).toEqual(selection)
    }),
  )
})
