/**
 * The fields of the cluster operations: older spellings and short forms folded into one form, and the checks that need
 * the documented words. Called by validate.ts only. An answer never repeats what `authorization` held.
 */
import { isWellFormed } from '../bytes.js';
import { limits } from '../limits.js';
import { foldFields, isObject, ownField, type Fields } from './aliases.js';
import { nodeProperties } from './clusterSchemas.js';

const DEFAULT_DATABASE = 'data';
const NODE_FIELDS = Object.keys(nodeProperties);
const SUBSCRIPTION_FIELDS = ['database', 'table', 'publish', 'subscribe'];

const HOSTNAME_CHARACTERS_MAX = limits.nameCharactersMax;
const URL_CHARACTERS_MAX = 2_000;
/** Also what a frame between nodes carries. */
const AUTHORIZATION_CHARACTERS_MAX = 10_000;
/** Characters of a bad value that are repeated in the answer. */
const ECHOED_CHARACTERS_MAX = 100;

/** The latest time that a date can hold, ECMA-262 section 21.4.1.1. */
const TIME_MS_MAX = 8.64e15;
const ISO_WITH_ZONE =
  /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/u;
/** RFC 9110 section 11.4, without what would end the header. */
const HEADER = /^(?:Basic|Bearer) [!-~]+$/u;

/** What add_node says, in one form; values that cannot be folded stay as they are, to be refused. */
export const foldNode = (fields: Fields): Fields => {
  const folded: Fields = { ...fields };
  replace(folded, 'authorization', foldAuthorization);
  replace(folded, 'start_time', foldTime);
  replace(folded, 'subscriptions', foldSubscriptions);
  replace(folded, 'replicates', (value) => (isObject(value) ? foldRules(value) : value));
  return foldRules(folded);
};

/** The members of configure_cluster, each as add_node. */
export const foldConnections = (connections: unknown): unknown =>
  Array.isArray(connections)
    ? connections.map((item: unknown) =>
        isObject(item) ? foldNode(foldFields(item, NODE_FIELDS).fields) : item,
      )
    : connections;

/** What is wrong with a folded cluster operation beyond its schema; nothing for other operations. */
export const clusterProblems = (
  operation: string,
  fields: Fields,
  spelling: (field: string) => string,
): string[] => {
  switch (operation) {
    case 'add_node':
      return [...presenceProblems(fields, ADD_NEEDS), ...nodeProblems(fields, spelling)];
    case 'update_node':
      return nodeProblems(fields, spelling);
    case 'remove_node':
      return [...presenceProblems(fields, REMOVE_NEEDS), ...textProblems(fields, spelling)];
    case 'configure_cluster':
      return itemProblems(fields, 'connections', connectionProblems);
    case 'cluster_set_routes':
    case 'cluster_delete_routes':
      return itemProblems(fields, 'routes', routeProblems);
    default:
      return [];
  }
};

const ADD_NEEDS = 'url required for this operation';
const REMOVE_NEEDS = 'url or hostname is required for remove_node operation';
const ROUTE_NEEDS = 'Invalid route, must specify a url or host (with port)';

// ---- folding

const replace = (fields: Fields, name: string, fold: (value: unknown) => unknown): void => {
  if (Object.hasOwn(fields, name)) fields[name] = fold(fields[name]);
};

/** Keys that are not known stay, to be refused by name. */
const foldRules = (fields: Fields): Fields => {
  const folded: Fields = { ...fields };
  replace(folded, 'sendsTo', (rules) => foldShortRules(rules, 'target'));
  replace(folded, 'receivesFrom', (rules) => foldShortRules(rules, 'source'));
  return folded;
};

/** A node's name alone is the rule about that node. */
const foldShortRules = (rules: unknown, node: 'target' | 'source'): unknown =>
  Array.isArray(rules)
    ? rules.map((rule: unknown) => (typeof rule === 'string' ? { [node]: rule } : rule))
    : rules;

const foldSubscriptions = (subscriptions: unknown): unknown =>
  Array.isArray(subscriptions)
    ? subscriptions.map((item: unknown) =>
        isObject(item)
          ? {
              database: DEFAULT_DATABASE,
              publish: false,
              subscribe: false,
              ...foldFields(item, SUBSCRIPTION_FIELDS).fields,
            }
          : item,
      )
    : subscriptions;

/** RFC 7617 section 2: the user's name ends at the first colon. */
const foldAuthorization = (value: unknown): unknown => {
  if (!isObject(value)) return value;
  const username = ownField(value, 'username');
  const password = ownField(value, 'password');
  if (typeof username !== 'string' || typeof password !== 'string') return value;
  if (username === '' || username.includes(':')) return value;
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
};

const foldTime = (value: unknown): unknown =>
  typeof value === 'string' ? (timeOf(value) ?? value) : value;

const timeOf = (text: string): number | undefined => {
  const date = ISO_WITH_ZONE.exec(text)?.[1];
  // A day that its month does not have would be read as one of the next month.
  if (date === undefined || !isDay(date)) return undefined;
  const time = Date.parse(text);
  return isTime(time) ? time : undefined;
};

const isDay = (date: string): boolean => {
  const time = Date.parse(`${date}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(date);
};

// ---- checks

const presenceProblems = (fields: Fields, needs: string): string[] =>
  fields['hostname'] === undefined && fields['url'] === undefined ? [needs] : [];

const nodeProblems = (fields: Fields, label: (field: string) => string): string[] => [
  ...textProblems(fields, label),
  ...authorizationProblems(fields['authorization'], label('authorization')),
  ...timeProblems(fields['start_time'], label('start_time')),
  ...ruleProblems(fields, label),
  ...(isObject(fields['replicates'])
    ? ruleProblems(fields['replicates'], (field) => `${label('replicates')}.${field}`)
    : []),
];

const connectionProblems = (item: unknown, label: string): string[] => {
  if (!isObject(item)) return [];
  const absent = presenceProblems(item, ADD_NEEDS).map((problem) => `${label}: ${problem}`);
  return [...absent, ...nodeProblems(item, (field) => `${label}.${field}`)];
};

const routeProblems = (item: unknown, label: string): string[] => {
  if (typeof item === 'string') return problemOf(item, label, URL_CHARACTERS_MAX);
  if (!isObject(item)) return [];
  const given = ['hostname', 'host', 'url'].filter((field) => ownField(item, field) !== undefined);
  if (given.length === 0) return [`${label}: ${ROUTE_NEEDS}`];
  return textProblems(item, (field) => `${label}.${field}`);
};

const itemProblems = (
  fields: Fields,
  field: string,
  problemsOf: (item: unknown, label: string) => string[],
): string[] => {
  const items = fields[field];
  return Array.isArray(items)
    ? items.flatMap((item: unknown, index) => problemsOf(item, `${field}[${index}]`))
    : [];
};

const textProblems = (fields: Fields, label: (field: string) => string): string[] =>
  ['hostname', 'host', 'url'].flatMap((field) =>
    problemOf(
      ownField(fields, field),
      label(field),
      field === 'url' ? URL_CHARACTERS_MAX : HOSTNAME_CHARACTERS_MAX,
    ),
  );

const ruleProblems = (fields: Fields, label: (field: string) => string): string[] =>
  [
    { list: 'sendsTo', node: 'target' },
    { list: 'receivesFrom', node: 'source' },
  ].flatMap(({ list, node }) =>
    itemProblems(fields, list, (rule, place) =>
      isObject(rule)
        ? problemOf(
            ownField(rule, node),
            `${label(list)}${place.slice(list.length)}.${node}`,
            HOSTNAME_CHARACTERS_MAX,
          )
        : [],
    ),
  );

/** Of a text that names a node; none for an absent one. */
const problemOf = (value: unknown, label: string, charactersMax: number): string[] => {
  if (value === undefined) return [];
  const problem = textProblem(value, charactersMax);
  return problem === undefined ? [] : [`'${label}' ${problem}`];
};

const textProblem = (value: unknown, charactersMax: number): string | undefined => {
  if (typeof value !== 'string') return 'must be a string';
  if (value.trim() === '') return 'is not allowed to be empty';
  if (value.length > charactersMax)
    return `length must be less than or equal to ${charactersMax} characters long`;
  return isWellFormed(value) ? undefined : 'must not contain half a surrogate pair';
};

const authorizationProblems = (value: unknown, label: string): string[] => {
  if (value === undefined) return [];
  if (isObject(value)) return credentialProblems(value, label);
  if (typeof value !== 'string' || !HEADER.test(value))
    return [
      `'${label}' must be an object with username and password, or a text that begins with 'Basic ' or 'Bearer '`,
    ];
  return value.length > AUTHORIZATION_CHARACTERS_MAX
    ? [
        `'${label}' length must be less than or equal to ${AUTHORIZATION_CHARACTERS_MAX} characters long`,
      ]
    : [];
};

/** Only credentials that could not be folded come here. */
const credentialProblems = (credentials: Fields, label: string): string[] =>
  ['username', 'password'].flatMap((field) => {
    const value = ownField(credentials, field);
    if (value === undefined) return [`'${label}.${field}' is required`];
    if (typeof value !== 'string') return [`'${label}.${field}' must be a string`];
    if (field === 'password') return [];
    if (value === '') return [`'${label}.${field}' is not allowed to be empty`];
    return value.includes(':') ? [`'${label}.${field}' must not contain a colon`] : [];
  });

const timeProblems = (value: unknown, label: string): string[] =>
  value === undefined || isTime(value)
    ? []
    : [
        `${label} must be an ISO 8601 UTC timestamp (e.g. 2024-01-01T00:00:00Z) or epoch milliseconds, received "${shown(value)}"`,
      ];

const isTime = (value: unknown): boolean =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= TIME_MS_MAX;

/** Objects are not turned into text: they bring their own way to do it. */
const shown = (value: unknown): string => {
  if (value === null) return 'null';
  return typeof value === 'object' ? 'object' : String(value).slice(0, ECHOED_CHARACTERS_MAX);
};
