/**
 * health: watches supervision events of the whole tree, logs and counts them. Starts first and stops last, so that
 * nothing goes unseen. What is wrong now is read from the tree itself (startNode.ts).
 */
import type {
  Actor,
  ActorContext,
  ActorSpec,
  ActorSystem,
  SupervisionEvent,
} from './kernel/types.js';
import type { HealthMessage } from './messages.js';
import type { NodeResources } from './resources.js';

export const healthSpec = (parts: {
  resources: NodeResources;
  system: ActorSystem;
}): ActorSpec<HealthMessage> => ({
  name: 'health',
  policy: {
    restart: 'always',
    budget: { restarts: 10, withinMs: 10_000 },
    whenSpent: 'escalate',
  },
  start: (context) => new HealthActor(context, parts),
});

class HealthActor implements Actor<HealthMessage> {
  readonly #context: ActorContext<HealthMessage>;
  readonly #resources: NodeResources;
  readonly #unsubscribe: () => void;

  constructor(
    context: ActorContext<HealthMessage>,
    parts: { resources: NodeResources; system: ActorSystem },
  ) {
    this.#context = context;
    this.#resources = parts.resources;
    this.#unsubscribe = parts.system.subscribe((event) => {
      if (event.type === 'message.dead' && event.path === context.path) return;
      context.self.send({ type: 'supervision.observed', event });
    });
  }

  readonly receive = (message: HealthMessage): void => {
    switch (message.type) {
      case 'supervision.observed':
        return this.#observe(message.event);
      default:
        return message.type satisfies never;
    }
  };

  stopped(): void {
    this.#unsubscribe();
  }

  #observe(event: SupervisionEvent): void {
    const { log } = this.#resources;
    const { path } = event;
    switch (event.type) {
      case 'actor.started':
        return;
      case 'actor.crashed':
        this.#context.count('crashes');
        log.error(
          { actor: path, life: event.life, during: event.during, err: event.error },
          'an actor crashed',
        );
        return;
      case 'actor.restarting':
        log.info({ actor: path, inMs: Math.round(event.inMs) }, 'an actor is restarted');
        return;
      case 'actor.hung':
        log.warn({ actor: path, during: event.during, forMs: event.forMs }, 'an actor hangs');
        return;
      case 'actor.stopped':
        return this.#stopped(event);
      case 'message.dead':
        this.#context.count('deadLetters');
        log.debug(
          { actor: path, message: event.message, why: event.why },
          'a message was not delivered',
        );
        return;
      default:
        return event satisfies never;
    }
  }

  #stopped({ path, reason }: Extract<SupervisionEvent, { type: 'actor.stopped' }>): void {
    if (reason.kind === 'budgetSpent' || reason.kind === 'crashed')
      this.#resources.log.error({ actor: path, reason: reason.error.message }, 'an actor is down');
  }
}
