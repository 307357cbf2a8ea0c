import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  available,
  CLOSING,
  closingReserve,
  costMicroUsd,
  type Figures,
  fits,
  grant,
  likelyTokens,
  type Limits,
  mostTokens,
  NONE,
  plus,
  portion,
  reserve,
  settle,
  shortfall,
  spentTo,
} from './mandate.ts';

const limits: Limits = {
  moneyMicroUsd: 1_000,
  tokens: 2_000,
  modelCalls: 10,
  toolCalls: 4,
  children: 10,
  contextTokens: 100_000,
  deadlineAt: 9,
};
const money = (moneyMicroUsd: number): Figures => ({ ...NONE, moneyMicroUsd });
const figures = fc.record({ moneyMicroUsd: fc.nat(1_000), tokens: fc.nat(1_000), modelCalls: fc.nat(1_000), toolCalls: fc.nat(1_000) });

describe('the ledger', () => {
  it('reserves before and settles after: what was not spent is there again', () => {
    const held = reserve(grant(limits), money(400));
    expect(available(held).moneyMicroUsd).toBe(600);
    const settled = settle(held, money(400), money(150));
    expect(settled).toMatchObject({ reserved: NONE, spent: money(150) });
    expect(available(settled).moneyMicroUsd).toBe(850);
  });
  it('names the first dimension that does not reach, with what is left of it', () => {
    const mandate = reserve(grant(limits), { moneyMicroUsd: 0, tokens: 1_500, modelCalls: 10, toolCalls: 0 });
    expect(shortfall(mandate, { ...NONE, tokens: 500 })).toBeUndefined();
    expect(shortfall(mandate, { ...NONE, tokens: 501, modelCalls: 1 })).toEqual({
      code: 'TokenBudgetExceeded',
      dimension: 'tokens',
      wanted: 501,
      left: 500,
    });
    expect(shortfall(mandate, { ...NONE, modelCalls: 1 })?.code).toBe('ModelCallBudgetExceeded');
    expect(shortfall(mandate, { ...NONE, toolCalls: 5 })?.code).toBe('ToolCallBudgetExceeded');
    expect(shortfall(mandate, money(1_001))?.code).toBe('CostBudgetExceeded');
  });
  it('knows what is used up to a percentage; of nothing nothing is used', () => {
    const mandate = { ...grant({ ...limits, toolCalls: 0 }), spent: { moneyMicroUsd: 799, tokens: 1_600, modelCalls: 10, toolCalls: 0 } };
    expect(spentTo(mandate, 80)).toEqual(['tokens', 'modelCalls']);
  });
});

describe('a portion', () => {
  it('is an equal part of what may still be reserved, rounded down, after something was kept', () => {
    const mandate = reserve(grant(limits), { moneyMicroUsd: 100, tokens: 0, modelCalls: 1, toolCalls: 4 });
    expect(portion(mandate, money(50), 3)).toEqual({ moneyMicroUsd: 283, tokens: 666, modelCalls: 3, toolCalls: 0 });
  });
  it('is never less than nothing', () => {
    expect(portion(grant({ ...limits, ...NONE }), money(50), 1)).toEqual(NONE);
  });
  it('given to every heir in turn never passes what was left', () => {
    fc.assert(
      fc.property(figures, figures, fc.integer({ min: 1, max: 60 }), (granted, kept, heirs) => {
        let mandate = grant({ ...limits, ...granted });
        for (let of = heirs; of > 0; of--) mandate = reserve(mandate, portion(mandate, kept, of));
        expect(fits(mandate.reserved, granted)).toBe(true);
        expect(fits(NONE, available(mandate))).toBe(true);
      }),
    );
  });
});

describe('the closing reserve', () => {
  const price = { inputMicroUsdPerMillionTokens: 1_000_000, outputMicroUsdPerMillionTokens: 2_000_000 };
  const worst = closingReserve({ moneyMicroUsd: 1_000_000, tokens: 1_000_000, modelCalls: 30, toolCalls: 0 }, price);

  it('pays one call with a prompt and an answer that are cut', () => {
    const input = mostTokens(CLOSING.promptBytes, CLOSING.messages);
    expect(worst).toEqual({
      moneyMicroUsd: input + 2 * CLOSING.outputTokens,
      tokens: input + CLOSING.outputTokens,
      modelCalls: 1,
      toolCalls: 0,
    });
  });
  it.each(['moneyMicroUsd', 'tokens', 'modelCalls'] as const)('is nothing when it would be more than a quarter of %s', (name) => {
    const four = plus(plus(worst, worst), plus(worst, worst));
    expect(closingReserve(four, price)).toEqual(worst);
    expect(closingReserve({ ...four, [name]: four[name] - 1 }, price)).toEqual(NONE);
  });
});

describe('what a call can cost', () => {
  it('is rounded up, so that a reservation is never too small', () => {
    expect(costMicroUsd({ inputMicroUsdPerMillionTokens: 1, outputMicroUsdPerMillionTokens: 1 }, 1, 0)).toBe(1);
    expect(costMicroUsd({ inputMicroUsdPerMillionTokens: 3_000_000, outputMicroUsdPerMillionTokens: 15_000_000 }, 1_000, 200)).toBe(6_000);
  });
  it('counts a token per byte at most, and likely one per 3.5', () => {
    expect(mostTokens(100, 2)).toBe(164);
    expect(likelyTokens(350_001)).toBe(100_001);
  });
});
