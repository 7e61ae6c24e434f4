/**
 * What a failed schema keyword is called in an answer: `'limit' must be an integer`. Called by
 * validate.ts only. The texts are those of Joi, which users of the compatible product know.
 */

/** The part of ajv's error object that is read here. */
export interface Failure {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string | undefined;
}

/** The keyword that checks names; its message is the text itself. */
export const NAME_KEYWORD = 'isName';

type Params = Failure['params'];

const TYPES: ReadonlyMap<unknown, string> = new Map([
  ['array', 'must be an array'],
  ['boolean', 'must be a boolean'],
  ['integer', 'must be an integer'],
  ['number', 'must be a number'],
  ['object', 'must be of type object'],
  ['string', 'must be a string'],
  ['null', 'must be null'],
]);

/** Keyword to text. A keyword that is absent here is read by ajv's own message. */
const TEXTS: ReadonlyMap<string, (params: Params) => string> = new Map([
  ['required', () => 'is required'],
  ['additionalProperties', () => 'is not allowed'],
  ['unevaluatedProperties', () => 'is not allowed'],
  ['type', ({ type }: Params) => TYPES.get(type) ?? `must be of type ${listOf(type)}`],
  ['enum', ({ allowedValues }: Params) => `must be one of [${listOf(allowedValues)}]`],
  ['const', ({ allowedValue }: Params) => `must be [${String(allowedValue)}]`],
  ['minimum', ({ limit }: Params) => `must be greater than or equal to ${String(limit)}`],
  ['maximum', ({ limit }: Params) => `must be less than or equal to ${String(limit)}`],
  ['exclusiveMinimum', ({ limit }: Params) => `must be greater than ${String(limit)}`],
  ['exclusiveMaximum', ({ limit }: Params) => `must be less than ${String(limit)}`],
  ['minLength', ({ limit }: Params) => tooShort(limit)],
  [
    'maxLength',
    ({ limit }: Params) => `length must be less than or equal to ${String(limit)} characters long`,
  ],
  ['minItems', ({ limit }: Params) => `must contain at least ${String(limit)} items`],
  ['maxItems', ({ limit }: Params) => `must contain less than or equal to ${String(limit)} items`],
  ['uniqueItems', () => 'contains a duplicate value'],
  ['pattern', ({ pattern }: Params) => `fails to match the required pattern: /${String(pattern)}/`],
]);

/** These only say that one of their parts failed, and the part is reported by itself. */
const WRAPPERS: ReadonlySet<string> = new Set(['if', 'allOf', 'propertyNames']);

/** The problems of one value, in the order found. `spelling` gives back the user's field names. */
export const problemTexts = (
  failures: readonly Failure[],
  spelling: (field: string) => string,
): string[] =>
  failures
    .filter(({ keyword }) => !WRAPPERS.has(keyword))
    .map((failure) => `'${labelOf(failure, spelling)}' ${textOf(failure)}`);

const textOf = ({ keyword, params, message }: Failure): string =>
  TEXTS.get(keyword)?.(params) ?? message ?? `fails the check '${keyword}'`;

/** `/conditions/0/value` is `conditions[0].value`; a missing or surplus property is named too. */
const labelOf = ({ instancePath, params }: Failure, spelling: (field: string) => string) => {
  const [, ...path] = instancePath.split('/');
  const property = params['missingProperty'] ?? params['additionalProperty'];
  if (typeof property === 'string') path.push(property);
  const [first, ...rest] = path.map(unescapeSegment);
  if (first === undefined) return 'value';
  return spelling(first) + rest.map(labelSegment).join('');
};

const labelSegment = (segment: string): string =>
  /^\d+$/u.test(segment) ? `[${segment}]` : `.${segment}`;

/** RFC 6901 section 4. */
const unescapeSegment = (segment: string): string =>
  segment.replaceAll('~1', '/').replaceAll('~0', '~');

const tooShort = (limit: unknown): string =>
  limit === 1
    ? 'is not allowed to be empty'
    : `length must be at least ${String(limit)} characters long`;

const listOf = (values: unknown): string =>
  Array.isArray(values) ? values.join(', ') : String(values);
