/**
 * Makes known what of a database cannot be read, and has it noted on the disk: one line in the log for each of the first
 * findings, a count for all. Moves the start of a log beyond an entry that cannot be read. Used by the shardRouter only.
 */
import type { Logger } from 'pino';
import { sequence as asSequence } from '../protocol/ids.js';
import type { OriginId } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import type { Finding } from '../storage/damage.js';
import type { Store } from '../storage/store.js';
import { damageOf, nameOf } from './databaseReads.js';
import type { GroupCommit } from './groupCommit.js';
import type { ActorContext } from './kernel/types.js';
import type { RouterMessage } from './messages.js';

export interface DamageReportsParts {
  readonly store: Store;
  readonly group: GroupCommit;
  readonly context: ActorContext<RouterMessage>;
  readonly log: Logger;
}

export class DamageReports {
  readonly #parts: DamageReportsParts;
  #told = 0;

  constructor(parts: DamageReportsParts) {
    this.#parts = parts;
    const { store, context, log } = parts;
    store.damage.found = (finding) =>
      void context.self.send({ type: 'damage.found', finding }, 'control');
    const { database } = store.options;
    const damage = damageOf(store);
    if (damage) log.error({ database, damage }, 'not all that is stored can be read');
  }

  /** Tables may lack rows, nobody knows which. */
  get needsCopy(): boolean {
    return this.#parts.store.damage.owesTables;
  }

  get described(): Record<string, unknown> {
    const damage = damageOf(this.#parts.store);
    return damage ? { damage } : {};
  }

  report(finding: Finding): void {
    const { context, group } = this.#parts;
    context.count('damageFound');
    this.#tell(finding);
    if (finding.kind === 'files') return;
    if (finding.kind === 'entry') this.#beginBeyond(finding);
    // The notes are part of the next batch, whatever else is in it.
    void group.forming;
    group.pump();
  }

  /** Who wants what lies before is told to look elsewhere, and what is lost with an entry has to be copied. */
  #beginBeyond({ origin, sequence, isMissing }: Extract<Finding, { kind: 'entry' }>): void {
    const { store, group } = this.#parts;
    const held = store.accepted.get(origin as OriginId);
    if (held && held.logStart <= sequence)
      group.forming.move(origin as OriginId, { ...held, logStart: asSequence(sequence + 1) });
    if (isMissing) store.damage.oweAll('entries of a log are missing');
  }

  #tell(finding: Finding): void {
    if (++this.#told > limits.damagedRowsNamed) return;
    const { store, log } = this.#parts;
    const { database } = store.options;
    switch (finding.kind) {
      case 'row':
        return log.error(
          { database, table: nameOf(store, finding.table), key: finding.key },
          'a stored row cannot be read',
        );
      case 'table':
        return log.error(
          { database, table: nameOf(store, finding.table), reason: finding.reason },
          'a table may lack rows',
        );
      case 'entry': {
        const { origin, sequence } = finding;
        return log.error({ database, origin, sequence }, 'a log entry cannot be read');
      }
      case 'files':
        return log.error({ database, err: finding.error }, 'the files are damaged');
      default:
        return finding satisfies never;
    }
  }
}
