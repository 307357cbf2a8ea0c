import type { LanguageModel } from '../language-model.ts';

/** A configured vendor: gives its models by id. */
export type Provider = (modelId: string) => LanguageModel;

export interface Endpoint {
  readonly apiKey: string | undefined;
  /** Another address of the same API; a bare host gets the version path. */
  readonly baseUrl: string | undefined;
}

/** `http://host` with the API's version path when it has no path of its own. */
export function withVersionPath(baseUrl: string, versionPath: string): string {
  const url = new URL(baseUrl);
  if (url.pathname === '/' || url.pathname === '') url.pathname = versionPath;
  return url.href.replace(/\/$/, '');
}
