import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fingerprintWords } from './fingerprint-words.ts';

describe('the words of a fingerprint', () => {
  it.each([
    ['Please COUNT the words!', 'count words'],
    ['count words', 'count words'],
    ['Could you now kindly count a word, please?', 'count word'],
    ['  Count\n\twords… ', 'count words'],
    ['“Count” — words', 'count words'],
    ['ｃｏｕｎｔ ｗｏｒｄｓ', 'count words'],
    ['Don’t stop', 'dont stop'],
    ["don't stop", 'dont stop'],
    ['STRASSE', 'strasse'],
    ['Straße', 'strasse'],
    ['STRAẞE', 'strasse'],
    ['ΟΔΟΣ', 'οδοσ'],
    ['οδος', 'οδοσ'],
    ['cafe\u0301', 'café'],
    ['हिन्दी', 'हिन्दी'],
    ['数えて、ください。', '数えて ください'],
    ['src/main_file.ts:12', 'src main file ts 12'],
    ['please', 'please'],
    ['?!', ''],
    ['', ''],
  ])('%j → %j', (text, words) => {
    expect(fingerprintWords(text)).toBe(words);
  });

  it.each([
    ['count words', 'count lines'],
    ['count words', 'words count'],
    ['do it', 'do not do it'],
    ['page 1', 'page 2'],
    ['ab c', 'a bc'],
  ])('%j and %j stay apart', (one, other) => {
    expect(fingerprintWords(one)).not.toBe(fingerprintWords(other));
  });

  it('are the same when taken again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const words = fingerprintWords(text);
        expect(fingerprintWords(words)).toBe(words);
      }),
      { numRuns: 2_000 },
    );
  });

  it('are the same when taken again, for every character that there is', () => {
    for (let first = 0; first < 0x110000; first += 0x1000) {
      const each = Array.from({ length: 0x1000 }, (_, index) => String.fromCodePoint(first + index));
      const words = fingerprintWords(each.map((character) => `x${character}y Σ${character}`).join(' | '));
      expect(fingerprintWords(words)).toBe(words);
    }
  });

  it('do not change with case, punctuation, spacing and fillers', () => {
    const word = fc.stringMatching(/^[a-zäöüßéñαβγσςабвё0-9]{1,10}$/u);
    const between = fc.stringMatching(/^[ \t\n.,;:!?()[\]"“”…—-]{1,6}$/u);
    const filler = fc.constantFrom('', ' please ', ' THE ', ' kindly ', ' Now, ');
    const shout = (text: string, upper: boolean): string => (upper ? text.toUpperCase() : text);
    fc.assert(
      fc.property(fc.array(fc.tuple(word, between, filler, fc.boolean()), { minLength: 1, maxLength: 20 }), (parts) => {
        const plain = parts.map(([text]) => text).join(' ');
        const written = parts.map(([text, gap, extra, upper]) => `${shout(text, upper)}${gap}${extra}`).join(' ');
        fc.pre(parts.some(([text]) => fingerprintWords(`${text} xyz`) !== 'xyz'));
        expect(fingerprintWords(written)).toBe(fingerprintWords(plain));
      }),
      { numRuns: 1_000 },
    );
  });

  it('are found in a large text too', () => {
    for (const unit of ['a', ' ', "'", "a'", 'please ', '\u0301', 'ß', '!a'])
      expect(fingerprintWords(unit.repeat(300_000 / unit.length)).length).toBeLessThanOrEqual(600_000);
  });
});
