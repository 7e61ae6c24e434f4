/**
 * The parts `schema.ts` is written with: the type of a schema node, its own annotations, and the values that
 * occur under several keys. Declarations only.
 */
import { PORT_MAX, PORT_PATTERN } from './addresses.js';
import { DURATION_PATTERN } from './durations.js';

export type JsonType = 'string' | 'number' | 'integer' | 'boolean' | 'object' | 'array' | 'null';

/**
 * What a key that is documented, but does nothing here, gets: `foreign` keys belong to other parts of the
 * compatible product and `later` keys to features that are not built yet, both warn; `refused` keys are an
 * error, because a node that ignored them would be less secure or send data where it must not go.
 */
export interface Standing {
  readonly kind: 'foreign' | 'later' | 'refused';
  /** Values that mean the same as leaving the key out, and so need no word. */
  readonly harmless?: readonly unknown[];
  /** For `refused`: what to do instead. */
  readonly because?: string;
}

export interface ConfigSchema {
  readonly type?: JsonType | readonly JsonType[];
  readonly description: string;
  /** What is expected, for messages and the documentation, where the type alone does not say it. */
  readonly expected?: string;
  /** The default, as the documentation prints it. */
  readonly defaultText?: string;
  readonly standing?: Standing;
  /** `null` is an error here, not another way to leave the key out. */
  readonly neverNull?: boolean;
  readonly properties?: Readonly<Record<string, ConfigSchema>>;
  readonly patternProperties?: Readonly<Record<string, ConfigSchema>>;
  readonly additionalProperties?: boolean;
  readonly items?: ConfigSchema;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** The annotations above that are not part of JSON Schema. */
export const ANNOTATIONS = ['expected', 'defaultText', 'standing', 'neverNull'] as const;

interface About {
  readonly defaultText?: string;
  readonly standing?: Standing;
}

export const text = (description: string, about: About = {}): ConfigSchema => ({
  type: 'string',
  minLength: 1,
  description,
  ...about,
});

export const flag = (description: string, about: About = {}): ConfigSchema => ({
  type: 'boolean',
  description,
  ...about,
});

export const count = (
  description: string,
  about: About & { unit: string; minimum: number; maximum?: number },
): ConfigSchema => {
  const { unit, ...rest } = about;
  const range =
    about.maximum === undefined
      ? `at least ${about.minimum}`
      : `${about.minimum} to ${about.maximum}`;
  return {
    type: 'integer',
    description,
    maximum: Number.MAX_SAFE_INTEGER,
    ...rest,
    expected: `a whole number of ${unit}, ${range}`,
  };
};

export const duration = (description: string, about: About = {}): ConfigSchema => ({
  type: ['number', 'string'],
  description,
  minimum: 0,
  pattern: DURATION_PATTERN,
  expected: 'a duration such as 45s, 10m, 2h, 3d or 1M; a bare number is seconds',
  ...about,
});

export const port = (description: string, about: About = {}): ConfigSchema => ({
  type: ['integer', 'string', 'null'],
  description,
  minimum: 0,
  maximum: PORT_MAX,
  pattern: PORT_PATTERN,
  expected: `a port number up to ${PORT_MAX}, "host:port", or null for off`,
  ...about,
});

export const hostname = (description: string, about: About = {}): ConfigSchema => ({
  type: ['string', 'number'],
  minLength: 1,
  description,
  expected: 'a host name or IP address',
  ...about,
});

export const oneOf = (
  values: readonly string[],
  description: string,
  about: About = {},
): ConfigSchema => ({
  type: 'string',
  enum: values,
  description,
  expected: `one of ${values.join(', ')}`,
  ...about,
});

export const section = (
  description: string,
  properties: Readonly<Record<string, ConfigSchema>>,
  about: About = {},
): ConfigSchema => ({
  type: 'object',
  description,
  properties,
  additionalProperties: false,
  ...about,
});

export const listOf = (
  items: ConfigSchema,
  description: string,
  about: About = {},
): ConfigSchema => ({ type: 'array', items, description, ...about });

/** A key of the compatible product about something Skein does not do. Any value is taken. */
export const foreign = (description: string): ConfigSchema => ({
  description,
  standing: { kind: 'foreign' },
});

/** A documented key whose feature is not built yet; ignoring it does no harm. */
export const later = (...harmless: unknown[]): { standing: Standing } => ({
  standing: { kind: 'later', harmless },
});

/** A documented key whose feature is not built yet and cannot be ignored. */
export const refused = (because: string, ...harmless: unknown[]): { standing: Standing } => ({
  standing: { kind: 'refused', because, harmless },
});
