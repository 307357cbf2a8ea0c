import type { ToolSpec } from './model-request.ts';

/** The file tools that the rules know, without their server's name. */
const FILE_TOOLS = [
  'list_allowed_directories',
  'list_directory',
  'directory_tree',
  'search_files',
  'get_file_info',
  'read_text_file',
] as const;

/** A file tool that the rules know. */
export type FileTool = (typeof FILE_TOOLS)[number];

/** Tools that are no server's: with them a model asks for other agents. */
const OWN_TOOLS: ReadonlySet<string> = new Set(['delegate', 'consult', 'transfer_to', 'choose', 'plan', 'rate']);

/** Which of the known file tools this call of the model may use. */
export interface GrantedTools {
  has(tool: FileTool): boolean;
  /** Parts of the task may be given to other agents. */
  readonly mayDelegate: boolean;
  /** The name under which the tool was granted, e.g. `files__list_directory`. */
  fullName(tool: string): string;
  readonly names: readonly string[];
}

/** Drops the server's name: `files__list_directory` → `list_directory`. */
export function toolSuffix(name: string): string {
  return /(?:^|__|[./:])([a-z]+(?:_[a-z]+)*)$/.exec(name)?.[1] ?? name;
}

/** Finds the known file tools among those granted, whatever their server is called. */
export function grantedTools(tools: readonly ToolSpec[]): GrantedTools {
  const others = tools.filter(({ name }) => !OWN_TOOLS.has(name));
  const bySuffix = new Map(others.toReversed().map((tool) => [toolSuffix(tool.name), tool.name]));
  return {
    has: (tool) => bySuffix.has(tool),
    mayDelegate: tools.some(({ name }) => name === 'delegate'),
    fullName: (tool) => (OWN_TOOLS.has(tool) ? tool : (bySuffix.get(tool) ?? tool)),
    names: others.map((tool) => tool.name),
  };
}
