/*
 * What a task is, by rules alone: one pass over the words, one verdict.
 *
 * Weights of found terms add up per intent and per task type; a term that heads a
 * clause counts more, the first clause most. Intent and task type answer different
 * questions and support each other through one table. Complexity only ever adds:
 * more steps, conditions and matters never lower it.
 */
import { findClauses, type Clauses } from './clauses.ts';
import {
  ANALYZER_VERSION,
  CAPABILITIES_OF_TYPE,
  CAPABILITY_TERMS,
  CONSTRAINT_TERMS,
  DESCRIBING_WORDS,
  EFFORT_OF_INTENT,
  ENGLISH_WORDS,
  FLAG_TERMS,
  HARD_TERMS,
  INTENT_TERMS,
  NEGATIONS,
  OTHER_LANGUAGES,
  TASK_TYPE_TERMS,
  TOPIC_WORDS,
  TYPE_OF_INTENT,
  type WeightedTerms,
} from './lexicon.ts';
import { comesAfter, indexTerms, isConditional, matchTerms, type TermIndex, type TermMatch } from './match-lexicon.ts';
import { requestOf } from './request.ts';
import {
  CAPABILITIES,
  INTENTS,
  TASK_TYPES,
  type Capability,
  type ComplexityTier,
  type Intent,
  type NeededCapability,
  type Reason,
  type TaskAnalysis,
  type TaskFlags,
  type TaskType,
} from './task-analysis.ts';
import { tokenize, type Token } from './tokens.ts';

export type { Capability, ComplexityTier, Intent, NeededCapability, Reason, TaskAnalysis, TaskFlags, TaskType } from './task-analysis.ts';

/** Only so much of a task is looked at. In UTF-16 units. */
const MAX_ANALYSED_LENGTH = 32 * 1024;
/** An intent below this is not claimed. */
const LEAST_EVIDENCE = 1.5;
const HEAD_BONUS = 1.25;
const FIRST_HEAD_BONUS = 1.5;
const SECONDARY_SHARE = 0.4;
const SECONDARY_EVIDENCE = 2;

const FLAGS = Object.keys(FLAG_TERMS) as (keyof TaskFlags)[];
const intentIndexes = indexesOf('intent', INTENT_TERMS);
const typeIndexes = indexesOf('type', TASK_TYPE_TERMS);
const capabilityIndexes = indexesOf('capability', CAPABILITY_TERMS);
const flagIndexes = new Map(FLAGS.map((flag) => [flag, indexTerms(`flag.${flag}`, [[1, FLAG_TERMS[flag]]])]));
const hardIndex = indexTerms('complexity.hard', [[1, HARD_TERMS]]);
const constraintIndex = indexTerms('complexity.constraint', [[1, CONSTRAINT_TERMS]]);

/** A text, read once. */
interface Reading {
  readonly tokens: readonly Token[];
  readonly clauses: Clauses;
  readonly wordCount: number;
}

/** Matches per claim, e.g. per intent. */
type Evidence<Claim extends string> = ReadonlyMap<Claim, readonly TermMatch[]>;

/**
 * Analyses a task. Pure, linear in the text, never throws; of a text above 32 Ki
 * characters only the beginning counts, and `truncated` says so. Material that the
 * task is about (`request.ts`) counts for nothing.
 *
 * @example
 * analyzeTask('Write unit tests for the parser').intent; // 'testing'
 */
export function analyzeTask(text: string): TaskAnalysis {
  const truncated = text.length > MAX_ANALYSED_LENGTH;
  const tokens = tokenize(requestOf(truncated ? text.slice(0, MAX_ANALYSED_LENGTH) : text));
  const reading = { tokens, clauses: findClauses(tokens), wordCount: tokens.filter(({ kind }) => kind === 'word').length };
  const intents = evidenceFor(reading, INTENTS, intentIndexes);
  const types = evidenceFor(reading, TASK_TYPES, typeIndexes);
  const { flags, reasons: flagReasons } = judgeFlags(reading);
  const isEnglish = readsAsEnglish(reading, [intents, types], flagReasons.length > 0);
  const complexity = judgeComplexity(reading, intents);
  const shared = {
    analyzerVersion: ANALYZER_VERSION,
    flags,
    truncated,
    complexity: { score: complexity.score, tier: tierOf(complexity.score) },
    estimatedSteps: estimateSteps(reading, complexity.score, flags),
  };
  if (!isEnglish) {
    return {
      ...shared,
      intent: 'general_assistance',
      secondaryIntents: [],
      taskType: 'reasoning',
      capabilities: [],
      confidence: 0.1,
      language: 'unknown',
      reasons: [...flagReasons, ...complexity.reasons],
    };
  }
  const intentRanks = ranked(reading, intents);
  const verdict = judgeIntent(intentRanks);
  const typeRanks = rankTypes(reading, types, verdict.intent, intentRanks[0]?.[1] ?? 0);
  const taskType = typeRanks[0]?.[0] ?? 'reasoning';
  const needed = judgeCapabilities(reading, taskType);
  return {
    ...shared,
    ...verdict,
    taskType,
    capabilities: needed.capabilities,
    confidence: judgeConfidence(intentRanks, typeRanks, verdict.intent, taskType),
    language: 'en',
    reasons: [
      ...flagReasons,
      ...[verdict.intent, ...verdict.secondaryIntents].flatMap((intent) => reasonsFor(`intent:${intent}`, intents.get(intent))),
      ...reasonsFor(`taskType:${taskType}`, types.get(taskType)),
      ...needed.reasons,
      ...complexity.reasons,
    ],
  };
}

function indexesOf<Claim extends string>(table: string, terms: Readonly<Record<Claim, WeightedTerms>>): ReadonlyMap<Claim, TermIndex> {
  return new Map((Object.keys(terms) as Claim[]).map((claim) => [claim, indexTerms(`${table}.${claim}`, terms[claim])]));
}

function evidenceFor<Claim extends string>(
  { tokens, clauses }: Reading,
  claims: readonly Claim[],
  indexes: ReadonlyMap<Claim, TermIndex>,
): Evidence<Claim> {
  return new Map(claims.map((claim) => [claim, matchTerms(tokens, clauses.heads, indexes.get(claim) ?? new Map())]));
}

function reasonsFor(claim: string, matches: readonly TermMatch[] = []): Reason[] {
  return matches.map(({ ruleId, start, end }) => ({ claim, ruleId, start, end }));
}

function ranked<Claim extends string>(reading: Reading, evidence: Evidence<Claim>): [Claim, number][] {
  const scores = [...evidence].map(([claim, matches]): [Claim, number] => [claim, scoreOf(reading, matches)]);
  return scores.toSorted(([, left], [, right]) => right - left);
}

/** Where the first clause begins. */
function firstStartOf({ tokens, clauses }: Reading): number {
  const [firstHead] = clauses.heads;
  return firstHead === undefined ? -1 : (tokens[firstHead]?.start ?? -1);
}

function scoreOf(reading: Reading, matches: readonly TermMatch[]): number {
  const firstStart = firstStartOf(reading);
  return matches.reduce(
    (sum, { weight, isHead, start }) => sum + weight * (start === firstStart ? FIRST_HEAD_BONUS : isHead ? HEAD_BONUS : 1),
    0,
  );
}

function judgeIntent(ranks: readonly [Intent, number][]): { intent: Intent; secondaryIntents: Intent[] } {
  const [first] = ranks;
  if (!first || first[1] < LEAST_EVIDENCE) return { intent: 'general_assistance', secondaryIntents: [] };
  const [intent, score] = first;
  const others = ranks
    .slice(1)
    .filter(([other, evidence]) => other !== 'general_assistance' && evidence >= SECONDARY_EVIDENCE && evidence >= score * SECONDARY_SHARE);
  return { intent, secondaryIntents: others.slice(0, 2).map(([other]) => other) };
}

function rankTypes(reading: Reading, types: Evidence<TaskType>, intent: Intent, intentScore: number): [TaskType, number][] {
  const support = intentScore >= LEAST_EVIDENCE ? TYPE_OF_INTENT[intent] : undefined;
  const hasPath = reading.tokens.some(({ kind }) => kind === 'path');
  const hasUrl = reading.tokens.some(({ kind }) => kind === 'url');
  const scores = ranked(reading, types).map(([type, score]): [TaskType, number] => {
    const place = type === 'file_operations' && hasPath ? 0.8 : type === 'web_automation' && hasUrl ? 1.2 : 0;
    return [type, score + place + (support?.[0] === type ? support[1] : 0)];
  });
  return scores.toSorted(([, left], [, right]) => right - left).filter(([, score]) => score > 0);
}

function judgeCapabilities(reading: Reading, taskType: TaskType): { capabilities: NeededCapability[]; reasons: Reason[] } {
  const needed = new Map<Capability, NeededCapability>();
  const reasons: Reason[] = [];
  for (const [name, priority, optional] of CAPABILITIES_OF_TYPE[taskType]) needed.set(name, { name, priority, optional });
  const asks = (name: Capability, priority: NeededCapability['priority'], reason: Omit<Reason, 'claim'>) => {
    const highest = Math.max(priority, needed.get(name)?.priority ?? 1) as NeededCapability['priority'];
    needed.set(name, { name, priority: highest, optional: false });
    reasons.push({ claim: `capability:${name}`, ...reason });
  };
  for (const [name, matches] of evidenceFor(reading, CAPABILITIES, capabilityIndexes)) {
    const strongest = matches.toSorted((left, right) => right.weight - left.weight)[0];
    if (strongest)
      asks(name, Math.ceil(strongest.weight) as NeededCapability['priority'], {
        ruleId: strongest.ruleId,
        start: strongest.start,
        end: strongest.end,
      });
  }
  const path = reading.tokens.find(({ kind }) => kind === 'path');
  if (path) asks('file_system', 4, { ruleId: 'capability.file_system.path', start: path.start, end: path.end });
  const url = reading.tokens.find(({ kind }) => kind === 'url');
  if (url) asks('web', 4, { ruleId: 'capability.web.url', start: url.start, end: url.end });
  const capabilities = [...needed.values()].toSorted(
    (left, right) => right.priority - left.priority || CAPABILITIES.indexOf(left.name) - CAPABILITIES.indexOf(right.name),
  );
  return { capabilities, reasons };
}

/** Every part only grows when text is added, and so does the sum. */
function judgeComplexity(reading: Reading, intents: Evidence<Intent>): { score: number; reasons: Reason[] } {
  const { tokens, clauses, wordCount } = reading;
  const hard = distinct(matchTerms(tokens, clauses.heads, hardIndex));
  const constraints = distinct(matchTerms(tokens, clauses.heads, constraintIndex));
  const effort = Math.max(0, ...INTENTS.map((intent) => ((intents.get(intent)?.length ?? 0) > 0 ? EFFORT_OF_INTENT[intent] : 0)));
  const kinds = INTENTS.filter(
    (intent) => intent !== 'general_assistance' && (intents.get(intent) ?? []).some(({ weight }) => weight >= 1.5),
  ).length;
  const named = tokens.filter(({ kind }) => kind === 'path' || kind === 'url').length;
  const sum =
    effort +
    capped(0.75 * Math.max(0, clauses.steps.length - 1), 4) +
    capped(0.4 * Math.max(0, kinds - 1), 1.2) +
    capped(0.55 * hard.length, 3.5) +
    capped(0.3 * constraints.length, 1.5) +
    capped(0.2 * Math.max(0, named - 1), 0.8) +
    capped(0.2 * clauses.itemCount, 1) +
    capped(wordCount / 60, 1.5);
  return {
    score: Math.round(capped(sum, 10)),
    reasons: [...reasonsFor('complexity:hard', hard), ...reasonsFor('complexity:constraint', constraints), ...stepReasons(reading)],
  };
}

/** Steps that are named as reasons; a list of a thousand verbs needs no thousand reasons. */
const STEP_REASONS = 20;

function stepReasons({ tokens, clauses }: Reading): Reason[] {
  return clauses.steps.slice(0, STEP_REASONS).flatMap((at) => {
    const token = tokens[at];
    return token ? [{ claim: 'complexity:step', ruleId: 'complexity.step.verb', start: token.start, end: token.end }] : [];
  });
}

const capped = (value: number, most: number) => Math.min(value, most);
const distinct = (matches: readonly TermMatch[]) =>
  [...new Map(matches.toReversed().map((match) => [match.ruleId, match])).values()].toReversed();

function tierOf(score: number): ComplexityTier {
  if (score <= 2) return 'simple';
  if (score <= 5) return 'moderate';
  return score <= 8 ? 'complex' : 'expert';
}

function judgeFlags(reading: Reading): { flags: TaskFlags; reasons: Reason[] } {
  const found = evidenceFor(reading, FLAGS, flagIndexes);
  const reasons = FLAGS.flatMap((flag) =>
    reasonsFor(
      `flag:${flag}`,
      (found.get(flag) ?? []).filter((match) => speaks(flag, match, reading)),
    ),
  );
  const numbered = reading.tokens.find(({ kind, text }) => kind === 'item' && /\d/.test(text));
  if (numbered) {
    const { start, end } = numbered;
    for (const flag of ['ordered', 'staged']) reasons.push({ claim: `flag:${flag}`, ruleId: `flag.${flag}.numbered-list`, start, end });
  }
  const claimed = new Set(reasons.map(({ claim }) => claim));
  const flags = Object.fromEntries(FLAGS.map((flag) => [flag, claimed.has(`flag:${flag}`)])) as unknown as TaskFlags;
  return { flags, reasons };
}

/** False for words that are taken back ("not urgent"), are the topic, describe, name a case or ask only by the way. */
function speaks(flag: keyof TaskFlags, { ruleId, start }: TermMatch, reading: Reading): boolean {
  if (flag === 'asking') return start === firstStartOf(reading);
  const { tokens } = reading;
  if (ruleId.endsWith('.without-delay')) return true;
  if (comesAfter(tokens, start, NEGATIONS, 2) || comesAfter(tokens, start, TOPIC_WORDS, 2)) return false;
  if (flag === 'independentParts' || flag === 'iterative') return !comesAfter(tokens, start, DESCRIBING_WORDS, 1);
  return ruleId !== 'flag.staged.then' || !isConditional(tokens, start);
}

function estimateSteps({ clauses }: Reading, score: number, { iterative }: TaskFlags): number {
  const named = Math.max(1, clauses.steps.length, clauses.itemCount);
  const unnamed = score >= 9 ? 4 : score >= 6 ? 2 : score >= 3 ? 1 : 0;
  return Math.min(50, named + unnamed + (iterative ? 1 : 0));
}

function judgeConfidence(
  intents: readonly [Intent, number][],
  types: readonly [TaskType, number][],
  intent: Intent,
  taskType: TaskType,
): number {
  const [clearIntent, clearType] = [clearness(intents), clearness(types)];
  const support = TYPE_OF_INTENT[intent]?.[0];
  const agreement = support === undefined || support === taskType ? 0.1 : -0.1;
  return Math.round(Math.min(0.95, Math.max(0.1, 0.15 + 0.4 * clearIntent + 0.3 * clearType + agreement)) * 100) / 100;
}

/** 0–1: how far the first is ahead of the second, and how much there is at all. */
function clearness(ranks: readonly [string, number][]): number {
  const [first = 0, second = 0] = ranks.map(([, score]) => score);
  if (first === 0) return 0;
  return ((first - second) / first) * 0.6 + Math.min(1, first / 5) * 0.4;
}

/** English by its small words, or by words that the lexicon knows; another script or language is not. */
function readsAsEnglish({ tokens, wordCount }: Reading, evidence: readonly Evidence<string>[], isFlagged: boolean): boolean {
  const words = tokens.filter(({ kind }) => kind === 'word');
  const latin = words.filter(({ text }) => /^[\p{Script=Latin}\p{N}_'+#]+$/u.test(text)).length;
  if (wordCount === 0 || latin < wordCount * 0.6) return false;
  const english = words.filter(({ text }) => ENGLISH_WORDS.has(text)).length;
  const other = words.filter(({ text }) => OTHER_LANGUAGES.has(text) && !ENGLISH_WORDS.has(text)).length;
  const known = evidence.some((claims) => [...claims.values()].some((matches) => matches.length > 0));
  if (other > english) return false;
  if (isFlagged && english > 0 && other === 0) return true;
  return known || english >= Math.max(2, wordCount * 0.2);
}
