/**
 * Results as text for people and scripts. Called by the commands; writes nothing itself.
 * Text from a node never steers the terminal: JSON and YAML escape, tables and messages are escaped here.
 */
import { printable } from '../treeText.js';

export const FORMATS = ['yaml', 'json', 'table'] as const;
export type OutputFormat = (typeof FORMATS)[number];

/** Ends with a line feed. */
export const formatResult = async (value: unknown, format: OutputFormat): Promise<string> => {
  switch (format) {
    case 'json':
      return `${safeJson(value)}\n`;
    case 'yaml': {
      const { stringify } = await import('yaml');
      return withoutControls(stringify(value, { lineWidth: 0, aliasDuplicateObjects: false }));
    }
    case 'table':
      return formatRecords(value);
  }
};

/** A table with these headings. An empty one shows the headings only. */
export const formatTable = async (
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): Promise<string> => {
  const { default: Table } = await import('cli-table3');
  const table = new Table({
    head: [...headings],
    style: { head: [], border: [], 'padding-left': 1, 'padding-right': 1 },
  });
  table.push(...rows.map((row) => row.map(printable)));
  return `${table.toString()}\n`;
};

/** Arrays of objects: a column per field. Objects: a line per field. Else the value alone. */
const formatRecords = (value: unknown): Promise<string> => {
  const rows: unknown[] = Array.isArray(value) ? value : [];
  if (Array.isArray(value) && rows.every(isRecord)) {
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    return formatTable(
      columns.map(printable),
      rows.map((row) => columns.map((column) => cellText(row[column]))),
    );
  }
  const fields = isRecord(value) ? Object.entries(value) : [['value', value] as const];
  return formatTable(
    ['field', 'value'],
    fields.map(([name, field]) => [name, cellText(field)]),
  );
};

const cellText = (value: unknown): string => {
  if (value === undefined) {
    return '';
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON leaves DEL and the C1 controls as they are; a terminal would obey them. */
const safeJson = (value: unknown): string =>
  withoutControls(JSON.stringify(value, undefined, 2) ?? 'null');

const withoutControls = (text: string): string =>
  text.replaceAll(
    /(?![\n\t])\p{Cc}/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
