export { type AttemptRun, type AttemptsOptions, serveAttempts, StepFailed } from './attempts.ts';
export { crashPoint } from './crash-point.ts';
export type { Health } from './health-server.ts';
export { createLogger, type Logger } from './logging.ts';
export { GONE_AFTER_MS, HEARTBEAT_MS, Presence } from './presence.ts';
export {
  type CommonConfig,
  ConfigInvalid,
  type RunningService,
  runService,
  type ServiceContext,
  type ServiceDefinition,
  startService,
  VERSION,
  type Working,
} from './service.ts';
export { Standings } from './standings.ts';
export { type ActiveSpan, traceIdOf, type Tracing, validTraceparent } from './tracing.ts';
