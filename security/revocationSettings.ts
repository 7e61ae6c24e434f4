/**
 * The settings of revocation checks, settled from `certificateVerification` of the configuration. Called at start; a
 * mistake in them is an error and never a silent "off". Knows nothing of the other settings.
 */
import { SkeinError } from '../protocol/errors.js';

export type FailureMode = 'fail-open' | 'fail-closed';

interface SourceSettings {
  readonly enabled: boolean;
  readonly timeoutMs: number;
  readonly cacheTtlMs: number;
  /** How long it is remembered that there was no answer, or none that counts. */
  readonly errorCacheTtlMs: number;
  readonly failureMode: FailureMode;
}

export interface RevocationSettings {
  readonly crl: SourceSettings & { readonly gracePeriodMs: number };
  readonly ocsp: SourceSettings;
}

const HOUR_MS = 3_600_000;
const DEFAULT_ERROR_TTL_MS = 300_000;

/**
 * `value` is true, false, or an object with `failureMode`, `crl` and `ocsp`; undefined and null are true. A source
 * without a failure mode has the overall one. Throws INVALID_CONFIGURATION that names everything that is wrong.
 */
export function readRevocationSettings(value: unknown): RevocationSettings {
  const found = new Section('', value ?? true);
  const failureMode = found.failureMode('fail-closed');
  const crl = new Section('CRL', found.source('crl'));
  const ocsp = new Section('OCSP', found.source('ocsp'));
  const errorCacheTtlMs = ocsp.time('errorCacheTtl', DEFAULT_ERROR_TTL_MS, SECOND_MS);
  const settings: RevocationSettings = {
    crl: {
      ...readSource(crl, { timeoutMs: 10_000, cacheTtlMs: 24 * HOUR_MS, failureMode }),
      errorCacheTtlMs,
      gracePeriodMs: crl.time('gracePeriod', 24 * HOUR_MS, 0),
    },
    ocsp: {
      ...readSource(ocsp, { timeoutMs: 5_000, cacheTtlMs: HOUR_MS, failureMode }),
      errorCacheTtlMs,
    },
  };
  const problems = [found, crl, ocsp].flatMap((section) => section.problems());
  if (problems.length > 0)
    throw new SkeinError(
      'INVALID_CONFIGURATION',
      `Invalid certificate verification configuration: ${problems.join('; ')}`,
    );
  return settings;
}

const SECOND_MS = 1000;

const readSource = (
  section: Section,
  defaults: { timeoutMs: number; cacheTtlMs: number; failureMode: FailureMode },
): Omit<SourceSettings, 'errorCacheTtlMs'> => ({
  enabled: section.enabled(),
  timeoutMs: section.time('timeout', defaults.timeoutMs, SECOND_MS),
  cacheTtlMs: section.time('cacheTtl', defaults.cacheTtlMs, SECOND_MS),
  failureMode: section.failureMode(defaults.failureMode),
});

/** One object of the settings: remembers which keys were asked for, so that the others are unknown. */
class Section {
  readonly #name: string;
  readonly #switch: boolean;
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #known = new Set<string>();
  readonly #problems: string[] = [];

  constructor(name: string, value: unknown) {
    this.#name = name;
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    this.#switch = value !== false;
    this.#fields = isObject ? { ...value } : {};
    if (!isObject && typeof value !== 'boolean')
      this.#problems.push(`${name || 'certificateVerification'} must be true, false or an object`);
  }

  enabled(): boolean {
    const value = this.#take('enabled') ?? this.#switch;
    if (typeof value === 'boolean') return value;
    return this.#wrong('enabled', 'must be true or false', true);
  }

  /** The value of a source; off when all is. */
  source(key: string): unknown {
    return this.#take(key) ?? this.#switch;
  }

  /** Milliseconds. */
  time(key: string, fallback: number, minimum: number): number {
    const value = this.#take(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isSafeInteger(value))
      return this.#wrong(key, 'must be a whole number of milliseconds', fallback);
    if (value >= minimum) return value;
    const seconds = minimum === SECOND_MS ? ' (1 second)' : '';
    return this.#wrong(key, `must be at least ${minimum}ms${seconds}`, fallback);
  }

  failureMode(fallback: FailureMode): FailureMode {
    const value = this.#take('failureMode') ?? fallback;
    if (value === 'fail-open' || value === 'fail-closed') return value;
    return this.#wrong('failureMode', 'must be fail-open or fail-closed', fallback);
  }

  problems(): string[] {
    const unknown = Object.keys(this.#fields).filter((key) => !this.#known.has(key));
    return [...this.#problems, ...unknown.map((key) => `${this.#label(key)} is not allowed`)];
  }

  #take(key: string): unknown {
    this.#known.add(key);
    return this.#fields[key];
  }

  #wrong<T>(key: string, what: string, fallback: T): T {
    this.#problems.push(`${this.#label(key)} ${what}`);
    return fallback;
  }

  #label(key: string): string {
    return this.#name === '' ? key : `${this.#name} ${key}`;
  }
}
