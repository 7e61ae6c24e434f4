/**
 * `skein <operation> key=value ...`: any operation, sent to a running node.
 * Called by cli.ts. Knows no operation by name: what exists is the node's business.
 */
import { sendOperation, type Target } from './client.js';
import { CliFailure, EXIT } from './exitCodes.js';
import { formatResult, type OutputFormat } from './output.js';

export interface OperationCommand {
  readonly operation: string;
  /** `key=value`, as typed. */
  readonly fields: readonly string[];
  /** A JSON object whose fields are sent too; `key=value` wins over it. */
  readonly json?: string | undefined;
  readonly target: Target;
  readonly output: OutputFormat;
}

/** What to print. Throws CliFailure. */
export const runOperation = async (command: OperationCommand): Promise<string> => {
  const operation = buildOperation(command);
  return formatResult(await sendOperation(command.target, operation), command.output);
};

/** The operation as it is sent. Values that are JSON count as that (`5`, `true`, `[1,2]`), others as text. */
export const buildOperation = (command: {
  operation: string;
  fields: readonly string[];
  json?: string | undefined;
}): Record<string, unknown> => ({
  ...parseObject(command.json),
  ...Object.fromEntries(command.fields.map(parseField)),
  operation: command.operation,
});

const parseField = (field: string): [string, unknown] => {
  const equals = field.indexOf('=');
  if (equals <= 0) {
    throw new CliFailure(EXIT.usage, `'${field}' must be written as key=value`);
  }
  return [field.slice(0, equals), parseValue(field.slice(equals + 1))];
};

const parseValue = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // No JSON: the text itself is the value.
    return text;
  }
};

const parseObject = (text: string | undefined): Record<string, unknown> => {
  if (text === undefined) {
    return {};
  }
  const value = parseValue(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CliFailure(
      EXIT.usage,
      `--json must be a JSON object, for instance '{"table":"dog"}'`,
    );
  }
  return value as Record<string, unknown>;
};
