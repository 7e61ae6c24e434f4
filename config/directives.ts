/**
 * The directives that table definitions may carry and the arguments they take. Called by tableDefinitions.ts only.
 */
import type {
  ConstDirectiveNode,
  DirectiveNode,
  Location,
  ValueNode,
} from 'graphql/language/ast.js';
import { nearest } from './nearest.js';

/** Anything that has a place in a document. */
export interface Place {
  readonly loc?: Location | undefined;
}

/** How the reader of one document speaks: `fail` throws. */
export interface Reader {
  fail(place: Place, message: string): never;
  warn(place: Place, message: string): void;
}

type ArgumentKind = 'String' | 'Seconds' | 'PositiveSeconds' | 'Boolean';

interface DirectiveRule {
  readonly on: 'type' | 'field';
  readonly arguments?: Readonly<Record<string, ArgumentKind>>;
  /** Documented, but without effect in this version: the directive itself, or arguments of it. */
  readonly later?: boolean | readonly string[];
}

const RULES: Readonly<Record<string, DirectiveRule>> = {
  table: {
    on: 'type',
    arguments: {
      table: 'String',
      database: 'String',
      expiration: 'PositiveSeconds',
      replicate: 'Boolean',
      audit: 'Boolean',
      eviction: 'Seconds',
      scanInterval: 'Seconds',
    },
    later: ['eviction', 'scanInterval'],
  },
  sealed: { on: 'type' },
  export: { on: 'type', arguments: { name: 'String' }, later: true },
  primaryKey: { on: 'field' },
  indexed: { on: 'field' },
  createdTime: { on: 'field' },
  updatedTime: { on: 'field' },
  expiresAt: { on: 'field' },
};

/** Fails on a directive that is unknown, misplaced, repeated or has arguments it does not take. */
export function checkDirectives(
  directives: readonly DirectiveNode[],
  on: 'type' | 'field',
  reader: Reader,
): void {
  const seen = new Set<string>();
  for (const directive of directives) {
    const name = directive.name.value;
    const rule = ruleOf(directive, reader);
    if (rule.on !== on) reader.fail(directive, `expected @${name} on a ${rule.on}, not on a ${on}`);
    if (seen.has(name)) reader.fail(directive, `@${name} is given twice`);
    seen.add(name);
    argumentsOf(directive, reader);
    warnOfArguments(directive, rule, reader);
    if (rule.later === true) reader.warn(directive, `not supported by this version: @${name}`);
  }
}

/** The values of a directive's arguments, each of the kind it must be. */
export function argumentsOf(
  directive: DirectiveNode | ConstDirectiveNode,
  reader: Reader,
): Record<string, string | number | boolean> {
  const rule = ruleOf(directive, reader);
  const values = new Map<string, string | number | boolean>();
  for (const argument of directive.arguments ?? []) {
    const name = argument.name.value;
    const kind = Object.hasOwn(rule.arguments ?? {}, name) ? rule.arguments?.[name] : undefined;
    if (kind === undefined) return reader.fail(argument, unknownArgument(directive, name, rule));
    if (values.has(name)) reader.fail(argument, `argument '${name}' is given twice`);
    values.set(name, valueOf(argument.value, kind) ?? reader.fail(argument, wanted(name, kind)));
  }
  return Object.fromEntries(values);
}

function warnOfArguments(directive: DirectiveNode, rule: DirectiveRule, reader: Reader): void {
  const later = typeof rule.later === 'object' ? rule.later : [];
  for (const argument of directive.arguments ?? []) {
    const name = argument.name.value;
    if (later.includes(name))
      reader.warn(argument, `not supported by this version: @${directive.name.value}(${name})`);
  }
}

function ruleOf(directive: DirectiveNode, reader: Reader): DirectiveRule {
  const name = directive.name.value;
  const rule = Object.hasOwn(RULES, name) ? RULES[name] : undefined;
  const meant = nearest(name, Object.keys(RULES));
  return rule ?? reader.fail(directive, `unknown directive @${name}, did you mean @${meant}?`);
}

function unknownArgument(directive: DirectiveNode, name: string, rule: DirectiveRule): string {
  const meant = nearest(name, Object.keys(rule.arguments ?? {}));
  const hint = meant === undefined ? 'it takes none' : `did you mean '${meant}'?`;
  return `unknown argument '${name}' of @${directive.name.value}, ${hint}`;
}

const EXPECTED: Readonly<Record<ArgumentKind, string>> = {
  String: 'a text in quotes',
  Seconds: 'a number of seconds, 0 or more',
  PositiveSeconds: 'a number of seconds greater than 0',
  Boolean: 'true or false',
};

const wanted = (name: string, kind: ArgumentKind): string =>
  `argument '${name}' must be ${EXPECTED[kind]}`;

function valueOf(value: ValueNode, kind: ArgumentKind): string | number | boolean | undefined {
  if (kind === 'String') return value.kind === 'StringValue' ? value.value : undefined;
  if (kind === 'Boolean') return value.kind === 'BooleanValue' ? value.value : undefined;
  if (value.kind !== 'IntValue' && value.kind !== 'FloatValue') return undefined;
  const seconds = Number(value.value);
  const isEnough = kind === 'PositiveSeconds' ? seconds > 0 : seconds >= 0;
  return isEnough && Number.isFinite(seconds) ? seconds : undefined;
}
