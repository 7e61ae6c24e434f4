/** Should a secret ever be handed to a log, its value is not written. */
import { spawnSync } from 'node:child_process';
import test from 'ava';
import pino from 'pino';
import { redaction } from '../../protocol/secretFields.js';

test('SE-33: values of secret fields are not written, however deep they stand', (t) => {
  const lines: string[] = [];
  const log = pino({ redact: redaction() }, { write: (line: string) => void lines.push(line) });
  const secrets = {
    password: 'hunter2',
    authorization: 'Basic hunter2',
    refresh_token: 'hunter2',
    operation_token: 'hunter2',
    token: 'hunter2',
    private_key: 'hunter2',
    passphrase: 'hunter2',
  };
  log.error(secrets, 'shown');
  log.error({ operation: { ...secrets, table: 'dog' } }, 'shown');
  log.error({ request: { body: secrets, headers: { authorization: 'hunter2' } } }, 'shown');
  log.error({ a: { b: { c: secrets } } }, 'shown');
  t.is(lines.length, 4);
  t.notRegex(lines.join(''), /hunter2/);
  t.regex(lines.join(''), /"table":"dog"/);
});

/** Loggers write to the standard output of their process. */
const outputOf = (script: string): string => {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return stdout + stderr;
};

const moduleAt = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);

test('SE-33: the log of the doors hides them', (t) => {
  const text = outputOf(`
    import { createLogger } from ${moduleAt('../../server/logger.js')};
    createLogger('warn').error({ request: { password: 'hunter2' } }, 'written');
  `);
  t.regex(text, /"msg":"written"/);
  t.notRegex(text, /hunter2/);
});

test('SE-33: the log of a node hides them', (t) => {
  const text = outputOf(`
    import { startCore } from ${moduleAt('../../actors/startNode.js')};
    import { resolveConfig } from ${moduleAt('../../config/resolve.js')};
    const { config } = resolveConfig({ storage: { engine: 'memory' } });
    const node = await startCore(config);
    node.log.error({ request: { authorization: 'hunter2' } }, 'written');
    await node.close();
  `);
  t.regex(text, /"msg":"written"/);
  t.notRegex(text, /hunter2/);
});
