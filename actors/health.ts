/**
 * health: watches supervision events of the whole tree, logs them, and says what is wrong now. Starts first and
 * stops last, so that nothing goes unseen.
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
  #problems = new Map<string, string>();

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
      case 'health.problems':
        return message.replyTo.ok([...this.#problems.values()]);
      default:
        return message satisfies never;
    }
  };

  stopped(): void {
    this.#unsubscribe();
  }

  describe(): Record<string, unknown> {
    return { problems: [...this.#problems.values()] };
  }

  #observe(event: SupervisionEvent): void {
    const { log } = this.#resources;
    const { path } = event;
    switch (event.type) {
      case 'actor.started':
        this.#problems.delete(path);
        return;
      case 'actor.crashed':
        this.#context.count('crashes');
        log.error(
          { actor: path, life: event.life, during: event.during, err: event.error },
          'an actor crashed',
        );
        return;
      case 'actor.restarting':
        this.#problems.set(path, `${path} restarts in ${Math.round(event.inMs)} ms`);
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

  #stopped(event: Extract<SupervisionEvent, { type: 'actor.stopped' }>): void {
    const { path, reason } = event;
    if (reason.kind === 'stopped') this.#problems.delete(path);
    else if (reason.kind === 'budgetSpent' || reason.kind === 'crashed')
      this.#problems.set(path, `${path} is down: ${reason.error.message}`);
  }
}
