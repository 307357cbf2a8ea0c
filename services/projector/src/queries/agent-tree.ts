import { type Figures, plus } from '@mandate/domain';
import { type AgentRow, ownOf } from '../models/agents.ts';

/** An agent with what it and whoever works for it have spent and reserved. */
export interface TreeAgent extends AgentRow {
  readonly spent: Figures;
  readonly reserved_micro_usd: number;
}

/** Every agent before whoever works for it, in the order in which they were sent; figures are added up the tree. */
export function agentTree<Row extends AgentRow>(rows: readonly Row[]): readonly (Row & TreeAgent)[] {
  const children = Map.groupBy(rows, (row) => row.parent);
  const under = (row: Row): readonly (Row & TreeAgent)[] => {
    const below = (children.get(row.agent) ?? []).toSorted((a, b) => a.granted_version - b.granted_version).map(under);
    const heads = below.flatMap((branch) => branch.slice(0, 1));
    return [
      {
        ...row,
        spent: heads.reduce((sum, head) => plus(sum, head.spent), ownOf(row)),
        reserved_micro_usd: heads.reduce((sum, head) => sum + head.reserved_micro_usd, row.own_reserved_micro_usd),
      },
      ...below.flat(),
    ];
  };
  return (children.get(null) ?? []).flatMap(under);
}
