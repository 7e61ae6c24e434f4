/**
 * The probes for load balancers and orchestrators: `/health`, `/livez`, `/readyz`, `/startupz`.
 * Registered on every HTTP door; they need no credentials and tell nothing about data.
 */
import type { FastifyInstance } from 'fastify';
import type { Health, NodeHandle } from '../actors/node.js';
import { messageOf } from '../protocol/errors.js';
import { printable } from './treeText.js';

type Probe = 'livez' | 'readyz' | 'startupz';

/** Each answers 200 or 503 with one line per check; `/health` answers 200 as long as the door is open. */
export const registerProbes = (server: FastifyInstance, node: NodeHandle): void => {
  server.get('/health', async (_request, reply) => {
    reply.header('content-type', 'text/plain; charset=utf-8');
    return 'Skein is running.';
  });
  for (const probe of ['livez', 'readyz', 'startupz'] as const) {
    server.get(`/${probe}`, async (_request, reply) => {
      const { passed, text } = probeAnswer(probe, await healthOf(node));
      reply.code(passed ? 200 : 503);
      reply.header('content-type', 'text/plain; charset=utf-8').header('cache-control', 'no-store');
      return text;
    });
  }
};

/**
 * Lines `[+]name ok`, `[-]name failed`, `[!]problem` and at last the verdict. A problem alone fails no
 * probe: a node that restarts one of its parts still serves.
 */
export const probeAnswer = (
  probe: Probe,
  health: Health,
): { readonly passed: boolean; readonly text: string } => {
  const checks = CHECKS[probe].map((check) => ({ name: check.name, ok: check.passes(health) }));
  const passed = checks.every((check) => check.ok);
  const lines = [
    ...checks.map(({ name, ok }) => (ok ? `[+]${name} ok` : `[-]${name} failed`)),
    ...health.problems.map((problem) => `[!]${printable(problem)}`),
    `${probe} ${passed ? 'passed' : 'failed'}: node is ${health.status}`,
  ];
  return { passed, text: `${lines.join('\n')}\n` };
};

interface Check {
  readonly name: string;
  readonly passes: (health: Health) => boolean;
}

const NODE: Check = { name: 'node', passes: (health) => health.live };
const STARTUP: Check = { name: 'startup', passes: (health) => health.started };
const STORE: Check = { name: 'store', passes: (health) => health.ready };

const CHECKS: Readonly<Record<Probe, readonly Check[]>> = {
  livez: [NODE],
  readyz: [NODE, STARTUP, STORE],
  startupz: [STARTUP],
};

/** A node that cannot tell how it is, is not well; the answer says so instead of failing. */
const healthOf = async (node: NodeHandle): Promise<Health> => {
  try {
    return await node.health();
  } catch (error) {
    return {
      status: 'failed',
      problems: [`health is unknown: ${messageOf(error)}`],
      live: false,
      ready: false,
      started: false,
    };
  }
};
