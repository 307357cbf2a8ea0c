/** What kind of work a task is. The analyzer says so; roles name what they are best at. */
export const TASK_TYPES = [
  'information_retrieval',
  'content_creation',
  'data_analysis',
  'file_operations',
  'web_automation',
  'code_development',
  'project_management',
  'research',
  'communication',
  'reasoning',
] as const;
export type TaskType = (typeof TASK_TYPES)[number];

/** What whoever does a task must be able to do. The analyzer says what is needed; roles say what they can. */
export const CAPABILITIES = [
  'development',
  'information',
  'cognitive',
  'automation',
  'data',
  'communication',
  'analysis',
  'creation',
  'file_system',
  'web',
  'search',
  'reasoning',
] as const;
export type Capability = (typeof CAPABILITIES)[number];
