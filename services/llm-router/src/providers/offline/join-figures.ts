/* Figures that several answers hold, put side by side. */

/** `docs/a.md: 12 words` */
export interface Figure {
  readonly name: string;
  readonly value: number;
  /** In the plural: `words`, `occurrences of "x"`. */
  readonly unit: string;
  readonly isPartial: boolean;
}

const UNIT = String.raw`(?:files?|folders?|lines?|words?|characters?|bytes?|headings?|TODO lines?|e-mail address(?:es)?|URLs?|numbers?|occurrences? of "[^"\n]+")`;
const OF_FILE = new RegExp(String.raw`^(?:- )?(\S[^:\n]*): (at least )?(\d+) (${UNIT})(?: \(partly read\))?$`);
const IN_FOLDER = new RegExp(String.raw`^There (?:is|are) (\d+) (${UNIT}) in ([^,;\n]+), [^;\n]+?[.;]`);

/** The figures of single files and folders in an answer, each once. Totals are left to who adds up. */
export function figuresIn(text: string): readonly Figure[] {
  const isCut = /bytes left out; the whole text|the answer was cut here|so this answer is partial/.test(text);
  const found = text.split('\n').flatMap((line): Figure[] => {
    const [, name, atLeast, value, unit] = OF_FILE.exec(line) ?? [];
    if (name !== undefined) return [{ name, value: Number(value), unit: plural(unit ?? ''), isPartial: isCut || atLeast !== undefined }];
    const [, many, things, folder] = IN_FOLDER.exec(line) ?? [];
    return folder === undefined ? [] : [{ name: folder, value: Number(many), unit: plural(things ?? ''), isPartial: isCut }];
  });
  return [...new Map(found.map((figure) => [`${figure.unit} ${figure.name}`, figure])).values()];
}

/** One line per unit that at least two have: the sum, the most and the least. */
export function figureLines(figures: readonly Figure[]): readonly string[] {
  return [...new Set(figures.map(({ unit }) => unit))].flatMap((unit) => {
    const of = [...new Map(figures.filter((figure) => figure.unit === unit).map((figure) => [figure.name, figure])).values()];
    if (of.length < 2) return [];
    const values = of.map(({ value }) => value);
    const named = (value: number): string =>
      of
        .filter((figure) => figure.value === value)
        .map(({ name }) => name)
        .join(' and ');
    const [most, least] = [Math.max(...values), Math.min(...values)];
    const sum = `${of.some(({ isPartial }) => isPartial) ? 'at least ' : ''}${values.reduce((total, value) => total + value, 0)} ${unit}`;
    const range = most === least ? `${most} each` : `most in ${named(most)} (${most}), fewest in ${named(least)} (${least})`;
    return [`- ${sum} in ${of.length} places; ${range}`];
  });
}

function plural(unit: string): string {
  const [first = '', ...rest] = unit.split(' of ');
  const many = first.endsWith('s') ? (first.endsWith('address') ? `${first}es` : first) : `${first}s`;
  return [many, ...rest].join(' of ');
}
