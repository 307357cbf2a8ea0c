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

/** Which of the known file tools this call of the model may use. */
export interface GrantedTools {
  has(tool: FileTool): boolean;
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
  const bySuffix = new Map(tools.toReversed().map((tool) => [toolSuffix(tool.name), tool.name]));
  return {
    has: (tool) => bySuffix.has(tool),
    fullName: (tool) => bySuffix.get(tool) ?? tool,
    names: tools.map((tool) => tool.name),
  };
}
