import { type Moment, stateChange, workflowState } from '@mandate/contracts';
import { z } from 'zod';
import type { GatewayApp } from '../http/gateway-app.ts';
import { GatewayProblem } from '../http/problem.ts';
import { dataOf, failures, params, taskOf, type TaskRoutesOptions } from './route-shapes.ts';

const version = z.coerce.number().int().min(1);
const instant = z.iso.datetime({ offset: true });
const either = z.union([version, instant]).describe('a version, or an instant as ISO 8601');

/** The state of a task as it was after any of its events. */
export function stateRoutes(app: GatewayApp, { ask }: TaskRoutesOptions): void {
  app.get(
    '/api/v1/tasks/:id/state',
    {
      schema: {
        summary: 'The state of a task at a version or an instant: agents, mandates with what is left of them, steps, attempts',
        description: 'Folded from the log by the code that decides; facts only. Without version and at: as it stands now.',
        tags: ['tasks'],
        params,
        querystring: z.object({
          version: version.optional().describe('after the event of this version'),
          at: instant.optional().describe('after the last event that was decided by then'),
        }),
        response: { 200: dataOf(z.object({ workflowId: z.string(), newest: z.number().int(), state: workflowState })), ...failures },
      },
    },
    async (request) => {
      const { version: wanted, at } = request.query;
      if (wanted !== undefined && at !== undefined)
        throw new GatewayProblem({
          status: 400,
          code: 'QueryInvalid',
          detail: 'Both version and at were given.',
          next: 'Give one of them.',
        });
      const moment = momentOf(wanted ?? at);
      const { workflow, newest, state } = await ask('state.get', { ...taskOf(request), ...(moment === undefined ? {} : { moment }) });
      return { data: { workflowId: workflow, newest, state } };
    },
  );
  app.get(
    '/api/v1/tasks/:id/state-diff',
    {
      schema: {
        summary: 'What of the state of a task changed between two versions or instants',
        description: 'Paths are JSON Pointers into the state. A side that lacks the field is left out; from may be the later one.',
        tags: ['tasks'],
        params,
        querystring: z.object({ from: either, to: either }),
        response: {
          200: dataOf(
            z.object({
              workflowId: z.string(),
              newest: z.number().int(),
              from: z.number().int(),
              to: z.number().int(),
              changes: z.array(stateChange),
            }),
          ),
          ...failures,
        },
      },
    },
    async (request) => {
      const [from, to] = [momentOf(request.query.from), momentOf(request.query.to)];
      const { workflow, ...diff } = await ask('state.diff', { ...taskOf(request), from, to });
      return { data: { workflowId: workflow, ...diff } };
    },
  );
}

function momentOf(said: number | string): Moment;
function momentOf(said: number | string | undefined): Moment | undefined;
function momentOf(said: number | string | undefined): Moment | undefined {
  if (said === undefined) return undefined;
  return typeof said === 'number' ? { version: said } : { at: Date.parse(said) };
}
