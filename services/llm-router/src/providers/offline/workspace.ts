/*
 * Finding files through tools: where the workspace is, what a folder holds, which
 * files a name means. Nothing here reads the content of a file.
 */
import { ask, askAll, CALLS_PER_TURN, type Asking } from './asking.ts';
import type { FileTool, GrantedTools } from './granted-tools.ts';
import { withoutNotice } from './read-text.ts';

/** A file or folder by its absolute path (or relative, where no root is known). */
export interface Entry {
  readonly path: string;
  readonly isFolder: boolean;
}

/** What a folder holds; `notes` say what may be missing. */
export interface Listing {
  readonly entries: readonly Entry[];
  readonly notes: readonly string[];
}

/** The part of a file system that the tools show. */
export interface Workspace {
  readonly tools: GrantedTools;
  readonly roots: readonly string[];
}

/** A task cannot go on because something is missing; `message` says what. */
export class CannotGoOn extends Error {
  override readonly name = 'CannotGoOn';
}

/** Folders that hold other people's files; walks leave them out and say so. */
const LEFT_OUT = ['node_modules', '.git'];

/** Folders that a walk opens one by one where no tree can be had. */
const MAX_FOLDERS = 64;

/** Asks where the workspace is. Without that tool, paths stay relative. */
export function* openWorkspace(tools: GrantedTools): Asking<Workspace> {
  if (!tools.has('list_allowed_directories')) return { tools, roots: ['.'] };
  const reply = yield* ask('list_allowed_directories', {});
  const roots = reply.isError
    ? []
    : reply.text
        .split('\n')
        .slice(1)
        .filter((line) => line.trim() !== '');
  return { tools, roots: roots.length > 0 ? withoutNested(roots) : ['.'] };
}

/** Refuses to go on without a tool, in words that tell what to grant. */
export function requireTool(tools: GrantedTools, tool: FileTool, purpose: string): void {
  if (tools.has(tool)) return;
  const granted = tools.names.length > 0 ? `The tools I was granted: ${tools.names.join(', ')}.` : 'I was granted no tools.';
  throw new CannotGoOn(`To ${purpose} I need the tool ${tool} of a file server. ${granted}`);
}

/** How a path is shown to people: relative to the only root, else as it is. */
export function shownPath(workspace: Workspace, path: string): string {
  const [root, second] = workspace.roots;
  if (root === undefined || second !== undefined) return path;
  if (path === root) return 'the workspace';
  return path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path;
}

/** Puts a path as written under a root; `..` and `.` are resolved. */
export function pathUnder(root: string, written: string): string {
  const joined = written.startsWith('/') ? written : `${root}/${written}`;
  const isAbsolute = joined.startsWith('/');
  const parts: string[] = [];
  for (const part of joined.split('/')) {
    if (part === '..' && parts.length > 0) parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return (isAbsolute ? '/' : '') + parts.join('/') || (isAbsolute ? '/' : '.');
}

/** Everything directly in a folder, or `undefined` when it cannot be listed. */
export function* listFolder(workspace: Workspace, folder: string): Asking<Listing | undefined> {
  if (!workspace.tools.has('list_directory')) {
    const all = yield* walkFolder(workspace, folder);
    return all && { ...all, entries: all.entries.filter(({ path }) => parentOf(path) === folder) };
  }
  const reply = yield* ask('list_directory', { path: folder });
  return reply.isError ? undefined : directListing(folder, reply.text);
}

/** Everything in a folder and its subfolders, or `undefined` when it cannot be listed. */
export function* walkFolder(workspace: Workspace, folder: string): Asking<Listing | undefined> {
  const { tools } = workspace;
  if (tools.has('directory_tree')) {
    const reply = yield* ask('directory_tree', { path: folder, excludePatterns: LEFT_OUT });
    const entries = reply.isError ? undefined : treeEntries(folder, reply.text);
    if (entries) return { entries: inOrder(entries), notes: [] };
    if (reply.isError || !tools.has('list_directory')) return undefined;
  }
  requireTool(tools, 'list_directory', 'see which files there are');
  return yield* walkByListing(folder);
}

/** Finds files or folders of that name anywhere, the shallowest first. */
export function* findByName(workspace: Workspace, name: string): Asking<Entry[]> {
  if (!workspace.tools.has('search_files')) return [];
  const pattern = `**/${anyCase(name)}${/\.[a-z0-9]+$/i.test(name) ? '' : '{,.*}'}`;
  const searches = workspace.roots.map((path) => ({
    tool: 'search_files',
    args: { path, pattern, excludePatterns: LEFT_OUT.map((folder) => `**/${folder}`) },
  }));
  const replies = yield* askAll(searches);
  const paths = replies.flatMap(({ isError, text }) =>
    isError || text === 'No matches found' ? [] : withoutNotice(text).text.split('\n').filter(Boolean),
  );
  const kept = paths.filter((path) => !LEFT_OUT.some((folder) => path.includes(`/${folder}/`)));
  const shallow = inOrder(kept.map((path) => ({ path, isFolder: false }))).slice(0, CALLS_PER_TURN);
  return yield* withKinds(workspace, shallow);
}

/** A name that people write in any case, as a glob. */
function anyCase(name: string): string {
  return [...name]
    .map((letter) => {
      const [lower, upper] = [letter.toLowerCase(), letter.toUpperCase()];
      return lower === upper || lower.length > 1 || upper.length > 1 ? letter : `[${lower}${upper}]`;
    })
    .join('');
}

function* withKinds(workspace: Workspace, found: readonly Entry[]): Asking<Entry[]> {
  if (!workspace.tools.has('get_file_info')) {
    return found.map(({ path }) => ({ path, isFolder: !/\.[^/.]+$/.test(path) }));
  }
  const infos = yield* askAll(found.map(({ path }) => ({ tool: 'get_file_info', args: { path } })));
  const entries = found.map(({ path }, index) => ({ path, isFolder: /^isDirectory: true$/m.test(infos[index]?.text ?? '') }));
  return entries.toSorted((left, right) => depthOf(left.path) - depthOf(right.path));
}

function* walkByListing(folder: string): Asking<Listing | undefined> {
  const entries: Entry[] = [];
  const notes: string[] = [];
  let open = [folder];
  let opened = 0;
  while (open.length > 0) {
    const batch = open.slice(0, Math.min(CALLS_PER_TURN, MAX_FOLDERS - opened));
    if (batch.length === 0) {
      return { entries: inOrder(entries), notes: [...notes, `I opened ${opened} folders and left ${open.length} unopened.`] };
    }
    const replies = yield* askAll(batch.map((path) => ({ tool: 'list_directory', args: { path } })));
    if (opened === 0 && replies[0]?.isError) return undefined;
    opened += batch.length;
    open = open.slice(batch.length);
    for (const [index, reply] of replies.entries()) {
      const path = batch[index] ?? folder;
      if (reply.isError) {
        notes.push(`I could not open the folder ${path}: ${reply.text}`);
        continue;
      }
      const listing = directListing(path, reply.text);
      entries.push(...listing.entries);
      notes.push(...listing.notes);
      open.push(...listing.entries.filter(({ isFolder, path: inner }) => isFolder && !isLeftOut(inner)).map((entry) => entry.path));
    }
  }
  return { entries: inOrder(entries), notes };
}

function directListing(folder: string, text: string): Listing {
  const listing = withoutNotice(text);
  const lines = listing.text.split('\n');
  if (listing.isCut) lines.pop();
  const entries = lines.flatMap((line) => {
    const match = /^\[(DIR|FILE)\] (.+)$/.exec(line);
    return match?.[2] ? [{ path: pathUnder(folder, match[2]), isFolder: match[1] === 'DIR' }] : [];
  });
  const notes = listing.isCut ? [`The listing of ${folder} was cut, so files may be missing.`] : [];
  return { entries: inOrder(entries), notes };
}

interface TreeNode {
  readonly name: string;
  readonly type: string;
  readonly children?: readonly TreeNode[];
}

function treeEntries(folder: string, text: string): Entry[] | undefined {
  try {
    const nodes: unknown = JSON.parse(text);
    return Array.isArray(nodes) ? flattened(folder, nodes as TreeNode[]) : undefined;
  } catch {
    return undefined;
  }
}

function flattened(folder: string, nodes: readonly TreeNode[]): Entry[] {
  return nodes.flatMap((node) => {
    const path = pathUnder(folder, node.name);
    return [{ path, isFolder: node.type === 'directory' }, ...flattened(path, node.children ?? [])];
  });
}

const isLeftOut = (path: string) => LEFT_OUT.includes(path.slice(path.lastIndexOf('/') + 1));
const depthOf = (path: string) => path.split('/').length;

/** The folder that holds a path. */
function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '.' : path.slice(0, Math.max(1, slash));
}

function inOrder(entries: readonly Entry[]): Entry[] {
  return entries.toSorted((left, right) => (left.path < right.path ? -1 : left.path > right.path ? 1 : 0));
}

/** Two spellings of one root (a link and its target) are kept; a root within a root is not. */
function withoutNested(roots: readonly string[]): string[] {
  return roots.filter((root) => !roots.some((other) => other !== root && root.startsWith(`${other}/`)));
}
