/**
 * Renders the keys of a configuration as the tables of docs/CONFIGURATION.md. Called by scripts/configTable.ts, which
 * prints them, and by a test, which compares them with the document; writes nothing itself.
 */
import { configSchema } from './schema.js';
import type { ConfigSchema } from './schemaNodes.js';
import { expected } from './validate.js';

interface KeyEntry {
  readonly key: string;
  readonly schema: ConfigSchema;
}

/** A Markdown table of all keys that have a meaning, as prettier aligns it. */
export const renderKeyTable = (): string =>
  renderTable([
    ['Key', 'Value', 'Default', 'Meaning'],
    ...entriesOf(configSchema)
      .filter(({ schema }) => schema.standing?.kind !== 'foreign')
      .map(({ key, schema }) => [
        `\`${key}\``,
        expected(schema),
        schema.defaultText ?? '',
        meaning(schema),
      ]),
  ]);

/** A Markdown list of the keys that are accepted, warned about and have no effect. */
export const renderForeignKeys = (): string =>
  entriesOf(configSchema)
    .filter(({ schema }) => schema.standing?.kind === 'foreign')
    .map(({ key }) => `- \`${key}\``)
    .join('\n');

// The keys below one that has no effect say nothing more.
function entriesOf(schema: ConfigSchema, parent = ''): KeyEntry[] {
  const named = Object.entries(schema.properties ?? {});
  const patterns = Object.entries(schema.patternProperties ?? {}).map(
    ([pattern, child]): [string, ConfigSchema] => [child.expected ?? pattern, child],
  );
  return [...named, ...patterns].flatMap(([key, child]) => {
    const path = `${parent}${key}`;
    const inner = child.items ?? child;
    const below =
      child.standing === undefined
        ? entriesOf(inner, child.items === undefined ? `${path}.` : `${path}[].`)
        : [];
    const isSection = child.type === 'object' && child.standing === undefined;
    return isSection ? below : [{ key: path, schema: child }, ...below];
  });
}

const STANDING = {
  foreign: 'No effect.',
  later: 'Not supported by this version: accepted with a warning.',
  refused: 'Not supported by this version: an error.',
} as const;

function meaning({ description, standing }: ConfigSchema): string {
  if (standing === undefined) return description;
  const harmless = (standing.harmless ?? []).map((value) => JSON.stringify(value)).join(', ');
  const unless = harmless === '' ? '' : ` (but ${harmless} is fine)`;
  return `${description} ${STANDING[standing.kind].replace(/\.$/, '')}${unless}.`;
}

function renderTable(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(escaped));
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, column) => (row[column] ?? '').padEnd(width)).join(' | ')} |`;
  const [head = [], ...body] = cells;
  const rule = widths.map((width) => '-'.repeat(width));
  return [line(head), line(rule), ...body.map(line)].join('\n');
}

// Outside of code, `*`, `_` and `<` would be read as markup.
const escaped = (cell: string): string =>
  cell.startsWith('`') ? cell : cell.replace(/[*_<>|]/g, (character) => `\\${character}`);
