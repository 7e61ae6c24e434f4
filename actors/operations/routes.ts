/**
 * cluster_set_routes, cluster_get_routes and cluster_delete_routes: the configuration file is rewritten in place, and the
 * node follows at once.
 */
import { routeDefaultsOf, routeProblems, routesOf } from '../../config/routes.js';
import {
  deleteRoutes as withoutRoutes,
  setRoutes as withRoutes,
  type RouteEntry,
} from '../../config/routesDocument.js';
import { rewriteRoutes, routesFileOf } from '../../config/routesFile.js';
import type { Config } from '../../config/types.js';
import { invalidRequest } from '../../protocol/errors.js';
import type { RecordObject } from '../../protocol/operations.js';
import type { Replicates } from '../../protocol/validate.js';
import { usesTls } from '../listener.js';
import type { OperationContext } from './context.js';

export const setRoutes = (
  context: OperationContext,
  entries: readonly RouteEntry[],
): RecordObject => {
  const file = routesFileOf(context.configSource, 'cluster_set_routes');
  const defaults = routeDefaultsOf(context.config.replication);
  refuseTls(context, entries);
  refuseUnreadable(context, entries);
  refusePortless(context);
  const { routes, set, skipped } = rewriteRoutes(file, (text) =>
    withRoutes(text, entries, defaults),
  );
  context.routesChanged(routesOf(routes, context.config));
  return { message: 'cluster routes successfully set', set, skipped };
};

export const deleteRoutes = (
  context: OperationContext,
  entries: readonly RouteEntry[],
): RecordObject => {
  const file = routesFileOf(context.configSource, 'cluster_delete_routes');
  const defaults = routeDefaultsOf(context.config.replication);
  const { routes, deleted, skipped } = rewriteRoutes(file, (text) =>
    withoutRoutes(text, entries, defaults),
  );
  context.routesChanged(routesOf(routes, context.config));
  return { message: 'cluster routes successfully deleted', deleted, skipped };
};

/** As they stand in the file, or as they were read where they come from elsewhere. */
export const getRoutes = ({ config, configSource }: OperationContext): readonly unknown[] => {
  const { file, routesFrom } = configSource;
  if (file === undefined || routesFrom !== undefined)
    return config.replication.routes.map(({ name, url, flow }) => ({
      hostname: name,
      url,
      ...(flow?.subscriptions && { subscriptions: flow.subscriptions }),
      // In the words in which it would be set.
      ...(flow && !flow.subscriptions && { replicates: given(flow.replicates, config) }),
    }));
  const defaults = routeDefaultsOf(config.replication);
  return rewriteRoutes(file, (text) => withoutRoutes(text, [], defaults)).routes;
};

const given = (replicates: boolean | Replicates, { replication }: Config): boolean | Replicates => {
  if (typeof replicates === 'boolean' || replication.routeDirection === 'local') return replicates;
  const { sends, receives, ...lists } = replicates;
  return {
    ...(receives !== undefined && { sends: receives }),
    ...(sends !== undefined && { receives: sends }),
    ...lists,
  };
};

/** Nor with rules that it cannot read. */
const refuseUnreadable = ({ config }: OperationContext, entries: readonly RouteEntry[]): void => {
  const problems = routeProblems(entries, config);
  if (problems.length > 0)
    throw invalidRequest(
      problems.join('. ').replaceAll(/'replication\.routes\.(\d+)/g, "'routes[$1]"),
    );
};

/** Without certificates of its own the node could not dial there. */
const refuseTls = ({ config }: OperationContext, entries: readonly RouteEntry[]): void => {
  if (usesTls(config)) return;
  const route = routesOf(entries, config).find(({ url }) => url.startsWith('wss:'));
  if (route !== undefined)
    throw invalidRequest(
      `the route to '${route.name}' needs TLS: configure replication.securePort and restart, or give it a ws:// URL`,
    );
};

/** With routes in its file a node listens for replication, by default over TLS, which is not available. */
const refusePortless = ({ config }: OperationContext): void => {
  const { insecure, secure } = config.replication;
  if (insecure === undefined && secure === undefined)
    throw invalidRequest('cluster_set_routes needs replication.port to be configured');
};
