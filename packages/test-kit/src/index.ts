export { instantModels, instantTools, startInstantWorkers, type InstantWorkers } from './instant-workers.ts';
export { type FreshDatabase, type FreshNats, freshDatabase, freshNats } from './servers.ts';
export { type HttpMcpServer, mcpPrograms, startHttpMcpServer } from './mcp-fixtures/index.ts';
export {
  STUB_PRICE,
  type StubBill,
  stubCostMicroUsd,
  type StubModel,
  type StubReply,
  type StubRequest,
  type StubScript,
  startStubModel,
} from './stub-model.ts';
export type { StubAnswer, StubFormat, StubUsage } from './stub-model-formats.ts';
export { type Commander, commander, type Sent, TEST_COMMAND_KEY, workerEnvironment } from './commander.ts';
