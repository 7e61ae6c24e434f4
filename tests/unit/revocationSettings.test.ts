/** Settings of the revocation checks: what is left out has its default, what is wrong is an error that names it. */
import test from 'ava';
import { loadConfig } from '../../config/load.js';
import { readRevocationSettings } from '../../security/revocationSettings.js';

const defaults = {
  crl: {
    enabled: true,
    timeoutMs: 10_000,
    cacheTtlMs: 86_400_000,
    errorCacheTtlMs: 300_000,
    gracePeriodMs: 86_400_000,
    failureMode: 'fail-closed',
  },
  ocsp: {
    enabled: true,
    timeoutMs: 5000,
    cacheTtlMs: 3_600_000,
    errorCacheTtlMs: 300_000,
    failureMode: 'fail-closed',
  },
};

for (const value of [undefined, null, true, {}, { crl: true, ocsp: null }])
  test(`${JSON.stringify(value)} has every default`, (t) => {
    t.deepEqual(readRevocationSettings(value), defaults as never);
  });

test('false asks nobody', (t) => {
  const { crl, ocsp } = readRevocationSettings(false);
  t.false(crl.enabled);
  t.false(ocsp.enabled);
});

test('one source can be switched off in two ways', (t) => {
  t.false(readRevocationSettings({ crl: false }).crl.enabled);
  t.true(readRevocationSettings({ crl: false }).ocsp.enabled);
  t.false(readRevocationSettings({ ocsp: { enabled: false } }).ocsp.enabled);
});

test('every key arrives', (t) => {
  const settings = readRevocationSettings({
    crl: { timeout: 1000, cacheTtl: 2000, gracePeriod: 0, failureMode: 'fail-open' },
    ocsp: { timeout: 3000, cacheTtl: 4000, errorCacheTtl: 5000, enabled: true },
  });
  t.deepEqual(settings, {
    crl: {
      enabled: true,
      timeoutMs: 1000,
      cacheTtlMs: 2000,
      errorCacheTtlMs: 5000,
      gracePeriodMs: 0,
      failureMode: 'fail-open',
    },
    ocsp: {
      enabled: true,
      timeoutMs: 3000,
      cacheTtlMs: 4000,
      errorCacheTtlMs: 5000,
      failureMode: 'fail-closed',
    },
  });
});

test('the overall failure mode is that of every source without one of its own', (t) => {
  const settings = readRevocationSettings({
    failureMode: 'fail-open',
    ocsp: { failureMode: 'fail-closed' },
  });
  t.is(settings.crl.failureMode, 'fail-open');
  t.is(settings.ocsp.failureMode, 'fail-closed');
});

const wrong: readonly (readonly [unknown, string])[] = [
  [{ crl: { timeout: 999 } }, 'CRL timeout must be at least 1000ms (1 second)'],
  [{ crl: { cacheTtl: 0 } }, 'CRL cacheTtl must be at least 1000ms (1 second)'],
  [{ crl: { gracePeriod: -1 } }, 'CRL gracePeriod must be at least 0ms'],
  [{ ocsp: { timeout: 1 } }, 'OCSP timeout must be at least 1000ms (1 second)'],
  [{ ocsp: { errorCacheTtl: 1 } }, 'OCSP errorCacheTtl must be at least 1000ms (1 second)'],
  [{ ocsp: { timeout: '5s' } }, 'OCSP timeout must be a whole number of milliseconds'],
  [{ ocsp: { timeout: Number.NaN } }, 'OCSP timeout must be a whole number of milliseconds'],
  [{ ocsp: { cacheTtl: 1e300 } }, 'OCSP cacheTtl must be a whole number of milliseconds'],
  [{ failureMode: 'open' }, 'failureMode must be fail-open or fail-closed'],
  [{ crl: { failureMode: 1 } }, 'CRL failureMode must be fail-open or fail-closed'],
  [{ crl: { enabled: 'no' } }, 'CRL enabled must be true or false'],
  [{ crl: { errorCacheTtl: 5000 } }, 'CRL errorCacheTtl is not allowed'],
  [{ ocsp: { gracePeriod: 5000 } }, 'OCSP gracePeriod is not allowed'],
  [{ cacheTtl: 5000 }, 'cacheTtl is not allowed'],
  [{ toString: 1 }, 'toString is not allowed'],
  ['yes', 'certificateVerification must be true, false or an object'],
  [[], 'certificateVerification must be true, false or an object'],
  [{ crl: 5 }, 'CRL must be true, false or an object'],
  [
    { nonsense: 1, crl: { timeout: 1 }, ocsp: { timout: 5000 } },
    'nonsense is not allowed; CRL timeout must be at least 1000ms (1 second); OCSP timout is not allowed',
  ],
];

for (const [value, message] of wrong)
  test(`${JSON.stringify(value)}: ${message}`, (t) => {
    t.throws(() => readRevocationSettings(value), {
      message: `Invalid certificate verification configuration: ${message}`,
      code: 'INVALID_CONFIGURATION',
    });
  });

const PREFIX = 'REPLICATION_MTLS_CERTIFICATEVERIFICATION';

const fromVariables = (variables: Readonly<Record<string, string>>) => {
  const environment = Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [`${PREFIX}${name}`, value]),
  );
  const nowhere = { currentDirectory: '/nowhere', homeDirectory: '/nowhere' };
  const { config } = loadConfig({ environment, ...nowhere });
  return readRevocationSettings(config.replication.certificateVerification);
};

test('all of them can be set by variables of the environment', (t) => {
  const settings = fromVariables({
    _FAILUREMODE: 'fail-open',
    _CRL_TIMEOUT: '1001',
    _CRL_CACHETTL: '1002',
    _CRL_FAILUREMODE: 'fail-closed',
    _CRL_GRACEPERIOD: '3',
    _OCSP_TIMEOUT: '1004',
    _OCSP_CACHETTL: '1005',
    _OCSP_ERRORCACHETTL: '1006',
  });
  t.deepEqual(settings, {
    crl: {
      enabled: true,
      timeoutMs: 1001,
      cacheTtlMs: 1002,
      errorCacheTtlMs: 1006,
      failureMode: 'fail-closed',
      gracePeriodMs: 3,
    },
    ocsp: {
      enabled: true,
      timeoutMs: 1004,
      cacheTtlMs: 1005,
      errorCacheTtlMs: 1006,
      failureMode: 'fail-open',
    },
  });
  t.is(fromVariables({ _OCSP_FAILUREMODE: 'fail-open' }).ocsp.failureMode, 'fail-open');
  t.false(fromVariables({ '': 'false' }).crl.enabled);
  t.false(fromVariables({ _CRL: 'false' }).crl.enabled);
  t.false(fromVariables({ _OCSP: 'false' }).ocsp.enabled);
  t.throws(() => fromVariables({ _CRL_TIMEOUT: '999' }), { message: /at least 1000, not 999/ });
});
