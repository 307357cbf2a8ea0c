/* The words that the rules know, as data. All in lower case. */

/** Names of file types, as people say them, and the extensions they stand for. */
export const FILE_TYPES: Readonly<Record<string, readonly string[]>> = {
  markdown: ['md', 'markdown', 'mdx'],
  text: ['txt', 'text'],
  plaintext: ['txt', 'text'],
  typescript: ['ts', 'tsx', 'mts', 'cts'],
  javascript: ['js', 'jsx', 'mjs', 'cjs'],
  yaml: ['yaml', 'yml'],
  yml: ['yaml', 'yml'],
  python: ['py'],
  rust: ['rs'],
  golang: ['go'],
  shell: ['sh', 'bash'],
  source: [
    'ts',
    'tsx',
    'mts',
    'cts',
    'js',
    'jsx',
    'mjs',
    'cjs',
    'py',
    'rs',
    'go',
    'java',
    'c',
    'h',
    'cpp',
    'rb',
    'php',
    'cs',
    'swift',
    'kt',
  ],
  code: ['ts', 'tsx', 'mts', 'cts', 'js', 'jsx', 'mjs', 'cjs', 'py', 'rs', 'go', 'java', 'c', 'h', 'cpp', 'rb', 'php', 'cs', 'swift', 'kt'],
  ...Object.fromEntries(
    [
      'md',
      'mdx',
      'txt',
      'json',
      'jsonl',
      'csv',
      'tsv',
      'log',
      'html',
      'css',
      'xml',
      'toml',
      'ini',
      'sql',
      'ts',
      'tsx',
      'js',
      'mjs',
      'py',
      'rs',
      'sh',
      'java',
      'pdf',
      'png',
      'svg',
      'env',
    ].map((extension) => [extension, [extension]]),
  ),
};

/** Extensions whose content is not text. Such files are listed, never read. */
export const BINARY_EXTENSIONS: ReadonlySet<string> = new Set(
  'png jpg jpeg gif webp bmp ico pdf zip gz tgz bz2 xz 7z tar jar wasm so dll exe bin dat db sqlite woff woff2 ttf otf mp3 mp4 wav ogg flac mov avi class pyc o a node doc docx xls xlsx ppt pptx'.split(
    ' ',
  ),
);

export const NUMBER_WORDS: Readonly<Record<string, number>> = {
  one: 1,
  two: 2,
  three: 3,
  four: 4,
  five: 5,
  six: 6,
  seven: 7,
  eight: 8,
  nine: 9,
  ten: 10,
  dozen: 12,
  twenty: 20,
};

/** Files that people name without their extension. */
export const FAMILIAR_FILES: ReadonlySet<string> = new Set(
  'readme license licence changelog contributing makefile dockerfile authors notice'.split(' '),
);

/** Requests that begin with these verbs ask for more than reading. */
export const BEYOND_READING: ReadonlySet<string> = new Set(
  (
    'write create make delete remove rename move copy edit update change modify replace fix repair send translate explain run execute install ' +
    'deploy refactor implement generate draft compose upload download save add append insert convert rewrite paraphrase suggest recommend review ' +
    'improve build design plan book buy call schedule invent imagine argue debug optimise optimize format sort merge commit push test predict draw sing'
  ).split(' '),
);

/** Verbs and question words with which a new request may begin. */
export const READING_STARTERS =
  'list show display print count find locate search grep look read open cat view summarise summarize extract pull collect gather get give tell report compare diff contrast check name quote describe outline say return calculate compute determine identify enumerate fetch inspect see work figure how which what where who whether is are do does'.split(
    ' ',
  );

/** Words after "in", "of" or "under" that never name a folder. */
export const NOT_A_PLACE: ReadonlySet<string> = new Set(
  (
    'a an the this that these those it its them their there here each every any all both some one two three four five six seven eight nine ten which what where who ' +
    'total order detail details full short brief common general english particular between alphabetical descending ascending line lines word words character characters ' +
    'byte bytes size file files folder folders directory directories subfolder subfolders subdirectories document documents page pages name names text content contents ' +
    'heading headings section sections title titles link links url urls email emails e-mail e-mails address addresses number numbers todo todos fixme occurrence occurrences ' +
    'mention mentions time times first last most least me my mine us our you your i sentence sentences paragraph paragraphs bullet bullets points case format terms addition ' +
    'parallel sequence turn advance list table count counts current root whole entire workspace project repository repo codebase top toplevel tree everything anything them ' +
    'same other others markdown json yaml typescript javascript python csv html text txt code source and or not with without longest shortest largest biggest smallest newest oldest how many much ' +
    'phrase phrases term string expression keyword matching explore value values field fields key keys property version difference differences versions is are was be has have does do'
  ).split(' '),
);

/** Words that carry no meaning of their own; left out when words are weighed. */
export const EMPTY_WORDS: ReadonlySet<string> = new Set(
  (
    'a an the and or but if then else for of to in on at by with from as is are was were be been being it its this that these those there here he she they we you i ' +
    'his her their our your my not no do does did have has had can could will would shall should may might must so than too very just only also into over under about ' +
    'which who whom what when where why how all any each every both few more most other some such own same s t don one two'
  ).split(' '),
);

/** Cues for questions about files that sound near to what the rules know, but are not. */
export const BEYOND_RULES: readonly RegExp[] = [
  /\bfiles?\s+(?:that\s+|which\s+)?(?:it|they)\s+(?:mentions?|links?|refers?|references?)\b/i,
  /^(?:e-?)?mail\s+(?:them|it|this|that|me|us|the)\b/i,
  /\b(?:different|distinct|unique|duplicates?|duplicated|repeated)\s+(?:words?|lines?|files?|entries)\b/i,
  /\b(?:common|frequent|used|popular)\s+words?\b/i,
  /\b(?:average|mean|median|percentage|percent|ratio|sum of)\b/i,
  /\b(?:keys|columns|rows|fields)\s+(?:of|in)\b/i,
  /\blines?\s+(?:longer|shorter|of more|with more|with fewer)\b/i,
  /\bin your own words\b|\binto (?:french|german|spanish|english|italian|chinese|japanese)\b/i,
];
