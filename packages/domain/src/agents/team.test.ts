import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findRole, type Role, ROLE_CATALOGUE, STAGES } from './roles.ts';
import { assembleTeam, MAX_TEAM, TEAM_WEIGHTS, type TeamNeed, type ToolOnOffer, toolScope } from './team.ts';
import { CAPABILITIES, TASK_TYPES, type TaskType } from './vocabulary.ts';

const offered: readonly ToolOnOffer[] = [
  { name: 'files__read_text_file', description: 'Read the complete contents of a file.', effect: 'read_only' },
  { name: 'files__search_files', description: 'Search for files by pattern.', effect: 'read_only' },
  { name: 'files__write_file', description: 'Create or overwrite a file.', effect: 'idempotent' },
  { name: 'browser__navigate', description: 'Open a page.', effect: 'non_idempotent' },
  { name: 'mail__send', description: 'Send a message.', effect: 'non_idempotent' },
  { name: 'shop__purchase', description: 'Buy something.', effect: 'non_idempotent' },
];

/** The capabilities that the analyzer names for each task type, without those that words of a task add. */
const NEEDED: Readonly<Record<TaskType, readonly string[]>> = {
  information_retrieval: ['information', 'search'],
  content_creation: ['creation', 'cognitive'],
  data_analysis: ['analysis', 'data'],
  file_operations: ['file_system'],
  web_automation: ['web', 'automation'],
  code_development: ['development', 'file_system', 'reasoning'],
  project_management: ['cognitive', 'creation'],
  research: ['search', 'information', 'analysis'],
  communication: ['communication', 'creation'],
  reasoning: ['reasoning', 'cognitive'],
};

const need = (taskType: string, capabilities: readonly string[], tools: readonly ToolOnOffer[] = offered): TeamNeed => ({
  capabilities,
  taskType,
  tools,
});

const names = ({ members }: ReturnType<typeof assembleTeam>): readonly string[] => members.map(({ role }) => role.name);

describe('the team for each kind of task', () => {
  const golden: Readonly<Record<TaskType, readonly string[]>> = {
    information_retrieval: ['researcher', 'analyst'],
    content_creation: ['researcher', 'creator', 'reviewer'],
    data_analysis: ['analyst', 'reviewer'],
    file_operations: ['automator', 'reviewer'],
    web_automation: ['web_specialist', 'automator'],
    code_development: ['architect', 'developer', 'qa'],
    project_management: ['product', 'coordinator'],
    research: ['researcher', 'analyst', 'creator', 'reviewer'],
    communication: ['creator', 'communicator'],
    reasoning: ['reasoner', 'reviewer'],
  };

  it.each(TASK_TYPES)('%s', (taskType) => {
    const team = assembleTeam(need(taskType, NEEDED[taskType]));
    expect(names(team)).toEqual(golden[taskType]);
    expect(team.uncovered).toEqual([]);
  });
});

describe('a member', () => {
  it('says its score, its reasons and its tools', () => {
    const [researcher, analyst] = assembleTeam(need('information_retrieval', ['information', 'search'])).members;
    expect(researcher).toEqual({
      role: findRole('researcher'),
      score: 0.6 + 0.3 + 0.08 + 0.5,
      reasons: ['has 2 of 2 needed capabilities: information, search', 'called for by information_retrieval', '2 of 6 tools fit'],
      warnings: [],
      tools: ['files__read_text_file', 'files__search_files'],
    });
    expect(analyst).toMatchObject({ score: 0.88, reasons: ['called for by information_retrieval', '2 of 6 tools fit'] });
  });

  it('that finds no tool for its work works without, and says so', () => {
    const [web] = assembleTeam(need('web_automation', ['web'], [])).members;
    expect(web).toMatchObject({ score: 1.16, tools: [], warnings: ['none of the tools fits this role; it works without tools'] });
  });

  it('that only reads gets no tool that changes something', () => {
    expect(toolScope(roleOf('researcher'), [{ name: 'search__index', effect: 'idempotent' }])).toEqual([]);
    expect(toolScope(roleOf('researcher'), [{ name: 'search__query', effect: 'read_only' }])).toEqual(['search__query']);
  });

  it('knows its tools by the beginnings of words, not by what stands inside them', () => {
    const scope = (name: string, description?: string): readonly string[] =>
      toolScope(roleOf('communicator'), [{ name, effect: 'read_only', ...(description !== undefined && { description }) }]);
    expect(scope('x__sendMessage')).toEqual(['x__sendMessage']);
    expect(scope('x__MAIL')).toEqual(['x__MAIL']);
    expect(scope('x__y', 'Sends an invoice.')).toEqual(['x__y']);
    expect(scope('x__resend')).toEqual([]);
    expect(scope('x__y', `${'word '.repeat(500)} send`)).toEqual([]);
  });
});

describe('a team', () => {
  it('is the generalist with every tool when nothing is known of the task', () => {
    for (const known of [need('reasoning', []), need('unheard_of', ['unheard_of'])]) {
      const { members } = assembleTeam(known);
      expect(members).toMatchObject([{ role: { name: 'generalist' }, tools: offered.map(({ name }) => name), warnings: [] }]);
      expect(members[0]?.reasons[0]).toBe('no other role is known to fit');
    }
  });

  it('says which capabilities nobody has', () => {
    expect(assembleTeam(need('research', ['search', 'juggling'])).uncovered).toEqual(['juggling']);
    expect(assembleTeam(need('information_retrieval', ['search', 'web']), ROLE_CATALOGUE, 1).uncovered).toEqual(['web']);
  });

  it('takes whoever adds a capability before whoever is only called for', () => {
    const team = assembleTeam(need('research', ['search', 'web', 'automation', 'communication', 'creation', 'data']));
    expect(names(team)).toHaveLength(MAX_TEAM);
    expect(names(team)).not.toContain('reviewer');
  });

  it('is empty when nobody may join', () => {
    expect(assembleTeam(need('research', ['search']), ROLE_CATALOGUE, 0).members).toEqual([]);
    expect(assembleTeam(need('research', ['search']), { roles: [], aliases: new Map() }).members).toEqual([]);
  });
});

const tool = fc.record(
  {
    name: fc.stringMatching(/^[a-z]{1,8}__[a-z_]{1,12}$/),
    description: fc.string(),
    effect: fc.constantFrom('read_only', 'idempotent', 'non_idempotent'),
  },
  { requiredKeys: ['name', 'effect'] },
);
const anyNeed: fc.Arbitrary<TeamNeed> = fc.record({
  capabilities: fc.array(fc.oneof(fc.constantFrom(...CAPABILITIES), fc.string()), { maxLength: 14 }),
  taskType: fc.oneof(fc.constantFrom(...TASK_TYPES), fc.string()),
  tools: fc.uniqueArray(fc.oneof(fc.constantFrom(...offered), tool as fc.Arbitrary<ToolOnOffer>), { selector: ({ name }) => name }),
});

describe('whatever is needed, a team', () => {
  it('has at most five members, none twice, and never nobody', () => {
    fc.assert(
      fc.property(anyNeed, fc.integer({ min: 1, max: 9 }), (known, max) => {
        const found = names(assembleTeam(known, ROLE_CATALOGUE, max));
        expect(found.length).toBeGreaterThan(0);
        expect(found.length).toBeLessThanOrEqual(Math.min(max, MAX_TEAM));
        expect(new Set(found).size).toBe(found.length);
      }),
    );
  });

  it('gives nobody a tool that was not offered, nor one that changes something to those who only read', () => {
    fc.assert(
      fc.property(anyNeed, (known) => {
        for (const { role, tools, warnings } of assembleTeam(known).members) {
          const scope = known.tools.filter(({ name }) => tools.includes(name));
          expect(scope.map(({ name }) => name)).toEqual(tools);
          expect(role.effects === 'any' || scope.every(({ effect }) => effect === 'read_only')).toBe(true);
          expect(warnings).toHaveLength(tools.length === 0 ? 1 : 0);
        }
      }),
    );
  });

  it('is the same for the same need, whatever the order of capabilities and of the catalogue', () => {
    fc.assert(
      fc.property(anyNeed, (known) => {
        const team = assembleTeam(known);
        const mirrored = assembleTeam(
          { ...known, capabilities: known.capabilities.toReversed() },
          { ...ROLE_CATALOGUE, roles: ROLE_CATALOGUE.roles.toReversed() },
        );
        expect(assembleTeam(known)).toEqual(team);
        expect(names(mirrored)).toEqual(names(team));
      }),
    );
  });

  it('works in the order of the stages, and every member adds something or is called for', () => {
    fc.assert(
      fc.property(anyNeed, (known) => {
        const { members, uncovered } = assembleTeam(known);
        const stages = members.map(({ role }) => STAGES.indexOf(role.stage));
        expect(stages).toEqual(stages.toSorted((a, b) => a - b));
        for (const { role, score } of members) {
          expect(score).toBeGreaterThan(0);
          expect(score).toBeLessThanOrEqual(Object.values(TEAM_WEIGHTS).reduce((sum, weight) => sum + weight, 0));
          if (role.name === 'generalist') continue;
          expect(
            (role.preferredFor as readonly string[]).includes(known.taskType) ||
              role.capabilities.some((capability) => known.capabilities.includes(capability)),
          ).toBe(true);
        }
        for (const capability of uncovered)
          expect(members.some(({ role }) => (role.capabilities as readonly string[]).includes(capability))).toBe(false);
      }),
    );
  });
});

function roleOf(name: string): Role {
  const role = findRole(name);
  if (role === undefined) throw new Error(`no role ${name}`);
  return role;
}
