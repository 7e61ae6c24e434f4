/**
 * Reads a revocation list where it does not hold up anything else: short ones at once, long ones in a thread that ends
 * with its one list. Called by crlSource.ts. Gives up a thread that takes longer than limits.crlReadMsMax.
 */
import { Worker } from 'node:worker_threads';
import { limits } from '../protocol/limits.js';
import { readRevocationList, type RevocationList } from './crl.js';
import { AnswerRefused, refusalOf, unusable, type RefusalKind } from './refusals.js';

/** What crlWorker.ts is given, and answers. */
export interface ReadingTask {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly issuerDer: Uint8Array;
}

export type ReadingAnswer =
  | { readonly list: RevocationList }
  | { readonly refused: { readonly kind: RefusalKind; readonly message: string } };

/** In a thread of its own this takes `bytes` away from the caller. Rejects with AnswerRefused. */
export async function readListAside(
  task: ReadingTask,
  { msMax = limits.crlReadMsMax }: { msMax?: number } = {},
): Promise<RevocationList> {
  const answer =
    task.bytes.length <= limits.crlInlineBytesMax ? readNow(task) : await readInThread(task, msMax);
  if ('list' in answer) return answer.list;
  throw new AnswerRefused(answer.refused.kind, answer.refused.message);
}

export function readNow({ bytes, issuerDer }: ReadingTask): ReadingAnswer {
  try {
    return { list: readRevocationList(bytes, issuerDer) };
  } catch (thrown) {
    const { kind, message } = refusalOf(thrown);
    return { refused: { kind, message } };
  }
}

function readInThread(task: ReadingTask, msMax: number): Promise<ReadingAnswer> {
  const worker = new Worker(new URL('./crlWorker.js', import.meta.url), {
    workerData: task,
    transferList: [task.bytes.buffer],
  });
  const answer = new Promise<ReadingAnswer>((resolve, reject) => {
    const timer = setTimeout(() => reject(unusable(`was not read within ${msMax} ms`)), msMax);
    worker.once('message', resolve);
    worker.once('error', (error) => reject(unusable(`could not be read (${error.message})`)));
    worker.once('exit', () => {
      clearTimeout(timer);
      reject(unusable('could not be read (its thread ended)'));
    });
  });
  return answer.finally(() => worker.terminate());
}
