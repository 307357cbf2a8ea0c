import { describe, expect, it } from 'vitest';
import { castRole, isFreeName, type NamedAgent } from './named-agents.ts';
import { type Role, ROLE_CATALOGUE, roleText } from './roles.ts';

const accountant: NamedAgent = {
  name: 'accountant',
  version: 1,
  role: 'analyst@1',
  instruction: 'Amounts are in euros.',
  tools: ['books__read'],
  model: 'small-1',
};

describe('casting a role', () => {
  it('knows the catalogue, other names and versions', () => {
    expect(castRole('Coder')).toMatchObject({ id: 'developer@1', base: { name: 'developer' }, tools: undefined, model: undefined });
    expect(castRole('developer@1')?.instruction).toBe(roleText('developer@1'));
    expect(castRole('developer@2')).toBeUndefined();
    expect(castRole('lawyer')).toBeUndefined();
    expect(castRole('accountant')).toBeUndefined();
  });

  it('adds the words of a named agent below those of its role, which stay', () => {
    expect(castRole('Accountant', ROLE_CATALOGUE, [accountant])).toEqual({
      id: 'accountant@1',
      base: expect.objectContaining({ name: 'analyst', version: 1 }) as Role,
      instruction: `${roleText('analyst@1')}\n\nAmounts are in euros.`,
      tools: ['books__read'],
      model: 'small-1',
    });
  });

  it('leaves the text of the role alone when the agent adds nothing', () => {
    for (const instruction of [undefined, '', ' \n'])
      expect(
        castRole('plain', ROLE_CATALOGUE, [{ name: 'plain', version: 1, role: 'qa@1', ...(instruction !== undefined && { instruction }) }]),
      ).toMatchObject({
        id: 'plain@1',
        instruction: roleText('qa@1'),
        tools: undefined,
        model: undefined,
      });
  });

  it('takes the latest version of a named agent, or the one that is named', () => {
    const agents: NamedAgent[] = [{ ...accountant, version: 2, instruction: 'Amounts are in dollars.' }, accountant];
    expect(castRole('accountant', ROLE_CATALOGUE, agents)?.id).toBe('accountant@2');
    expect(castRole('accountant@1', ROLE_CATALOGUE, agents)?.instruction).toContain('euros');
    expect(castRole('accountant@3', ROLE_CATALOGUE, agents)).toBeUndefined();
  });

  it('knows no agent whose role is not in the catalogue in exactly that version', () => {
    for (const role of ['analyst', 'analyst@2', 'lawyer@1', ''])
      expect(castRole('accountant', ROLE_CATALOGUE, [{ ...accountant, role }])).toBeUndefined();
  });

  it('keeps a named agent when a role of its name is added later', () => {
    const added: Role = { ...(ROLE_CATALOGUE.roles[0] as Role), name: 'accountant' };
    const later = { ...ROLE_CATALOGUE, roles: [...ROLE_CATALOGUE.roles, added] };
    expect(castRole('accountant@1', later, [accountant])?.base.name).toBe('analyst');
  });
});

describe('a name for an agent', () => {
  it.each(['accountant', 'tax_advisor', 'agent7'])('%j is free', (name) => expect(isFreeName(name)).toBe(true));

  it.each(['analyst', 'coder', 'Accountant', 'tax advisor', 'tax-advisor', 'accountant@1', '', '7', '_x', 'a'.repeat(65)])(
    '%j is not',
    (name) => expect(isFreeName(name)).toBe(false),
  );
});
