import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

/** Fields that may hold somebody's words or a secret never reach a log, whatever object they come in. */
const REDACTED = ['task', 'text', 'answer', 'args', 'password', 'secret', 'apiKey', 'authorization', 'key', 'content', 'body'];

/** JSON lines on standard output; `LOG_LEVEL` decides, `info` by default. */
export function createLogger(service: string, instance: string, level: string): Logger {
  return pino({
    level,
    base: { service, instance },
    messageKey: 'msg',
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: [...REDACTED, ...REDACTED.map((field) => `*.${field}`)], censor: '[redacted]' },
  });
}
