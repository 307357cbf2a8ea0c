export { freePort } from './free-port.ts';
export { type FolderLock, FolderInUse, lockFolder } from './folder-lock.ts';
export { type Nats, type NatsOptions, startNats } from './nats.ts';
export { homeFolder, natsServerBinary, repositoryRoot } from './paths.ts';
export { createDatabases, type Postgres, type PostgresOptions, startPostgres } from './postgres.ts';
export { type ProcessOptions, type SupervisedProcess, superviseProcess } from './processes.ts';
export { readRunFile, type RunFile, runFilePath } from './run-file.ts';
export { loadSecrets, natsPasswordVariables, password, type Secrets } from './secrets.ts';
export { type Stack, type StackOptions, startStack } from './stack.ts';
