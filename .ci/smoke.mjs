/**
 * Starts the three-node cluster as the README does, waits until each node says it is ready, writes on the first,
 * reads on the last, and stops it. Run by .ci/run after `npm ci`.
 * Ends only the processes it started, by their group.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';

const URLS = [2, 3, 4].map((node) => `http://127.0.0.${node}:9925`);
const READY_MS_MAX = 90_000;
const ARRIVE_MS_MAX = 10_000;
const STOP_MS_MAX = 20_000;
const ASK_AGAIN_MS = 200;

const password = randomBytes(12).toString('hex');
const cluster = spawn('npm', ['run', 'dev'], {
  detached: true,
  env: { ...process.env, HDB_ADMIN_USERNAME: 'admin', HDB_ADMIN_PASSWORD: password },
  stdio: ['ignore', 'inherit', 'inherit'],
});
const ended = new Promise((resolve, reject) => {
  cluster.on('error', reject);
  cluster.on('exit', (code, signal) => resolve(`${signal ?? `status ${code}`}`));
});

let failure;
try {
  await Promise.race([tryOut(), ended.then((how) => fail(`the cluster ended with ${how}`))]);
} catch (error) {
  failure = error;
}
failure ??= await stop();
if (failure !== undefined) {
  signalGroup('SIGKILL');
  console.error(`${failure.message}`);
  process.exitCode = 1;
}

async function tryOut() {
  for (const url of URLS) await until(READY_MS_MAX, 200, () => answerOf(`${url}/readyz`));
  console.log('all three nodes are ready');
  await send(URLS[0], { operation: 'create_table', table: 'smoke', primary_key: 'id' });
  await send(URLS[0], { operation: 'insert', table: 'smoke', records: [{ id: 1 }] });
  const query = { operation: 'search_by_id', table: 'smoke', ids: [1], get_attributes: ['id'] };
  await until(ARRIVE_MS_MAX, '[{"id":1}]', () => send(URLS.at(-1), query).catch(messageOf));
  console.log('what was written on the first node is on the last');
}

/** Asks again and again until the answer is the expected one; the last answer is the failure's text. */
async function until(msMax, expected, ask) {
  const deadline = Date.now() + msMax;
  let last = await ask();
  while (last !== expected) {
    if (Date.now() > deadline) fail(`expected ${expected} within ${msMax} ms, got ${last}`);
    await wait(ASK_AGAIN_MS);
    last = await ask();
  }
}

/** The answer's text; rejects with it when the operation was refused. */
async function send(url, operation) {
  const credentials = Buffer.from(`admin:${password}`).toString('base64');
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Basic ${credentials}` },
    body: JSON.stringify(operation),
    signal: AbortSignal.timeout(ARRIVE_MS_MAX),
  });
  const text = await answer.text();
  if (!answer.ok) fail(`${operation.operation}: ${answer.status} ${text}`);
  return text;
}

function messageOf(error) {
  return error.message;
}

/** The status of the answer, or why there was none. */
async function answerOf(url) {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await answer.text();
    return answer.status;
  } catch (error) {
    return error.cause?.message ?? error.message;
  }
}

/** Returns what went wrong, undefined if the whole group ended in time and no door answers any more. */
async function stop() {
  signalGroup('SIGTERM');
  const deadline = Date.now() + STOP_MS_MAX;
  while (signalGroup(0)) {
    if (Date.now() > deadline) return new Error(`the cluster did not stop in ${STOP_MS_MAX} ms`);
    await wait(ASK_AGAIN_MS);
  }
  for (const url of URLS) {
    if (typeof (await answerOf(`${url}/livez`)) === 'number')
      return new Error(`${url} still answers`);
  }
  console.log('the cluster has stopped');
  return undefined;
}

/** False when no process of the group is left. */
function signalGroup(signal) {
  try {
    process.kill(-cluster.pid, signal);
    return true;
  } catch (error) {
    if (error.code === 'ESRCH') return false;
    throw error;
  }
}

function fail(message) {
  throw new Error(message);
}
