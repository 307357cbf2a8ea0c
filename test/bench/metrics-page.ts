/** Sum of a counter over several services' `/metrics`, narrowed to the lines that hold every label given. */
export async function counter(healthUrls: readonly string[], name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
  const pages = await Promise.all(healthUrls.map((url) => page(url)));
  return pages.flatMap((text) => values(text, name, labels)).reduce((sum, value) => sum + value, 0);
}

async function page(healthUrl: string): Promise<string> {
  const answer = await fetch(`${healthUrl}/metrics`);
  if (!answer.ok) throw new Error(`${healthUrl}/metrics answered ${answer.status}`);
  return answer.text();
}

function values(text: string, name: string, labels: Readonly<Record<string, string>>): number[] {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return lines.filter((line) => wanted.every((label) => line.includes(label))).map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));
}
