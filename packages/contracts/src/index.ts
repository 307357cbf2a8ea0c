export { cloudEvent, type CloudEvent, issues, type Parsed, parseCloudEvent, parseMessage, splitType } from './cloud-event.ts';
export { type ParkReason, PARK_REASONS, type Problem, WORKER_ERROR_CODES, WORKER_ERRORS, type WorkerErrorCode } from './errors.ts';
export { EVENT_SCHEMAS, EVENT_VERSIONS, storedEvent, type StoredEvent, UnknownEventVersion, upcast, UPCASTERS } from './events.ts';
export { content, fact, holdsOf } from './fields.ts';
export {
  CONSUMERS,
  type ConsumerSpec,
  FLOW,
  INBOX_ACK_WAIT_MS,
  type Party,
  type Route,
  type ServiceName,
  SERVICES,
  type StreamName,
  STREAMS,
  type StreamSpec,
  TYPES,
  WORKER_ACK_WAIT_MS,
  WORKERS,
} from './flow.ts';
export { jsonDepth, LIMITS } from './limits.ts';
export {
  type AnalyzeCommand,
  analyzeCommand,
  type Command,
  type LlmCommand,
  llmCommand,
  type StartGrant,
  startGrant,
  type StopNotice,
  stopNotice,
  type ToolCommand,
  toolCommand,
} from './messages/commands.ts';
export { type ModelMessage, modelMessage, type ModelRequest, modelRequest, type ToolSpec, toolSpec } from './messages/model-call.ts';
export { type Heartbeat, heartbeat, type ModelCatalog, modelCatalog, type ToolCatalog, toolCatalog } from './messages/presence.ts';
export {
  type LlmCallRow,
  QUERIES,
  type QueryAnswer,
  type QueryAsk,
  type QueryName,
  type QueryReply,
  type TaskDetail,
  taskDetail,
  taskStatus,
  type TaskSummary,
  taskSummary,
  type TimelineEvent,
  timelineEvent,
  type ToolCallRow,
  llmCallRow,
  toolCallRow,
} from './messages/queries.ts';
export {
  analysisFacts,
  type AttemptResult,
  attemptResult,
  type AttemptStart,
  attemptStart,
  type LlmContent,
  llmContent,
  type MessageParked,
  messageParked,
  type WorkerAnswer,
} from './messages/results.ts';
export {
  type TaskCancel,
  taskCancel,
  taskOptions,
  type TaskReceipt,
  taskReceipt,
  type TaskResult,
  taskResult,
  type TaskSubmit,
  taskSubmit,
  taskText,
} from './messages/tasks.ts';
export { type InboxAddress, parseInbox, subjects } from './subjects.ts';
export { base32, workflowIdFor } from './workflow-id.ts';
